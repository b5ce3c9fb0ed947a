"""Images of one place at two dates: `A/ B/ label/` as LEVIR-CD has them, `before/ after/ masks/` and the like."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.data.composite import CHANGE, CompositeImage
from atrous.data.description import Description, read_names
from atrous.data.formats import SUFFIXES, stem, suffix_of
from atrous.data.images import FileImage
from atrous.data.inside import require_inside, walk
from atrous.data.layouts.base import Layout, group_of, labeled
from atrous.data.layouts.folders import LABEL_WORDS, MOST_LEVELS, folder_key, split_of
from atrous.data.layouts.pairing import pair
from atrous.data.layouts.splits import ORDER, into_splits, ordered
from atrous.data.problems import Problem
from atrous.data.sample import Sample
from atrous.data.targets.labels import Labels
from atrous.data.targets.mask_files import MaskFile
from atrous.errors import UserError

PLAIN = (("a", "b"), ("before", "after"))
"""Names of the folders of both dates by which pairs are known where nobody names the task."""
DATES = (
    *PLAIN, ("pre", "post"), ("t1", "t2"), ("time1", "time2"), ("date1", "date2"), ("im1", "im2"), ("img1", "img2"),
    ("image1", "image2"),
)  # fmt: skip
"""All such names."""
CHANGE_WORDS = LABEL_WORDS | {"out", "change", "changes", "changemap", "changemaps", "cm", "cd"}
"""Names of folders of masks."""
_LISTS = ("list", "lists", "splits", ".")
"""Folders in which `train.txt`, `val.txt` and `test.txt` may list names."""


@dataclass(frozen=True)
class Dated:
    """The images of a folder, by the path that they share: without the folder of their date, and without suffix.

    Attributes:
        before: of the first date.
        after: of the second date.
        labels: masks of what changed.
        names: the folders of both dates, as messages call them.
    """

    before: Mapping[str, Path]
    after: Mapping[str, Path]
    labels: Mapping[str, Path]
    names: tuple[str, str]

    def pairs(self) -> Iterator[tuple[str, Path, Path]]:
        """Yield the key, the image before and the image after of each place that has both, by key."""
        partner = pair(self.before, self.after).partner
        yield from ((key, self.before[key], self.after[partner[key]]) for key in sorted(partner))

    def alone(self) -> list[Path]:
        """Return the images without a partner."""
        pairs = pair(self.before, self.after)
        return [*(self.before[key] for key in pairs.images_alone), *(self.after[key] for key in pairs.labels_alone)]


def find_changes(root: Path, description: Description) -> Layout | None:
    """Find pairs of images with masks of what changed; None for another task, or where nothing looks like pairs.

    The images of both dates lie in two folders and have the same names, as their masks: `A/x.png B/x.png label/x.png`,
    with folders of splits above or below (`train/A/x.png`, `A/train/x.png`) or with lists of names (`list/train.txt`).
    Where nobody names the task, only folders called `A` and `B` or `before` and `after` beside masks are read so.

    Raises:
        UserError: the task is `change`, and there are no pairs, or none with a mask; or two images have one name.
    """
    if description.task not in (None, CHANGE):
        return None
    dated = read_dated(root, PLAIN if description.task is None else DATES)
    pairs = [] if dated is None else list(dated.pairs())
    if dated is None or not pairs or not dated.labels:
        if description.task is None:
            return None
        raise UserError(_missing(root, dated, pairs))
    return _layout(root, description, dated, pairs)


def read_dated(root: Path, names: Sequence[tuple[str, str]] = DATES) -> Dated | None:
    """Return the images of two dates under a folder, those of the first names that there are; None if there are none.

    Args:
        root: the folder.
        names: of the folders of both dates, in small letters.

    Raises:
        UserError: two images of one date have one name.
    """
    found = [(here, files) for here, _, files in walk(root, lambda name: suffix_of(name) in SUFFIXES, MOST_LEVELS)]
    keys = {folder_key(part) for here, files in found if files for part in here.relative_to(root).parts}
    for first, second in names:
        if {first, second} <= keys:
            before, after = (_keyed(root, found, {name}) for name in (first, second))
            called = (_called(root, before), _called(root, after))
            return Dated(before, after, _keyed(root, found, CHANGE_WORDS, {first, second}), called)
    return None


def _keyed(
    root: Path, found: Sequence[tuple[Path, list[str]]], names: set[str] | frozenset[str],
    others: set[str] | frozenset[str] = frozenset(),
) -> dict[str, Path]:  # fmt: skip
    """The files in folders of these names, by their path without that folder; files in `others` are none of them."""
    keyed: dict[str, Path] = {}
    for here, files in found:
        parts = here.relative_to(root).parts
        places = [place for place, part in enumerate(parts) if folder_key(part) in names]
        if not places or any(folder_key(part) in others for part in parts):
            continue
        rest = [part for place, part in enumerate(parts) if place != places[-1]]
        for name in files:
            path = here / name
            key = "/".join([*rest, stem(path)])
            if key in keyed:
                one, other = (file.relative_to(root) for file in (path, keyed[key]))
                raise UserError(f"{root}: {one} has the same name as {other}: rename one of them")
            keyed[key] = path
    return keyed


def _called(root: Path, files: Mapping[str, Path]) -> str:
    """The folder of the first file, as messages call it."""
    first = next(iter(files.values()), None)
    return "" if first is None else first.parent.relative_to(root).as_posix()


def _missing(root: Path, dated: Dated | None, pairs: Sequence[object]) -> str:
    if dated is None:
        return (
            f'{root}: task = "{CHANGE}" learns from pairs: put the images of both dates into A/ and B/ (or before/ and '
            "after/), and the masks of what changed into label/, all with the same names"
        )
    if not pairs:
        one, other = (next(iter(files.values())).name for files in (dated.before, dated.after))
        first, second = dated.names
        return (
            f"{root}: no image of {first} fits one of {second} by name (first {one} and {other}): give both dates of a "
            "place one name"
        )
    return f"{root}: no masks beside {dated.names[0]} and {dated.names[1]}: put them into label/"


def _layout(root: Path, description: Description, dated: Dated, pairs: Sequence[tuple[str, Path, Path]]) -> Layout:
    label_of = pair([key for key, _, _ in pairs], dated.labels).partner
    samples: dict[str | None, list[Sample]] = {}
    for key, before, after in pairs:
        parts = tuple(FileImage(path, (), description.channels, description.pages) for path in (before, after))
        image = CompositeImage(parts)
        target = None
        if key in label_of:
            mask = MaskFile(dated.labels[label_of[key]], before, description.objects, description.pages)
            target = Labels(mask, image)
        name = (before.parent.relative_to(root) / stem(before)).as_posix()
        split = split_of(before.parent.relative_to(root).parts)
        samples.setdefault(split, []).append(Sample(name, image, target, group_of(name, description.groups)))
    if not label_of:
        one, other = pairs[0][1], next(iter(dated.labels.values()))
        raise UserError(f"{root}: no mask fits a pair by name (first {one.name} and {other.name}): name them alike")
    by_split, alone = labeled(samples)
    lists = _listed(root)
    splits, origin = into_splits(by_split, description, lists, any(samples))
    used = set(label_of.values())
    return Layout(
        name=f"pairs of images in {dated.names[0]} and {dated.names[1]}, masks of what changed in "
        f"{_called(root, dated.labels)}",
        splits=ordered(splits),
        split_origin=origin,
        images_alone=() if lists[0] else tuple(alone),
        labels_alone=tuple(path for key, path in dated.labels.items() if key not in used),
        task=CHANGE,
        problems=tuple(_without_partner(root, dated)),
    )


def _without_partner(root: Path, dated: Dated) -> Iterator[Problem]:
    for path in dated.alone():
        what = "has no partner of the other date and is left out"
        fix = "add an image of the same name there, or remove it"
        yield Problem(path.relative_to(root).as_posix(), what, fix, "warning", "no partner")


def _listed(root: Path) -> tuple[dict[str, tuple[str, ...]], str]:
    """Names that `train.txt`, `val.txt` and `test.txt` list, and the folder that has these files."""
    for place in _LISTS:
        files = {split: root / place / f"{split}.txt" for split in ORDER}
        found = {split: file for split, file in files.items() if file.is_file()}
        if {"train"} <= set(found):
            for file in found.values():
                require_inside(root, file)
            return {split: read_names(file) for split, file in found.items()}, place if place != "." else "lists"
    return {}, ""
