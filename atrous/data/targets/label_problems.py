"""Problems of masks: values that are no class, colors, other sizes, nothing labeled."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from atrous.data.coding import Coding
from atrous.data.formats import Header, code_color
from atrous.data.formats.orient import turn_between
from atrous.data.guess import listing
from atrous.data.problems import ALIKE, ONE_CLASS, Problem, relative, some, spelled_alike
from atrous.data.targets.base import Facts, Scanned, TargetScan
from atrous.labels import IGNORE

MOST_COLORS = 64
"""More colors than this in the masks are no classes, but a picture or a mask that was smoothed."""
VALUE_KINDS = ("values", "colors", "guess", "instances", "lossy mask")
"""Kinds of problems after which it cannot be said which classes the masks have."""
MOST_APART = 0.01
"""Affines of an image and its mask that differ by less (in mm) differ by rounding alone."""
_AXES = {2: " (height x width)"}


def problems(scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
    """Yield the problems of the label files in the order of the files, then those of the classes as a whole."""
    in_files = list(_file_problems(scans, facts))
    yield from in_files
    if not _unclear(in_files) and any(one.contents is not None for one in scans):
        yield from _class_problems(scans, facts)


def notes(scans: Sequence[Scanned], facts: Facts) -> Iterator[str]:
    """Yield how masks were read: palette masks, color masks, void, turned volumes, classes that val lacks."""
    coding, labeled = _coding(facts), _labeled(scans)
    palettes = sum(label.header is not None and label.header.kind == "palette" for _, label in labeled)
    if palettes:
        yield f"{palettes} masks are palette PNG or GIF: their indices are the labels, not their colors"
    if coding.colors is not None and any(one.colored for one in scans) and facts.description is not None:
        yield "masks store colors: they are mapped to classes by `palette` in dataset.toml"
    void = [] if _is_binary(coding, scans) else sorted(set(coding.ignore) & set(_values(scans)))
    if void:
        said = f"value {void[0]} is" if len(void) == 1 else f"values {listing(void)} are"
        yield f"{said} void: not counted, neither in the loss nor in any metric"
    turned = sum(
        one.image is not None and label.header is not None
        and turn_between(label.header.affine, one.image.affine, label.size) is not None
        for one, label in labeled
    )  # fmt: skip
    if turned:
        yield f"{turned} masks are stored in other directions than their images: turned as their affines say"
    if not _unclear(list(_file_problems(scans, facts))):
        yield from _absent(scans, coding)


def _coding(facts: Facts) -> Coding:
    assert facts.coding is not None
    return facts.coding


def _labeled(scans: Sequence[Scanned]) -> list[tuple[Scanned, TargetScan]]:
    return [(one, one.contents) for one in scans if one.contents is not None]


def _unclear(in_files: Sequence[Problem]) -> bool:
    return any(problem.severity == "error" and problem.kind in VALUE_KINDS for problem in in_files)


def _path(one: Scanned) -> Path:
    assert one.target is not None
    return one.target.path


def _values(scans: Sequence[Scanned], colored: bool = False) -> list[int]:
    """The values that occur in masks that store numbers, or in those that store colors."""
    return sorted({value for one in scans if one.colored == colored for value in one.counts})


def _file_problems(scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
    coding, labeled = _coding(facts), _labeled(scans)
    yield from _guessed(labeled, facts)
    fixes = _value_fix(coding, scans), _color_fix(coding, scans)
    binary = _is_binary(coding, scans)
    for one, label in labeled:
        path = _path(one)
        file = relative(path, facts.root)
        yield from grid_problems(file, one.image, label)
        wrong = [IGNORE] if binary and not one.colored and IGNORE in one.counts else _wrong_values(one, facts)
        if wrong:
            what = _described(coding, label, wrong)
            if binary and not one.colored:
                what = "values are 0 and 255, but the two classes of dataset.toml have the numbers 0 and 1"
            yield Problem(file, what, fixes[one.colored], kind="colors" if one.colored else "values")
        if label.lossy is not None:
            guess = facts.guess
            severity = "error" if guess is not None and guess.doubt and guess.values != (0, 255) else "warning"
            what = f"saved as {compression(label.lossy)}, which changes label values"
            yield Problem(relative(label.lossy, facts.root), what, "export the masks as PNG", severity, "lossy mask")
        if not wrong and not binary and (facts.guess is None or facts.guess.usable or one.colored):
            yield from _empty(coding, file, one)
    yield from _palettes(facts.root, labeled)
    yield from _inverted(facts.root, labeled)


def compression(path: Path) -> str:
    """Return what a lossy file is, also where its suffix says something else."""
    kind = "WebP" if path.suffix.lower() == ".webp" else "JPEG"
    return kind if path.suffix.lower() in (".jpg", ".jpeg", ".webp") else f"{kind} under the suffix {path.suffix}"


def _class_problems(scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
    """Only one class, nothing labeled in train or val, or a class that no mask of train has."""
    coding = _coding(facts)
    where = relative(facts.description, facts.root) if facts.description else str(facts.root)
    if len(coding.classes) < 2:
        void = sorted(set(coding.ignore) & set(_values(scans)))
        also = f" (value {void[0]} is void)" if void else ""
        what = f'there is only one class, "{", ".join(coding.classes)}"{also}'
        yield Problem(where, what, "label at least two, the background being one", kind="one class")
        return
    yield from _spelled(coding.classes, where)
    for split in ("train", "val"):
        labeled = [one for one in scans if one.split == split and one.contents is not None]
        if labeled and not _class_counts(coding, labeled).any():
            what = f"no position of {split} has a label that counts"
            yield Problem(where, what, f"label some, or move a labeled image to {split}", kind="nothing counts")
    total = _class_counts(coding, [one for one in scans if one.split == "train"] or scans)
    missing = [name for name, count in zip(coding.classes, total, strict=True) if count == 0]
    if missing and total.any():
        names, several = some([f'"{name}"' for name in missing]), len(missing) > 1
        yield Problem(
            where,
            f"{'classes' if several else 'class'} {names} {'are' if several else 'is'} in no mask of train",
            "label some, move such an image to train, or remove the class from dataset.toml",
            "warning",
            "never seen",
        )


def _spelled(classes: Sequence[str], where: str) -> Iterator[Problem]:
    """Classes whose names are two spellings of one word, in tables."""
    for other, name in spelled_alike(classes):
        yield Problem(where, f'the classes "{other}" and "{name}" {ALIKE}', ONE_CLASS, "warning", "spelling")


def _class_counts(coding: Coding, scans: Sequence[Scanned]) -> np.ndarray:
    """Positions of each class in some masks together, `(K,)`."""
    counts = np.zeros(len(coding.classes), np.int64)
    for one in scans:
        counts += coding.counts(one.counts, one.colored)
    return counts


def _absent(scans: Sequence[Scanned], coding: Coding) -> Iterator[str]:
    """Classes that train has and val has not."""
    rows = [[one for one in scans if one.split == split] for split in ("train", "val")]
    if all(rows):
        train, val = (_class_counts(coding, row) for row in rows)
        absent = [name for name, a, b in zip(coding.classes, train, val, strict=True) if a and not b]
        if absent:
            yield f"no mask of val has {some(absent)}: val cannot tell how well they are found"


def _guessed(labeled: Sequence[tuple[Scanned, TargetScan]], facts: Facts) -> Iterator[Problem]:
    """A doubt about the values or colors of the whole data set, told of the files that bring them."""
    guess, coding = facts.guess, _coding(facts)
    if guess is None:
        return
    numbered = [(one, label.objects) for one, label in labeled if label.objects]
    if len({count for _, count in numbered}) > 1 and 2 * len(numbered) > len(labeled):
        files = [relative(_path(one), facts.root) for one, _ in numbered]
        what = (
            f"each of its values 1..{numbered[0][1]} is one blob, and other masks have other numbers of them: "
            "they number objects, they are no classes"
        )
        fix = 'write task = "instances" in dataset.toml to learn single objects, or objects = true to learn objects '
        fix += "against background"
        yield Problem(files[0], what, fix, kind="instances", others=tuple(files[1:]))
        return
    if guess.doubt is None:
        return
    colored = coding.colors is not None
    files = [relative(_path(one), facts.root) for one, _ in labeled if one.colored == colored]
    lossy = guess.values != (0, 255) and all(label.lossy is not None for _, label in labeled)
    if files and not lossy:  # values that JPEG made up are no classes, which is said of it
        severity = "warning" if guess.usable else "error"
        yield Problem(files[0], guess.doubt, guess.fix, severity, "guess", tuple(files[1:]))


def grid_problems(file: str, image: Header | None, label: TargetScan) -> Iterator[Problem]:
    """Yield that a mask has another size than its image, or lies elsewhere in the world."""
    yield from _size(file, image, label)
    yield from _place(file, image, label)


def _size(file: str, image: Header | None, label: TargetScan) -> Iterator[Problem]:
    if image is None or label.size == image.size:
        return
    size, other = (" x ".join(map(str, shape)) for shape in (label.size, image.size))
    if len(label.size) != len(image.size):
        what = f"the mask has {_axes(label.size)}, its image {_axes(image.size)}: it is {size}, the image {other}"
        yield Problem(file, what, "save class numbers in one page, of the image's size", kind="size")
        return
    if len(label.size) == 1:
        what = f"it has {size} labels, its recording {other} samples"
        yield Problem(file, what, "give every sample one label", kind="size")
        return
    fix = "export the mask at the image's size, without interpolation"
    if label.size == image.size[::-1]:
        fix = "one of them lies on its side: turn it"
    if image.rotated:
        fix += " (the image is turned by its EXIF orientation)"
    yield Problem(file, f"the mask is {size}, its image {other}{_AXES.get(len(image.size), '')}", fix, kind="size")


def _axes(size: Sequence[int]) -> str:
    return f"{len(size)} {'axis' if len(size) == 1 else 'axes'}"


def _place(file: str, image: Header | None, label: TargetScan) -> Iterator[Problem]:
    """A mask whose file puts it elsewhere in the world than its image."""
    if image is None or label.header is None or label.size != image.size:
        return
    ours, theirs = label.header.affine, image.affine
    if ours is None or theirs is None or turn_between(ours, theirs, label.header.size) is not None:
        return  # a volume in other directions is turned when it is read
    apart = max(abs(a - b) for row, other in zip(theirs, ours, strict=True) for a, b in zip(row, other, strict=True))
    if apart > MOST_APART:
        what = (
            f"its affine is not that of its image (they differ by up to {apart:.3g}): it may be shifted, turned or "
            "mirrored"
        )
        fix = "look at both in a viewer, and export the mask on the image's grid"
        yield Problem(file, what, fix, "warning", "place")


def _is_binary(coding: Coding, scans: Sequence[Scanned]) -> bool:
    """Whether the masks are 0/255 masks of two classes that dataset.toml names without saying so.

    Without this, 255 would pass for void, by convention, and the second class would never be seen.
    """
    return len(coding.classes) == 2 and coding.values is None and set(_values(scans)) == {0, 255}


def _wrong_values(one: Scanned, facts: Facts) -> list[int]:
    guess = facts.guess
    if guess is not None and not guess.usable and not one.colored:
        return []  # the guess says it once, for all files
    known = set(_coding(facts).table(one.colored)[0].tolist())
    return [value for value in one.counts if value not in known]


def _described(coding: Coding, label: TargetScan, wrong: list[int]) -> str:
    total = max(sum(label.counts.values()), 1)
    share = sum(label.counts[value] for value in wrong) / total
    if label.colored:
        colors = ", ".join(str(code_color(value)) for value in wrong[:4])
        more = ", ..." if len(wrong) > 4 else ""
        if coding.colors is None:
            return f"stores {len(wrong)} colors ({colors}{more}), not class numbers"
        return f"colors {colors}{more} ({share:.1%} of it) are not in `palette`"
    classes = f"0..{len(coding.classes) - 1}" if coding.values is None else listing(coding.values)
    indexed = label.header is not None and label.header.kind == "palette"
    palette = " (palette file: indices count, not colors)" if indexed else ""
    values = f"value {wrong[0]} is" if len(wrong) == 1 else f"values {listing(wrong, 6)} are"
    ignored = f", ignored {listing(coding.ignore)}" if coding.ignore else ""
    return f"{values} no class ({share:.1%} of it; classes are {classes}{ignored}){palette}"


def _value_fix(coding: Coding, scans: Sequence[Scanned]) -> str:
    """What to do about wrong values, judged by the values of all masks together."""
    seen = [value for value in _values(scans) if value not in coding.ignore]
    count = len(coding.classes)
    if coding.values is None and (fix := _binary_fix(coding, seen)):
        return fix
    if seen == list(range(1, count + 1)):
        return f"off by one, counted from 1: write values = {listing(seen, 300)} in dataset.toml"
    if seen and seen[-1] == count and coding.values is None:
        return f"add a name for {count} to `classes`, or ignore = [{count}], in dataset.toml"
    if len(seen) > max(MOST_COLORS, 2 * count):
        return "the masks were resized with interpolation or saved as JPEG: export them again with class numbers"
    if len(seen) == count:
        return f"write values = {listing(seen, 300)} in dataset.toml, in the order of `classes`"
    return "in dataset.toml add them to `ignore`, or to `classes` (and `values`); or correct the mask"


def _binary_fix(coding: Coding, seen: Sequence[int]) -> str:
    """What to do about masks of background and foreground; "" where they are something else."""
    count = len(coding.classes)
    if count == 1 and seen in ([0, 1], [0, 255]):
        also = "" if seen == [0, 1] else " and values = [0, 255]"
        return f'name the background too: write classes = ["background", "{coding.classes[0]}"]{also} in dataset.toml'
    return "write values = [0, 255] in dataset.toml" if count == 2 and set(seen) <= {0, 255} else ""


def _color_fix(coding: Coding, scans: Sequence[Scanned]) -> str:
    seen = _values(scans, colored=True)
    if len(seen) > MOST_COLORS:
        return f"{len(seen)} colors are too many for classes: export the masks without smoothing, as PNG"
    if coding.colors is not None:
        return "add them to `palette` and `classes`, or to `ignore`, in dataset.toml"
    colors = ", ".join(str(list(code_color(code))) for code in seen)
    return f"write palette = [{colors}] in dataset.toml, and `classes` in the same order"


def _empty(coding: Coding, file: str, one: Scanned) -> Iterator[Problem]:
    counts = coding.counts(one.counts, one.colored)
    if not counts.any():
        yield Problem(file, "no position has a label that counts", "label it, or remove it", "warning", "all ignored")
    elif counts[0] == counts.sum() and len(counts) > 1:
        what = f'the mask is empty: every position is class 0, "{coding.classes[0]}"'
        yield Problem(file, what, "fine if the image shows nothing else, label it otherwise", "warning", "empty")


def _palettes(root: Path, labeled: Sequence[tuple[Scanned, TargetScan]]) -> Iterator[Problem]:
    """Palette masks in which one index has different colors: each file was given a palette of its own."""
    colors: dict[int, tuple[tuple[int, int, int], str]] = {}
    for one, label in labeled:
        palette = None if label.header is None else label.header.palette
        if palette is None:
            continue
        file = relative(_path(one), root)
        for value in label.counts:
            if not 0 <= value < len(palette):
                continue
            color, other = colors.setdefault(value, (palette[value], file))
            if color != palette[value]:
                what = f"index {value} is the color {palette[value]} here, {color} in {other}"
                fix = "save the masks with one palette, or as class numbers"
                yield Problem(file, what, fix, "warning", "palettes")
                break


def _inverted(root: Path, labeled: Sequence[tuple[Scanned, TargetScan]]) -> Iterator[Problem]:
    """Masks in which 0 stands for white beside masks in which it stands for black: some may have the wrong tag."""
    files = [relative(_path(one), root) for one, label in labeled if label.header is not None and label.header.inverted]
    if files and len(files) < len(labeled):
        what = "0 stands for white in it (WhiteIsZero), in other masks for black: it is inverted, as viewers do"
        fix = "look at one of each, and save all alike"
        yield Problem(files[0], what, fix, "warning", "inverted", tuple(files[1:]))
