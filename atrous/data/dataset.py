"""A data set: its classes, splits and files; and how one sample is read."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from atrous.color import default_palette
from atrous.data.classes import Guess, guess_classes, listing, names, require_apart
from atrous.data.description import Color, Description, read_description
from atrous.data.formats import (
    FileFault,
    Header,
    code_color,
    color_code,
    is_color,
    is_video,
    open_valid,
    read_header,
    read_image,
    read_values,
    read_words,
    require_rgb,
    single_channel,
)
from atrous.data.formats.orient import turn_between
from atrous.data.layouts.find import Layout, find_layout
from atrous.data.layouts.genomes import genome_label, open_genome
from atrous.data.pages import turn_header, turn_pages
from atrous.data.sample import Sample
from atrous.data.source import AllValid
from atrous.data.targets.annotations import annotated_values
from atrous.data.targets.frames import clip_values, unlabeled_frames
from atrous.data.void import make_void
from atrous.errors import UserError
from atrous.labels import IGNORE

THREADS = 2
BACKGROUND_NAMES = ("background", "void", "none", "na", "other", "class 0")


@dataclass(frozen=True)
class Dataset:
    """A folder of labeled images, understood.

    Attributes:
        root: the folder.
        layout: the layout found, in words.
        task: `semantic`: one class per position; `stranded`: any number of classes, on either strand.
        classes: class names; a label `k` means `classes[k]`.
        ignore: file values that become `IGNORE`.
        ignore_colors: those of masks that store colors, as `0xRRGGBB`.
        values: file value of each class, or None when it is `0..K-1`.
        palette: one RGB per class, for pictures.
        splits: samples of `train`, `val`, `test`, as far as there are any.
        split_origin: where the splits come from.
        colors: `0xRRGGBB` of each class in masks that store colors, from the `palette` of dataset.toml; else None.
        channels: what every image is brought to; None leaves images as they are.
        channel_names: names of the channels, if given.
        spacing: distance between positions along each axis, if given; seconds for signals of known sampling rate.
        description: the dataset.toml that was read, if any.
        video: whether the samples are videos, time first.
    """

    root: Path
    layout: str
    task: str
    classes: tuple[str, ...]
    ignore: tuple[int, ...]
    values: tuple[int, ...] | None
    palette: tuple[Color, ...]
    splits: dict[str, tuple[Sample, ...]]
    split_origin: str
    colors: tuple[int, ...] | None = None
    channels: int | None = None
    channel_names: tuple[str, ...] | None = None
    spacing: tuple[float, ...] | None = None
    description: Path | None = None
    video: bool = False
    ignore_colors: tuple[int, ...] = ()

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Samples of all splits."""
        return tuple(sample for samples in self.splits.values() for sample in samples)


def open_dataset(root: Path | str, toml: Path | str | None = None) -> Dataset:
    """Open the folder `root`: find its layout and splits, read dataset.toml, and name the classes.

    Without classes in dataset.toml every label file is read once to find them.

    Args:
        root: the folder.
        toml: a dataset.toml that lies elsewhere, for folders that cannot be written.

    Raises:
        UserError: no layout fits, dataset.toml is wrong, or the label files store colors or other things that are
            no class numbers.
    """
    root = Path(root)
    description = read_description(root, None if toml is None else Path(toml))
    layout = find_layout(root, description)
    dataset, guess = resolve(root, description, layout, lambda: count_values(layout))
    if guess is not None and not guess.usable:
        raise UserError(f"{root}: {guess.doubt}: {guess.mend}")
    return dataset


def resolve(
    root: Path, description: Description, layout: Layout, seen: Callable[[], Mapping[int, int]]
) -> tuple[Dataset, Guess | None]:
    """Put description and layout together; ask `seen` for the label values only where neither says the classes.

    Returns:
        The data set, and the guess that was made from the values, if one was.
    """
    values = description.values or layout.values
    given = description.classes if layout.task == "semantic" else layout.classes
    classes, ignore, guess = given, description.ignore, None
    if classes is None:
        declared = next((known for known in (layout.classes, description.palette, values) if known is not None), None)
        if declared is None:
            guess = guess_classes(seen(), ignore or ())
            classes, values = guess.classes, guess.values
            ignore = guess.ignore if ignore is None else ignore
        else:
            classes = layout.classes if declared is layout.classes else names(len(declared))
    assert classes is not None
    if values is not None and len(values) != len(classes):
        raise UserError(f"{description.file}: {len(classes)} `classes` for the values {listing(values)}: name each")
    if ignore is None:
        ignore = layout.ignore
    if guess is None:
        require_apart(description.file or root, ignore or (), classes, values)
    if ignore is None:
        ignore = () if IGNORE in (values or range(len(classes))) else (IGNORE,)
    palette = description.palette
    dataset = Dataset(
        root=root,
        layout=layout.name,
        task=layout.task,
        classes=classes,
        ignore=(*ignore, *description.ignore_colors),
        values=values,
        palette=palette or default_palette(len(classes), classes[0].lower() in BACKGROUND_NAMES),
        splits=layout.splits,
        split_origin=layout.split_origin,
        colors=None if palette is None else tuple(color_code(color) for color in palette),
        channels=description.channels,
        channel_names=description.channel_names or layout.channel_names,
        spacing=description.spacing if description.sampling_rate is None else (1 / description.sampling_rate,),
        description=description.file,
        video=layout.video,
        ignore_colors=(*(description.ignore or ()), *description.ignore_colors),
    )
    return dataset, guess


