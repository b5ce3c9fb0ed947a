"""The inputs of a prediction: files, folders and globs are found, and each is opened as a source ready for the network.

A source is anything with `.shape` `(C, *S)` and `.dtype` that gives numpy arrays when it is sliced. Only what is sliced
is read, so that inputs may be larger than memory.
"""

import glob
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from atrous.data.channel_files import on_first_grid, turned_image
from atrous.data.composite import require_alike
from atrous.data.formats import (
    SIGNAL_SUFFIXES,
    SUFFIXES,
    VIDEO_SUFFIXES,
    Header,
    is_series,
    is_video,
    label_suffix,
    open_source,
    open_valid,
    read_header,
    read_pyramid,
    require_no_conversion,
    stem,
    suffix_of,
)
from atrous.data.formats.columns import CsvFormat, reader_like
from atrous.data.formats.frames import frame_files
from atrous.data.formats.orient import Turn
from atrous.data.genomes.fasta import fasta_stem, is_fasta
from atrous.data.grid import resample_label, restore
from atrous.data.images import names_of
from atrous.data.inside import is_hidden
from atrous.data.layouts.recordings import label_partners
from atrous.data.layouts.scenes import sequence_of
from atrous.data.layouts.together import is_cellpose, masks_beside
from atrous.data.pages import turn_source
from atrous.data.preprocess import Expected, Preparation, renamed, scaled, to_channels, working_shape
from atrous.data.resampled import resampled
from atrous.data.source import AllValid, Source, Stacked, Turned
from atrous.data.targets.instances import Instances
from atrous.data.views import Filled, Finite, Gaps
from atrous.data.void import make_void
from atrous.errors import UserError
from atrous.prediction.resolution import open_slide

_CHANNEL_FILE = re.compile(r"^(.+)_(\d{4})$")
"""Names of the channels of one case in nnU-Net's layout: `CASE_0000`, `CASE_0001` and so on."""


@dataclass(frozen=True)
class Input:
    """One input, in one file, or in one file per channel (nnU-Net's `CASE_0000.nii.gz`, `CASE_0001.nii.gz` and so on).

    Attributes:
        files: in the order of the channels.
        relative: path of its label file below the output folder. It has the name of the input without the number of the
            channel, and the suffix of a label file.
    """

    files: tuple[Path, ...]
    relative: Path

    @property
    def path(self) -> Path:
        """The first file. Messages name it, and the label file takes its geometry from it."""
        return self.files[0]


@dataclass(frozen=True)
class Opened:
    """An input, or one sequence of a FASTA file, in the form that the network reads.

    Attributes:
        source: `(C, *S)`, read as it is sliced; in memory if the grid of an image or a volume had to be resampled.
        size: spatial shape of the file, turned. That of `source` is the same unless the recipe resamples to another
            spacing.
        spacing: distance between neighboring positions of the file, per axis, or None if the file does not say.
        valid: bool `size`, read as it is sliced: where the file has data and no NaN. None if every position is valid.
        turn: how the volume in the file was turned into the orientation of the training data; None if it was not.
        stored: the channels that the network reads, `(C, *S)`, with the values and on the grid of the file; None if
            nobody kept them.
        name: name of the sequence in a FASTA file, empty for other inputs.
        share: part of the whole input's positions that `source` has, for the progress bar.
        differences: in what the input is unlike the training data, and what of it is read, one line each.
        images: of how many images of one size the channels are (before and after: two).
    """

    source: Source
    size: tuple[int, ...]
    spacing: tuple[float, ...] | None = None
    valid: Source | None = None
    name: str = ""
    share: float = 1.0
    differences: tuple[str, ...] = ()
    turn: Turn | None = None
    stored: Source | None = None
    images: int = 1

    @property
    def resampled(self) -> bool:
        """Whether the network works on another grid than the file, so that labels must be resampled to the file's."""
        return tuple(self.source.shape[1:]) != self.size

    @property
    def regridded(self) -> bool:
        """Whether labels must be resampled or turned to lie on the grid of the file."""
        return self.resampled or self.turn is not None

    def image_on_file(self) -> Source:
        """Return what the network sees, `(C, *S)`, on the grid of the file."""
        if not self.regridded:
            return self.source
        image = np.asarray(self.source[...], dtype=np.float32)
        found = restore(torch.from_numpy(image), self.size).numpy()
        return found if self.turn is None else self.turn.back(found)

    def labels_on_file(self, labels: np.ndarray) -> np.ndarray:
        """Return labels `(*S)` of the network's grid on that of the file, void where the file has no data."""
        found = resample_label(labels, self.size)
        make_void(found, self.valid)
        return found if self.turn is None else self.turn.back(found)

    def numbers_on_file(self, numbers: np.ndarray) -> np.ndarray:
        """Return numbers of objects `(*S)` of the network's grid on that of the file, 0 where the file has no data."""
        found = Instances.resample(numbers, self.size)
        make_void(found, self.valid, 0)
        return found if self.turn is None else np.ascontiguousarray(self.turn.back(found))

    def maps_on_file(self, maps: np.ndarray) -> np.ndarray:
        """Return probabilities `(K, *S)` of the network's grid on that of the file, NaN where it has no data."""
        found = restore(torch.from_numpy(maps), self.size).numpy()
        make_void(found, self.valid, np.nan)
        return found if self.turn is None else self.turn.back(found)


