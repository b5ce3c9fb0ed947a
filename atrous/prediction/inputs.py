"""What prediction is given: files, folders and globs become inputs, each opened as a source ready for a network."""

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.dataset import to_channels
from atrous.data.formats import (
    SIGNAL_SUFFIXES,
    SUFFIXES,
    VIDEO_SUFFIXES,
    FileFault,
    is_series,
    is_video,
    label_suffix,
    open_source,
    open_valid,
    read_header,
    stem,
    suffix_of,
)
from atrous.data.formats.frames import frame_files
from atrous.data.layouts.partners import label_partners
from atrous.data.pages import turn_source
from atrous.data.preprocess import Preparation, resample, scaled, working_shape
from atrous.data.source import AllValid, Source, Stacked
from atrous.data.views import Filled, Finite
from atrous.errors import UserError

_CHANNEL = re.compile(r"^(.+)_(\d{4})$")


@dataclass(frozen=True)
class Input:
    """One input, in one file or (channels of a case, nnU-Net's `CASE_0000.nii.gz` and on) in several.

    Attributes:
        files: in the order of the channels.
        relative: where its labels go below the output folder: the name without the channel, the suffix of labels.
    """

    files: tuple[Path, ...]
    relative: Path

    @property
    def path(self) -> Path:
        """The first file: it lends its geometry to what is written."""
        return self.files[0]


@dataclass(frozen=True)
class Opened:
    """An input as the network expects it.

    Attributes:
        source: `(C, *S)`, sliced where it lies; in memory where the grid had to be changed.
        size: spatial shape in the file, which `source` has too unless the recipe works on another spacing.
        spacing: of the file, per axis, or None.
        valid: where the file has data and no NaN, `size` bool to be sliced; None where every position has for sure.
    """

    source: Source
    size: tuple[int, ...]
    spacing: tuple[float, ...] | None
    valid: Source | None = None

    @property
    def resampled(self) -> bool:
        """Whether labels must be brought back to the grid of the file (`prepare.resample_label`, `prepare.restore`)."""
        return tuple(self.source.shape[1:]) != self.size


def find_inputs(
    given: Sequence[str | Path], *, ndim: int, channels: int, video: bool = False, out: Path | None = None
) -> list[Input]:
    """Inputs among files, folders (searched through, structure kept) and globs, in order, each once.

    Files that differ only in a number of four digits at the end are the channels of one case, where the network reads
    several channels; where it reads one, such a `_0000` is left out of the name of what is written.

    Args:
        given: paths and patterns.
        ndim: spatial axes that the network reads.
        channels: channels that it reads.
        video: whether it reads videos: folders of frames and video files, whose labels go to folders.
        out: folder for what is written: where it lies in a folder that is searched, what is in it is left out.

    Raises:
        UserError: nothing is found, two inputs would write the same output, or a folder is also that of the outputs.
    """
    found: dict[Path, Path] = {}
    for entry in given:
        for path, relative in _videos(str(entry)) if video else _expand(str(entry), ndim):
            if not _written(path, Path(entry), out):
                found.setdefault(path, relative)
    if not found:
        raise UserError(f"{', '.join(map(str, given))}: nothing to read but what lies in {out}")
    cases: dict[Path, list[Path]] = {}
    for path, relative in found.items():
        cases.setdefault(_target(path, relative, ndim), []).append(path)
    inputs = []
    for target, files in cases.items():
        numbered = all(_CHANNEL.match(stem(path)) for path in files)
        if len(files) > 1 and not (numbered and channels == len(files)):
            raise UserError(f"{files[0]} and {files[1]} would both be written to {target}: predict them apart")
        inputs.append(Input(tuple(sorted(files)), target))
    return inputs


def open_input(
    item: Input, *, channels: int, preparation: Preparation, fill: Sequence[float] = (0.0,), ndim: int | None = None
) -> Opened:
    """Open an input: intensities of its case measured, values scaled as they are sliced, the grid changed if need be.

    With `ndim` the pages of a TIFF are read as a network of so many axes needs them. `fill` as in `prepared`.

    Raises:
        UserError: a file cannot be read, or the channels are not those of the network.
    """
    header = read_header(item.path)
    source = open_source(item.path)
    if len(item.files) > 1:
        try:
            source = Stacked([source, *(open_source(path) for path in item.files[1:])])
        except ValueError as error:
            raise FileFault(item.path, f"its channels do not fit ({error})", "export them on one grid") from error
    source = source if ndim is None else turn_source(source, ndim, channels)
    source = with_channels(source, channels, item.path)
    masks = [mask for path in item.files if (mask := open_valid(path)) is not None]
    return prepared(source, preparation, fill, header.spacing, masks)