def load_image(sample: Sample) -> Any:
    """Values `(C, *S)` of a sample, uint8, uint16 or float32, brought to `sample.channels`.

    Gray becomes color by repetition, color becomes gray by the luma weights of ITU-R BT.601. Channels in several files
    are put together. A genome's sequence is a source of float32 to be sliced.

    Raises:
        UserError: a file cannot be read, or its channels cannot become `sample.channels`.
    """
    if sample.sequence:
        return open_genome(sample)
    image = turn_pages(read_image(sample.image), sample.pages)
    if sample.more:
        parts = [image, *(read_image(path) for path in sample.more)]
        for path, part in zip(sample.more, parts[1:], strict=True):
            if part.shape[1:] != image.shape[1:]:
                sizes = f"size {part.shape[1:]}, but {sample.image.name} has {image.shape[1:]}"
                raise FileFault(path, sizes, "export the channels of a case on one grid")
        image = np.concatenate(parts)
    return to_channels(image, sample.channels, sample.image)


def load_valid(sample: Sample) -> Any | None:
    """Where a sample's image has data, `(*S)` bool to be sliced; None where every position has.

    Raises:
        UserError: a file cannot be read.
    """
    masks = [mask for path in (sample.image, *sample.more) if (mask := open_valid(path)) is not None]
    return AllValid(masks) if len(masks) > 1 else masks[0] if masks else None


def load_header(sample: Sample) -> Header:
    """Header of a sample's image as its files have it, the channels of all of them counted.

    Raises:
        UserError: a file cannot be read.
    """
    header = turn_header(read_header(sample.image), sample.pages)
    more = sum(read_header(path).channels for path in sample.more)
    return replace(header, shape=(header.channels + more, *header.size)) if more else header


def spacing_of(dataset: Dataset, sample: Sample) -> tuple[float, ...] | None:
    """Distance of positions along each axis of a sample: what dataset.toml says, else the file; None when neither does.

    Raises:
        UserError: the file cannot be read.
    """
    if sample.sequence:
        return dataset.spacing
    return dataset.spacing or turn_header(read_header(sample.image), sample.pages).spacing


def to_channels(image: np.ndarray, channels: int | None, file: Path) -> np.ndarray:
    """The image with that many channels.

    >>> to_channels(np.zeros((1, 2, 2), np.uint8), 3, Path("a.png")).shape
    (3, 2, 2)
    """
    if channels is None or image.shape[0] == channels:
        return image
    if len(image) == 1:
        return np.repeat(image, channels, axis=0)
    if len(image) == 3 and channels == 1:
        gray = np.tensordot(np.array([0.299, 0.587, 0.114], dtype=np.float32), image.astype(np.float32), axes=1)[None]
        return gray if image.dtype.kind == "f" else np.rint(gray).astype(image.dtype)
    raise FileFault(file, f"{len(image)} channels, but dataset.toml says channels = {channels}", "mend one of them")


def load_label(dataset: Dataset, sample: Sample) -> np.ndarray:
    """Labels `(*S)` of a sample as uint8: class numbers `0..K-1`, and `IGNORE` where nothing counts.

    Those of a genome's sequence are sets of bits, uint16 (`genomes/labels.py`).

    Raises:
        UserError: there is no label file, it cannot be read, it has a value that is no class, or the region's size
            differs.
    """
    if sample.sequence:
        return genome_label(sample, dataset.classes)
    if sample.label is None:
        raise FileFault(sample.image, "has no mask", "add one")
    values, colored = label_values(sample, dataset.colors is not None)
    label = _to_classes(values, *class_table(dataset, colored), sample.label, colored)
    if sample.region is not None:
        region = read_values(sample.region)
        if region.shape != label.shape:
            raise FileFault(sample.region, f"size {region.shape}, but the mask's is {label.shape}", "make them equal")
        label[region == 0] = IGNORE
    valid = load_valid(sample)
    if valid is not None and tuple(valid.shape) == label.shape:
        make_void(label, valid)
    if (unlabeled := void_frames(sample)) is not None:
        label[unlabeled] = IGNORE
    return label


def void_frames(sample: Sample) -> np.ndarray | None:
    """Whether a frame of a video has no mask, `(T,)`; None for everything that is no video."""
    if sample.label is None or not is_video(sample.image):
        return None
    return unlabeled_frames(sample.image, sample.label)