def find_inputs(
    given: Sequence[str | Path],
    *,
    ndim: int,
    channels: int,
    kind: str = "grids",
    out: Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Input]:
    """Find the inputs that files, folders (searched with all their subfolders) and globs name, in order, each once.

    Files whose names differ only in a number of four digits at the end are the channels of one case, if the network
    reads several channels. If it reads one, a `_0000` at the end is left out of the name of the label file. Of folders,
    masks that lie beside their images (`x_mask.png` beside `x.png`) are no inputs.

    Args:
        given: paths and patterns.
        ndim: number of spatial axes that the network reads.
        channels: number of channels that the network reads.
        kind: "grids" (images, volumes and signals), "videos" (video files and folders of frames) or "genomes" (FASTA
            files). Any other kind is searched for as grids are.
        out: folder of the outputs. If it lies inside a folder that is searched, its files are not inputs.
        tell: called with a line about the masks that are left out.

    Raises:
        UserError: nothing is found, two inputs would write the same output, or the output folder is also an input.
    """
    search = _SEARCHES.get(kind, _grids)
    relative_paths: dict[Path, Path] = {}
    for entry in given:
        found = {path: rest for path, rest in search(str(entry), ndim) if not _is_own_output(path, Path(entry), out)}
        masks = masks_beside(found) if search is _grids and Path(entry).is_dir() else []
        if masks:
            count = "a mask beside its image is" if len(masks) == 1 else f"{len(masks)} masks beside their images are"
            tell(f"{entry}: {count} left out ({masks[0].name}): to label one, give the file itself")
        for path in dict.fromkeys(masks):
            del found[path]
        for path, relative in found.items():
            relative_paths.setdefault(path, relative)
    if not relative_paths:
        raise UserError(f"{', '.join(map(str, given))}: holds no inputs but the files in the output folder {out}")
    cases: dict[Path, list[Path]] = {}
    for path, relative in relative_paths.items():
        cases.setdefault(relative if kind == "genomes" else _label_path(path, relative, ndim), []).append(path)
    inputs = []
    for label_path, files in cases.items():
        numbered = kind != "genomes" and all(_CHANNEL_FILE.match(stem(path)) for path in files)
        if len(files) > 1 and not (numbered and channels == len(files)):
            raise UserError(
                f"{files[0]} and {files[1]} would both be written to {label_path}: predict them into different folders"
            )
        inputs.append(Input(tuple(sorted(files)), label_path))
    return inputs