def prepared(
    source: Source,
    preparation: Preparation,
    fill: Sequence[float],
    spacing: tuple[float, ...] | None = None,
    masks: Sequence[Source] = (),
) -> Opened:
    """A source `(C, *S)` as the network expects it.

    Args:
        source: values of the file.
        preparation: what is done to them.
        fill: what the network reads, per channel, where a value is NaN or infinite; such positions are not valid.
        spacing: of the file, per axis.
        masks: where the file has data.
    """
    size, given = tuple(int(n) for n in source.shape[1:]), np.dtype(source.dtype)
    source = scaled(source, preparation)
    if given.kind == "f":
        source = Filled(source, fill)
        masks = [*masks, Finite(source)]
    valid = AllValid(masks) if masks else None
    shape = working_shape(size, spacing, preparation)
    if shape != size:
        source = resample(np.asarray(source[...]), shape)
    return Opened(source, size, spacing, valid)


def _written(path: Path, entry: Path, out: Path | None) -> bool:
    """Whether `path`, found in the folder `entry`, lies in the folder of the outputs within it."""
    if out is None or not entry.is_dir():
        return False
    if out.resolve() == entry.resolve():
        raise UserError(f"{out}: the outputs would lie among the inputs: give another folder with -o")
    return entry.resolve() in out.resolve().parents and out.resolve() in path.resolve().parents


def with_channels(source: Source, channels: int, path: Path) -> Source:
    """Gray becomes color by repetition, color gray as in training (`to_channels`); all else must fit.

    Raises:
        UserError: it does not.
    """
    found = int(source.shape[0])
    if found == channels:
        return source
    if found == 1 and channels == 3:
        return Stacked([source] * channels)
    if found == 3 and channels == 1:
        return to_channels(np.asarray(source[...]), channels, path)
    what = f"{found} channels, but the network reads {channels}"
    raise FileFault(path, what, "give the files of all channels")


def _is_input(path: Path, known: Sequence[str]) -> bool:
    return is_series(path) if path.is_dir() and suffix_of(path) != ".zarr" else suffix_of(path) in known


def _videos(given: str) -> Iterator[tuple[Path, Path]]:
    """A folder is a video when frames lie directly in it; otherwise it is searched for videos."""
    for start in [Path(given)] if Path(given).exists() else [Path(match) for match in sorted(glob.glob(given))]:
        if start.is_file():
            yield start, Path(start.name)
            continue
        inside = [start, *sorted(p for p in start.rglob("*") if not p.name.startswith("."))]
        found = [p for p in inside if (frame_files(p) if p.is_dir() else suffix_of(p) in VIDEO_SUFFIXES)]
        if not found:
            raise UserError(f"{start}: no videos in it: give folders of frames, or {' '.join(VIDEO_SUFFIXES)} files")
        yield from ((p, Path(start.name) if p == start else p.relative_to(start)) for p in found)
    if not Path(given).exists() and not glob.glob(given):
        raise UserError(f"{given}: no such file, folder or matching glob")


def _target(path: Path, relative: Path, ndim: int) -> Path:
    if is_series(path):
        return relative.with_name(relative.name + label_suffix(path, ndim))
    if is_video(path):
        return relative if path.is_dir() else relative.with_name(stem(path))
    name = stem(path)
    match = _CHANNEL.match(name)
    if match and suffix_of(path) in (".nii", ".nii.gz"):
        name = match[1]
    return relative.with_name(name + label_suffix(path, ndim))


def _expand(given: str, ndim: int) -> Iterator[tuple[Path, Path]]:
    path, known = Path(given), (*SUFFIXES, *SIGNAL_SUFFIXES) if ndim == 1 else SUFFIXES
    if is_series(path):
        yield path, Path(path.resolve().name)
    elif path.is_dir() and suffix_of(path) != ".zarr":
        inside = [p for p in sorted(path.rglob("*")) if _is_input(p, known) and not p.name.startswith(".")]
        tables = label_partners(inside).values()
        inside = [
            p for p in inside if p not in tables and not any(suffix_of(parent) == ".zarr" for parent in p.parents)
        ]
        if not inside:
            raise UserError(f"{path}: no inputs in it (looked for {' '.join(known)})")
        yield from ((p, p.relative_to(path)) for p in inside)
    elif path.exists():
        yield path, Path(path.name)
    else:
        matches = sorted(glob.glob(given, recursive=True))
        if not matches:
            raise UserError(f"{given}: no such file, folder or matching glob")
        yield from ((Path(match), Path(Path(match).name)) for match in matches)