def label_values(sample: Sample, color_expected: bool) -> tuple[np.ndarray, bool]:
    """Values of a sample's label file, `(*S)`, and whether they are colors `0xRRGGBB`.

    A volume stored in other directions than its image (mirrored, axes exchanged) is turned onto the image's voxels.
    An RGB file whose channels are equal is gray, unless colors are expected. Words are their positions in
    `sample.words`, what has no label is `IGNORE`.
    """
    path = sample.label
    assert path is not None
    if sample.annotations is not None:
        return annotated_values(path, sample.annotations, sample.words or ()), False
    if sample.words is not None:
        return _word_values(path, sample.words), False
    values = clip_values(sample.image, path) if is_video(sample.image) else read_values(path)
    header = read_header(path)
    if not is_color(values, header):
        scan = None if header.affine is None else read_header(sample.image).affine
        turn = turn_between(header.affine, scan, values.shape)
        return values if turn is None else turn(values), False
    gray = None if color_expected else single_channel(values)
    return (require_rgb(path, values, header), True) if gray is None else (gray, False)


def _word_values(path: Path, words: tuple[str, ...]) -> np.ndarray:
    labels = read_words(path)
    if labels is None:
        raise FileFault(path, "its labels are numbers, those of other files words", "make them alike")
    table = {word: position for position, word in enumerate(words)} | {"": IGNORE}
    unknown = sorted(set(labels.tolist()) - set(table))
    if unknown:
        known = ", ".join(words)
        raise FileFault(path, f"label {unknown[0]!r} is none of the classes {known}", "add it to `classes`, or mend it")
    return np.array([table[word] for word in labels.tolist()], dtype=np.uint8)


def class_table(dataset: Dataset, colored: bool) -> tuple[np.ndarray, np.ndarray]:
    """File values and the label of each: two arrays of equal length, the values ascending."""
    known = (dataset.colors or ()) if colored else (dataset.values or tuple(range(len(dataset.classes))))
    ignored = dataset.ignore_colors if colored else dataset.ignore
    table = dict.fromkeys(ignored, IGNORE) | {value: label for label, value in enumerate(known)}
    ordered = sorted(table)
    return np.array(ordered, dtype=np.int64), np.array([table[value] for value in ordered], dtype=np.uint8)


def count_values(layout: Layout) -> dict[int, int]:
    """Positions per value over the label files of train and val (of all when there are none)."""
    splits = [layout.splits.get(name, ()) for name in ("train", "val")]
    chosen = [sample for samples in splits for sample in samples] or [s for ss in layout.splits.values() for s in ss]
    total: Counter[int] = Counter()
    with ThreadPoolExecutor(THREADS) as pool:
        for values, _ in pool.map(_values_and_counts, [sample for sample in chosen if sample.label]):
            total.update(values)
    return dict(total)


def value_counts(values: np.ndarray) -> dict[int, int]:
    """Positions per value, of any integer type, in pieces so that no large copy is made.

    >>> value_counts(np.array([[3, 3], [0, 3]]))
    {0: 1, 3: 3}
    """
    flat = values.reshape(-1)
    total: Counter[int] = Counter()
    for start in range(0, len(flat), 1 << 20):
        piece = flat[start : start + (1 << 20)]
        if piece.dtype == np.uint8:
            counts = np.bincount(piece)
            found: Iterable[int] = np.flatnonzero(counts)
            total.update({int(value): int(counts[value]) for value in found})
        else:
            edges = np.flatnonzero(np.concatenate(([True], piece[1:] != piece[:-1])))
            runs = np.diff(np.append(edges, len(piece)))
            unique, inverse = np.unique(piece[edges], return_inverse=True)
            sums = np.bincount(inverse, weights=runs)
            total.update({int(value): int(count) for value, count in zip(unique, sums, strict=True)})
    return dict(sorted(total.items()))


def _values_and_counts(sample: Sample) -> tuple[dict[int, int], bool]:
    values, colored = label_values(sample, color_expected=False)
    if colored:  # with a palette the classes would be known
        colors = [list(code_color(code)) for code in sorted(value_counts(values))][:8]
        raise FileFault(
            sample.label or "", "stores colors", f"write the color of each class in dataset.toml: palette = {colors}"
        )
    return value_counts(values), colored


def _to_classes(values: np.ndarray, known: np.ndarray, labels: np.ndarray, path: Path, colored: bool) -> np.ndarray:
    if values.dtype == np.uint8:
        table, valid = np.zeros(256, dtype=np.uint8), np.zeros(256, dtype=bool)
        inside = (known >= 0) & (known < 256)
        table[known[inside]], valid[known[inside]] = labels[inside], True
        wrong = np.array([value for value in value_counts(values) if not valid[value]])
        result = table[values]
    else:
        slot = np.minimum(np.searchsorted(known, values), len(known) - 1)
        wrong = values[known[slot] != values]
        result = labels[slot]
    if wrong.size:
        value = code_color(int(wrong[0])) if colored else int(wrong[0])
        what = f"{value} is none of the values {listing(known.tolist())} of the classes"
        raise FileFault(path, what, "add it to `values` or `ignore` in dataset.toml, or mend the file")
    return result