def open_input(
    item: Input,
    *,
    expected: Expected,
    preparation: Preparation,
    ndim: int | None = None,
) -> Opened:
    """Open an input as the network reads it: its channels, its intensities and its grid.

    Intensities are scaled as the source is sliced. A z-score needs the mean and deviation of the whole input, which is
    then read once in advance.

    Args:
        item: the files.
        expected: what the training inputs were like. Channels are found by their names, and volumes and recordings of
            another spacing are resampled; what else differs is told in `Opened.differences`.
        preparation: how the recipe scales intensities and on which spacing the network works.
        ndim: number of spatial axes that the network reads. It decides whether the pages of a TIFF are channels or
            slices of a volume; if it is None they stay as the file has them.

    Raises:
        UserError: a file cannot be read, or the channels do not fit the network.
    """
    is_table = item.path.suffix.lower() in CsvFormat.suffixes
    reader = reader_like(item.path, expected.channels.names, expected.time_column) if is_table else None
    levels = read_pyramid(item.path) if len(item.files) == 1 else ()
    if levels:
        source, header, level = open_slide(item.path, levels, expected.spacing)
    else:
        source, header, level = open_source(item.path, reader), read_header(item.path, reader), ""
    if len(item.files) > 1:
        sources = [source, *(open_source(path) for path in item.files[1:])]
        source = _joined(sources, [header, *map(read_header, item.files[1:])], item.files, expected)
    count = expected.of_file.count or source.shape[0]
    if ndim is not None and (len(source.shape), source.shape[0]) != (ndim + 1, count):
        source = turn_source(source, ndim, count)
    names = names_of(item.path, reader) if expected.channels.names and len(item.files) == 1 else ()
    source = stored = to_channels(source, expected.of_file, item.path, names)
    masks: list[Source] = [mask for path in item.files if (mask := open_valid(path)) is not None]
    turn, spacing = expected.turn(header.affine), header.spacing
    if turn is not None:
        source = turned_image(source, turn)
        masks[:] = [Turned(mask, turn.order, turn.mirrored) for mask in masks]
        spacing = None if spacing is None else tuple(spacing[axis] for axis in turn.order)
    opened = prepared(expected.composed(source), expected.preparation(preparation, spacing), spacing, masks)
    unread = header.unread_text if header.unread else ""
    told = [unread, level, *renamed(names, expected.channels.names), *expected.turned(header.affine)]
    told += expected.differences(source, spacing, preparation)
    differences = tuple(line for line in told if line)
    return replace(
        opened, spacing=header.spacing, differences=differences, turn=turn, stored=stored, images=expected.images
    )


def _joined(sources: list[Source], headers: list[Header], files: Sequence[Path], expected: Expected) -> Source:
    """The channels of one case in several files, or two images of one size, as one source.

    Raises:
        FileFault: they do not lie on one grid.
    """
    if expected.images > 1:
        sources = [to_channels(one, expected.of_image, file) for one, file in zip(sources, files, strict=True)]
        require_alike([one.shape for one in sources], headers, files)
    return Stacked(on_first_grid(sources, headers, files))


def prepared(
    source: Source,
    preparation: Preparation,
    spacing: tuple[float, ...] | None = None,
    masks: Sequence[Source] = (),
) -> Opened:
    """Scale the intensities of a source `(C, *S)`, replace NaN and infinite values, and resample the grid if needed.

    Args:
        source: values of the file.
        preparation: how the recipe scales intensities, what replaces NaN and infinite values, and on which spacing the
            network works. Positions of such values are not valid.
        spacing: distance between neighboring positions of the file, per axis.
        masks: bool `(*S)`, where the file has data.
    """
    source = Gaps(source, preparation.nodata) if preparation.nodata else source
    size, dtype = tuple(int(n) for n in source.shape[1:]), np.dtype(source.dtype)
    source = scaled(source, preparation)
    if dtype.kind == "f":
        source = Filled(source, preparation.fill)
        masks = [*masks, Finite(source)]
    valid = AllValid(masks) if masks else None
    shape = working_shape(size, spacing, preparation)
    if shape != size:
        source = resampled(source, shape)
    return Opened(source, size, spacing, valid)


def _is_own_output(path: Path, entry: Path, out: Path | None) -> bool:
    """Whether `path`, found by searching the folder `entry`, lies in the output folder inside it."""
    if out is None or not entry.is_dir():
        return False
    if out.resolve() == entry.resolve():
        raise UserError(f"{out}: the outputs would lie among the inputs: give another folder with -o")
    return entry.resolve() in out.resolve().parents and out.resolve() in path.resolve().parents


