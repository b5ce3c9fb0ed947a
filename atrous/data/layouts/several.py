"""Which label files belong to an image that has several: one file per object, or per part of what is labeled."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from atrous.data.layouts.pairing import SEPARATORS, beginnings, pair

_NUMBER = re.compile(r"^(.*?)[-_. (]*(\d*)\)?$")
"""The end of a name: a word, and the number of one of several files."""


_NO_OBJECTS = frozenset({
    "class", "cls", "category", "cat", "type", "organ", "tissue", "channel", "ch",
    "annotator", "rater", "reader", "expert", "observer", "grader", "manual", "ho",
})  # fmt: skip
"""Words whose number says which class a file is of, or who drew it: such files are not merged."""


@dataclass(frozen=True)
class MaskNames:
    """The result of `masks_of`.

    Attributes:
        of_image: the names of the label files of every image that has some, in the order of their numbers.
        unclear: label files that fit an image by name, where they are neither one nor those of objects.
    """

    of_image: dict[str, tuple[str, ...]]
    unclear: dict[str, tuple[str, ...]]


def masks_of(images: Iterable[str], labels: Iterable[str]) -> MaskNames:
    """Find the label files of every image, by names (stems, with their subfolder).

    Most have one, which `pair` finds. Of the files that it leaves over, these belong to an image as well:

    1. all files in a folder that has the image's name (`x` and `x/1`, `x/2`), or in that of an image which is alone
       in its folder (`id7/id7` and `id7/3fa`, `id7/9c2`: Kaggle's nuclei), unless images share the names of their files
       (`x/liver`, `x/spleen`);
    2. files whose names go on with one word and a number (`x_mask` and `x_mask_1`; `x_1` and `x_2`), unless the word
       says that the number is that of a class or of an annotator.

    >>> masks_of(["a", "b"], ["a_mask", "a_mask_1", "b_mask"]).of_image
    {'a': ('a_mask', 'a_mask_1'), 'b': ('b_mask',)}
    >>> masks_of(["a"], ["a_left", "a_right"])
    MaskNames(of_image={}, unclear={'a': ('a_left', 'a_right')})
    """
    names, files = set(images), set(labels)
    numbered = _numbered(names, files)
    apart = {label for members in numbered.values() for label in members}
    found = pair(names - numbered.keys(), files - apart)
    of_image: dict[str, tuple[str, ...]] = {image: (label,) for image, label in found.partner.items()}
    left = {*found.labels_alone, *apart}
    unclear: dict[str, tuple[str, ...]] = {}
    in_folders = _in_folders([*found.images_alone, *sorted(numbered)], names, left, set(found.partner.values()))
    are_kinds = _share_words(in_folders.values())
    for image, members in in_folders.items():
        (unclear if are_kinds and len(members) > 1 else of_image)[image] = members
        left -= set(members)
    for image, more in _longer(names, left).items():
        members = tuple(sorted({*of_image.get(image, ()), *more}, key=_natural))
        words = {_word(image, member) for member in members}
        if len(words) == 1 and not words & _NO_OBJECTS and (words != {""} or image not in members):
            of_image[image] = members
        elif image not in of_image and len(members) > 1:
            unclear[image] = members
    return MaskNames(of_image, unclear)


def endings(labels: Sequence[str]) -> tuple[str, ...]:
    """Return how the names of label files end, where they have the same few ends for every image.

    >>> endings(["a_color", "a_ids", "b_color", "b_ids"]), endings(["a_1", "b_2"])
    (('_color', '_ids'), ())
    """
    marks = re.escape(SEPARATORS)
    counts = Counter(re.split(f"(?=[{marks}][^{marks}]*$)", name)[-1] for name in labels)
    alike = len(set(counts.values())) == 1 and min(counts.values(), default=0) > 1
    return tuple(sorted(counts)) if alike and 1 < len(counts) <= len(labels) // 2 else ()


def _numbered(names: set[str], labels: set[str]) -> dict[str, list[str]]:
    """The files of objects that lie in the folder of an image which is alone there, and are told apart by a number.

    `pair` would take the number of one of them for that of the image (`cell1/cell1` and `cell1/1`), and leave the
    others over. Files that are called as their image is, and further words (`x_mask`), are no such files.

    >>> _numbered({"a1/a1", "a2/a2"}, {"a1/1", "a1/2", "a2/1"})
    {'a1/a1': ['a1/1', 'a1/2']}
    """
    crowd = Counter(os.path.dirname(name) for name in names)
    folders: dict[str, list[str]] = {}
    for label in sorted(labels):
        folders.setdefault(os.path.dirname(label), []).append(label)
    alone = sorted(name for name in names if crowd[os.path.dirname(name)] == 1)
    found: dict[str, list[str]] = {}
    for image, folder in zip(alone, map(os.path.dirname, alone), strict=True):
        members = folders.get(folder, [])
        words = {_word("", os.path.basename(member)) for member in members}
        called = any(image in (member, *beginnings(member)) or member in beginnings(image) for member in members)
        if folder and folder not in names and len(members) > 1 and len(words) == 1 and not words & _NO_OBJECTS:
            own = os.path.basename(folder) == os.path.basename(image)
            if not called and (own or not pair([image], members).partner):
                found[image] = members
    named = all(os.path.basename(os.path.dirname(image)) == os.path.basename(image) for image in found)
    return found if named or len(found) > 1 else {}


def _in_folders(alone: Iterable[str], names: set[str], left: set[str], taken: set[str]) -> dict[str, tuple[str, ...]]:
    """Label files of images without a partner, by the folder that is theirs."""
    folders: dict[str, list[str]] = {}
    for label in left:
        folders.setdefault(os.path.dirname(label), []).append(label)
    paired = {os.path.dirname(label) for label in taken}
    crowd = Counter(os.path.dirname(name) for name in names)
    own: dict[str, str] = {}
    for image in alone:
        folder = os.path.dirname(image)
        if image in folders:
            own[image] = image
        elif folder in folders and folder and crowd[folder] == 1 and folder not in names:
            own[image] = folder
    several = len(own) > 1
    return {
        image: tuple(sorted(folders[folder], key=_natural))
        for image, folder in own.items()
        if folder not in paired and (several or os.path.basename(folder) == os.path.basename(image))
    }


def _share_words(folders: Iterable[Sequence[str]]) -> bool:
    """Whether folders hold files of the same names, such as those of organs: each stands for a class, not an object.

    >>> _share_words([["a/liver", "a/lung"], ["b/lung", "b/liver"]]), _share_words([["a/1", "a/2"], ["b/1", "b/2"]])
    (True, False)
    """
    words = [[_word("", os.path.basename(name)) for name in names] for names in folders]
    several = [own for own in words if len(own) > 1]
    counts = Counter(word for own in several for word in own)
    once = all(len(set(own)) == len(own) for own in several)
    return once and len(several) > 1 and all(2 * count >= len(several) and word for word, count in counts.items())


def _longer(names: set[str], left: Iterable[str]) -> dict[str, list[str]]:
    """Label files by the longest name of an image that their own names go on from."""
    by_image: dict[str, list[str]] = {}
    for label in sorted(left):
        image = next((part for part in beginnings(label) if part in names), None)
        if image is not None:
            by_image.setdefault(image, []).append(label)
    return by_image


def _word(image: str, label: str) -> str:
    """What a label's name says beyond that of its image, without separators and number.

    >>> _word("a (4)", "a (4)_mask_1"), _word("a", "a_2"), _word("a", "a")
    ('mask', '', '')
    """
    rest = label[len(image) :] if label.startswith(image) else os.path.basename(label)
    match = _NUMBER.match(rest)
    return (match[1] if match else rest).strip(SEPARATORS).lower()


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts numbers in names as numbers."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
