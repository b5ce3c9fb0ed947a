"""Faults of masks: values that are no class, colors, other sizes, nothing labeled."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from atrous.data.check.faults import Fault, relative, some
from atrous.data.check.fingerprint import class_counts
from atrous.data.check.scan import Scan, total_counts
from atrous.data.classes import Guess, listing
from atrous.data.dataset import Dataset, class_table
from atrous.data.formats import code_color
from atrous.data.formats.orient import turn_between
from atrous.labels import IGNORE

MOST_COLORS = 64
"""More colors than this in the masks are no classes, but a picture or a mask that was smoothed."""
VALUE_KINDS = ("values", "colors", "guess", "lossy mask")
"""Kinds of faults after which it cannot be said which classes the masks have."""
_AXES = {2: " (height x width)"}
_LOSSY = (".jpg", ".jpeg")
MOST_APART = 0.01
"""Affines of an image and its mask that differ by less (in mm) differ by rounding alone."""


def mask_faults(dataset: Dataset, scans: Sequence[Scan], guess: Guess | None) -> Iterator[Fault]:
    """Faults of the label files, in the order of the files."""
    labeled = [one for one in scans if one.label is not None and one.sample.label is not None]
    yield from _guessed(dataset, labeled, guess)
    mends = _value_mend(dataset, labeled), _color_mend(dataset, labeled)
    binary = _is_binary(dataset, labeled)
    for one in labeled:
        file = relative(one.sample.label or Path(), dataset.root)
        yield from _size(file, one)
        yield from _place(file, one)
        wrong = [] if one.colored or not binary else [value for value in one.counts if value == IGNORE]
        wrong = wrong or _wrong_values(dataset, one, guess)
        if wrong:
            what = _described(dataset, one, wrong)
            if binary and not one.colored:
                what = "values are 0 and 255, but the two classes of dataset.toml have the numbers 0 and 1"
            yield Fault(file, what, mends[one.colored], kind="colors" if one.colored else "values")
        if one.sample.label is not None and one.sample.label.suffix.lower() in _LOSSY:
            severity = "error" if guess is not None and guess.doubt and guess.values != (0, 255) else "warning"
            what = "saved as JPEG, which changes label values"
            yield Fault(file, what, "export the masks as PNG", severity, "lossy mask")
        if not wrong and not binary:
            yield from _empty(dataset, file, one)
    yield from _palettes(dataset.root, labeled)


def class_faults(dataset: Dataset, scans: Sequence[Scan]) -> Iterator[Fault]:
    """Faults of the classes as a whole: only one, none at all in train or val, or one that no mask of train has.

    They follow from wrong values, so ask only where there are none.
    """
    where = relative(dataset.description, dataset.root) if dataset.description else str(dataset.root)
    if len(dataset.classes) < 2:
        what = f'there is only one class, "{", ".join(dataset.classes)}"'
        yield Fault(where, what, "label at least two, the background being one", kind="one class")
        return
    for split in ("train", "val"):
        labeled = [one for one in scans if one.split == split and one.label is not None]
        if labeled and not any(class_counts(dataset, one).any() for one in labeled):
            what = f"no position of {split} has a label that counts"
            yield Fault(where, what, f"label some, or move a labeled image to {split}", kind="nothing counts")
    chosen = [one for one in scans if one.split == "train"] or list(scans)
    total = sum((class_counts(dataset, one) for one in chosen), class_counts(dataset, Scan(scans[0].sample, "")))
    missing = [name for name, count in zip(dataset.classes, total, strict=True) if count == 0]
    if missing and total.any():
        names = some([f'"{name}"' for name in missing])
        one = len(missing) == 1
        yield Fault(
            where,
            f"{'class' if one else 'classes'} {names} {'is' if one else 'are'} never seen in the masks of train",
            "label some, move such an image to train, or remove the class from dataset.toml",
            "warning",
            "never seen",
        )


def absence_notes(dataset: Dataset, scans: Sequence[Scan]) -> Iterator[str]:
    """Classes that train has and val has not: val cannot judge them."""
    rows = [[class_counts(dataset, one) for one in scans if one.split == split] for split in ("train", "val")]
    if all(rows):
        train, val = (sum(row[1:], row[0]) for row in rows)
        absent = [name for name, a, b in zip(dataset.classes, train, val, strict=True) if a and not b]
        if absent:
            yield f"no mask of val has {some(absent)}: val cannot tell how well they are found"


def mask_notes(dataset: Dataset, scans: Sequence[Scan]) -> Iterator[str]:
    """What was accepted and how it is read: palette masks, color masks, regions."""
    kinds = [one.label.kind for one in scans if one.label is not None]
    if kinds.count("palette"):
        yield f"{kinds.count('palette')} masks are palette PNG or GIF: their indices are the labels, not their colors"
    if dataset.colors is not None and any(one.colored for one in scans) and dataset.description is not None:
        yield "masks store colors: they are mapped to classes by `palette` in dataset.toml"
    void = IGNORE in dataset.ignore and IGNORE in total_counts(scans, colored=False)
    if void and not _is_binary(dataset, scans):
        yield f"value {IGNORE} is void: it counts for nothing, neither in the loss nor in any figure"
    turned = sum(
        turn_between(one.label.affine, one.image.affine, one.label.size) is not None
        for one in scans
        if one.label is not None and one.image is not None
    )
    if turned:
        yield f"{turned} masks are stored in other directions than their images: turned as their affines say"
    regions = sum(one.sample.region is not None for one in scans)
    if regions:
        yield f"{regions} masks come with a region (field of view): labels outside it count for nothing"


def _guessed(dataset: Dataset, labeled: Sequence[Scan], guess: Guess | None) -> Iterator[Fault]:
    """The doubt about the values or colors of the whole data set, on the files that bring them."""
    if guess is None or guess.doubt is None:
        return
    colored = dataset.colors is not None
    files = [relative(one.sample.label or Path(), dataset.root) for one in labeled if one.colored == colored]
    if files:
        severity = "warning" if guess.usable else "error"
        yield Fault(files[0], guess.doubt, guess.mend, severity, "guess", tuple(files[1:]))


def _size(file: str, one: Scan) -> Iterator[Fault]:
    if one.image is None or one.label_size == one.image.size:
        return
    size, other = (" x ".join(map(str, shape)) for shape in (one.label_size, one.image.size))
    mend = "export the mask at the image's size, without interpolation"
    if one.label_size == one.image.size[::-1]:
        mend = "one of them lies on its side: turn it"
    if one.image.rotated:
        mend += " (the image is turned by its EXIF orientation)"
    yield Fault(file, f"the mask is {size}, its image {other}{_AXES.get(len(one.image.size), '')}", mend, kind="size")


def _place(file: str, one: Scan) -> Iterator[Fault]:
    """A mask whose file puts it elsewhere in the world than its image."""
    image, label = (None if header is None else header.affine for header in (one.image, one.label))
    if image is None or label is None or one.image is None or one.label_size != one.image.size:
        return
    if one.label is not None and turn_between(label, image, one.label.size) is not None:
        return  # turned when it is read
    apart = max(abs(a - b) for row, other in zip(image, label, strict=True) for a, b in zip(row, other, strict=True))
    if apart > MOST_APART:
        what = (
            f"its affine is not its image's (they differ by up to {apart:.3g}): it may be shifted, turned or mirrored"
        )
        yield Fault(file, what, "look at both in a viewer, and export the mask on the image's grid", "warning", "place")


def _is_binary(dataset: Dataset, labeled: Sequence[Scan]) -> bool:
    """Whether the masks are 0/255 masks of two classes that dataset.toml names without saying so.

    Without this, 255 would pass for void, by convention, and the second class would never be seen.
    """
    return len(dataset.classes) == 2 and dataset.values is None and set(total_counts(labeled, False)) == {0, 255}


def _wrong_values(dataset: Dataset, one: Scan, guess: Guess | None) -> list[int]:
    if guess is not None and not guess.usable and not one.colored:
        return []  # said once, for all of them
    known = set(class_table(dataset, one.colored)[0].tolist())
    return [value for value in one.counts if value not in known]


def _described(dataset: Dataset, one: Scan, wrong: list[int]) -> str:
    total = max(sum(one.counts.values()), 1)
    share = sum(one.counts[value] for value in wrong) / total
    if one.colored:
        colors = ", ".join(str(code_color(value)) for value in wrong[:4])
        more = ", ..." if len(wrong) > 4 else ""
        if dataset.colors is None:
            return f"stores {len(wrong)} colors ({colors}{more}), not class numbers"
        return f"colors {colors}{more} ({share:.1%} of it) are not in `palette`"
    classes = f"0..{len(dataset.classes) - 1}" if dataset.values is None else listing(dataset.values)
    palette = " (palette file: indices count, not colors)" if one.label and one.label.kind == "palette" else ""
    values = f"value {wrong[0]} is" if len(wrong) == 1 else f"values {listing(wrong, 6)} are"
    ignored = f", ignored {listing(dataset.ignore)}" if dataset.ignore else ""
    return f"{values} no class ({share:.1%} of it; classes are {classes}{ignored}){palette}"


def _value_mend(dataset: Dataset, labeled: Sequence[Scan]) -> str:
    """What to do about wrong values, judged by the values of all masks together."""
    seen = [value for value in total_counts(labeled, colored=False) if value not in dataset.ignore]
    count = len(dataset.classes)
    if set(seen) <= {0, 255} and count == 2:
        return "write values = [0, 255] in dataset.toml"
    if seen == list(range(1, count + 1)):
        return f"off by one, counted from 1: write values = {listing(seen, 300)} in dataset.toml"
    if seen and seen[-1] == count and dataset.values is None:
        return f"add a name for {count} to `classes`, or ignore = [{count}], in dataset.toml"
    if len(seen) > max(MOST_COLORS, 2 * count):
        return "the masks were resized with interpolation or saved as JPEG: export them again with class numbers"
    if len(seen) == count:
        return f"write values = {listing(seen, 300)} in dataset.toml, in the order of `classes`"
    return "in dataset.toml add them to `ignore`, or to `classes` (and `values`); or mend the mask"


def _color_mend(dataset: Dataset, labeled: Sequence[Scan]) -> str:
    seen = list(total_counts(labeled, colored=True))
    if len(seen) > MOST_COLORS:
        return f"{len(seen)} colors are too many for classes: export the masks without smoothing, as PNG"
    if dataset.colors is not None:
        return "add them to `palette` and `classes`, or to `ignore`, in dataset.toml"
    colors = ", ".join(str(list(code_color(code))) for code in seen)
    return f"write palette = [{colors}] in dataset.toml, and `classes` in the same order"


def _empty(dataset: Dataset, file: str, one: Scan) -> Iterator[Fault]:
    counts = class_counts(dataset, one)
    if not counts.any():
        yield Fault(file, "no position has a label that counts", "label it, or remove it", "warning", "all ignored")
    elif counts[0] == counts.sum() and len(counts) > 1:
        what = f'the mask is empty: every position is class 0, "{dataset.classes[0]}"'
        yield Fault(file, what, "fine if the image shows nothing else, label it otherwise", "warning", "empty")


def _palettes(root: Path, labeled: Sequence[Scan]) -> Iterator[Fault]:
    """Palette masks in which one index has different colors: each file was given a palette of its own."""
    colors: dict[int, tuple[tuple[int, int, int], str]] = {}
    for one in labeled:
        palette = one.label.palette if one.label is not None else None
        if palette is None or one.sample.label is None:
            continue
        file = relative(one.sample.label, root)
        for value in one.counts:
            if not 0 <= value < len(palette):
                continue
            color, other = colors.setdefault(value, (palette[value], file))
            if color != palette[value]:
                what = f"index {value} is the color {palette[value]} here, {color} in {other}"
                mend = "save the masks with one palette, or as class numbers"
                yield Fault(file, what, mend, "warning", "palettes")
                break