def _label_path(path: Path, relative: Path, ndim: int) -> Path:
    """Path of the label file below the output folder, for an input found as `relative` below the searched folder."""
    if is_series(path):
        return relative.with_name(relative.name + label_suffix(path, ndim))
    if is_video(path):
        return relative if path.is_dir() else relative.with_name(stem(path))
    name = stem(path)
    match = _CHANNEL_FILE.match(name)
    if match and suffix_of(path) in (".nii", ".nii.gz"):
        name = match[1]
    return relative.with_name(name + label_suffix(path, ndim))


def _grids(entry: str, ndim: int) -> Iterator[tuple[Path, Path]]:
    """Images, volumes and signals that a path or a glob names, each with its path below the searched folder."""
    path, suffixes = Path(entry), (*SUFFIXES, *SIGNAL_SUFFIXES) if ndim == 1 else SUFFIXES
    if is_series(path):
        yield path, Path(path.resolve().name)
    elif path.is_dir() and suffix_of(path) != ".zarr":
        inside = [p for p in _below(path) if _is_grid(p, suffixes)]
        label_tables, names = label_partners(inside).values(), {p.with_name(stem(p)) for p in inside}
        inside = [
            p
            for p in inside
            if p not in label_tables
            and not any(suffix_of(parent) == ".zarr" for parent in p.parents)
            and not is_cellpose(p, names)
        ]
        if not inside:
            require_no_conversion(_below(path))
            raise UserError(f"{path}: no inputs in it (looked for {' '.join(suffixes)})")
        yield from ((p, p.relative_to(path)) for p in inside)
    elif path.exists():
        yield path, Path(path.name)
    else:
        yield from ((match, Path(match.name)) for match in _matches(entry))


def _below(folder: Path) -> list[Path]:
    """Everything below a folder, sorted; hidden files and folders left out, with all that these hold."""
    return [p for p in sorted(folder.rglob("*")) if not any(map(is_hidden, p.relative_to(folder).parts))]


def _is_grid(path: Path, suffixes: Sequence[str]) -> bool:
    return is_series(path) if path.is_dir() and suffix_of(path) != ".zarr" else suffix_of(path) in suffixes


def _videos(entry: str, ndim: int) -> Iterator[tuple[Path, Path]]:
    """Videos that a path or a glob names. A folder is a video if frames lie directly in it; others are searched."""
    for start in [Path(entry)] if Path(entry).exists() else _matches(entry):
        if start.is_file():
            yield start, Path(start.name)
            continue
        inside = [start, *_below(start)]
        videos = [p for p in inside if (frame_files(p) if p.is_dir() else suffix_of(p) in VIDEO_SUFFIXES)]
        if not videos:
            raise UserError(f"{start}: no videos in it: give folders of frames, or {' '.join(VIDEO_SUFFIXES)} files")
        named = start if start.name not in ("", "..") else start.resolve()  # `.` and `..` say no name
        yield from ((p, Path(named.name) if p == start else p.relative_to(start)) for p in videos)


def _scenes(entry: str, ndim: int) -> Iterator[tuple[Path, Path]]:
    """Videos; of a sequence with masks the folder of its frames, under the name of the sequence."""
    for path, relative in _videos(entry, ndim):
        frames, masks = sequence_of(path) if path.is_dir() else (None, None)
        if path == frames:
            yield path, relative.parent if relative.parent.name else Path(path.resolve().parent.name)
        elif path != masks:
            yield path, relative


def _genomes(entry: str, ndim: int) -> Iterator[tuple[Path, Path]]:
    """FASTA files that a path or a glob names. Their features are written to `X.gff3`, without subfolders."""
    path = Path(entry)
    if path.is_dir():
        files = [p for p in _below(path) if is_fasta(p)]
    else:
        files = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(entry, recursive=True))]
    if not files:
        raise UserError(f"{entry}: no FASTA file (.fa, .fasta, .fna, also .gz)")
    yield from ((file, Path(f"{fasta_stem(file)}.gff3")) for file in files)


def _matches(pattern: str) -> list[Path]:
    matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
    if not matches:
        raise UserError(f"{pattern}: no such file, folder or matching glob")
    return matches


_SEARCHES: dict[str, Callable[[str, int], Iterator[tuple[Path, Path]]]] = {
    "grids": _grids,
    "videos": _videos,
    "scenes": _scenes,
    "genomes": _genomes,
}
"""How the inputs of each kind of data are found."""
