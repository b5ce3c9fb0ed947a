"""Which label file belongs to which image, judged by their names."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

AFFIXES = (
    "mask", "masks", "label", "labels", "seg", "segmentation", "annotation", "annot", "gt", "groundtruth", "truth",
    "target", "manual", "manual1", "1stho", "image", "img", "im", "photo", "rgb", "training", "train", "test", "val",
    "l", "p", "0000", "bin", "binary", "sat", "leftimg8bit", "gtfine", "gtcoarse", "labelids", "labeltrainids", "cp",
    "dots", "dot",
)  # fmt: skip
"""Words that people put before or after a common name to say what a file is."""

SEPARATORS = "_-. "


@dataclass(frozen=True)
class Pairs:
    """Result of `pair`: image name to label name, and what found no partner."""

    partner: dict[str, str]
    images_alone: tuple[str, ...]
    labels_alone: tuple[str, ...]


def pair(images: Iterable[str], labels: Iterable[str]) -> Pairs:
    """Pair image and label names (stems, with their subfolder).

    Three rules in this order, each for the names that the one before left over; a rule pairs only names that it
    maps to one key on both sides, so nothing is ever paired by guess:

    1. the same name;
    2. one name is the other plus a separator and more (`scan1` and `scan1_mask`; `case_0000` and `case`);
    3. the same name without what says only what the file is: first the words in `AFFIXES` (`img_7` and `mask_7`,
       `21_training` and `21_manual1`), then the beginning and end that all names of one side share, cut at a
       separator (`site_A_7_raw` and `truth_of_A_7`, if every image ends in `_raw` and every label begins so) or
       beside a number (`in0007` and `gt0007`, `001cell` and `001dots`).

    >>> pair(["21_training", "22_training"], ["21_manual1"])
    Pairs(partner={'21_training': '21_manual1'}, images_alone=('22_training',), labels_alone=())
    """
    ours, theirs = _composed(images), _composed(labels)
    left, right = sorted(ours), sorted(theirs)
    partner: dict[str, str] = {}
    for keys in (_same, _extended, _without_words, _without_shared):
        joined = _join(*keys(left, right))
        partner |= joined
        left = [name for name in left if name not in joined]
        taken = set(joined.values())
        right = [name for name in right if name not in taken]
    return Pairs(
        {ours[name]: theirs[partner[name]] for name in sorted(partner)},
        tuple(ours[name] for name in left),
        tuple(theirs[name] for name in right),
    )


def _composed(names: Iterable[str]) -> dict[str, str]:
    """Names with accents in one letter, and what they were; macOS writes them in two. Two that would be one stay."""
    forms = {name: unicodedata.normalize("NFC", name) for name in set(names)}
    counts = Counter(forms.values())
    return {form if counts[form] == 1 else name: name for name, form in forms.items()}


def _join(left: Mapping[str, str], right: Mapping[str, str]) -> dict[str, str]:
    """Names of both sides whose key occurs exactly once on each side."""
    ours, theirs = _unique(left), _unique(right)
    return {name: theirs[key] for key, name in ours.items() if key in theirs}


def _unique(keys: Mapping[str, str]) -> dict[str, str]:
    names: dict[str, list[str]] = {}
    for name, key in keys.items():
        names.setdefault(key, []).append(name)
    return {key: joined[0] for key, joined in names.items() if len(joined) == 1 and os.path.basename(key)}


def _same(left: list[str], right: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    return {name: name for name in left}, {name: name for name in right}


def _extended(left: list[str], right: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Key of a name: the longest name of the other side that it extends, else itself."""
    return _shortened(left, set(right)), _shortened(right, set(left))


def _shortened(names: list[str], others: set[str]) -> dict[str, str]:
    return {name: next((part for part in beginnings(name) if part in others), name) for name in names}


def beginnings(name: str) -> list[str]:
    """What stands before each separator of the file's own name, longest first."""
    start = name.rfind("/") + 1
    cuts = [i for i, letter in enumerate(name) if letter in SEPARATORS and i > start]
    return [name[:cut] for cut in reversed(cuts)]


def _without_words(left: list[str], right: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    return {name: _bare(name) for name in left}, {name: _bare(name) for name in right}


def _bare(name: str) -> str:
    """The name without the words of `AFFIXES` at its ends."""
    folder, file = os.path.split(name)
    words = [word for word in re.split(f"[{re.escape(SEPARATORS)}]", file) if word]
    while len(words) > 1 and words[-1].lower() in AFFIXES:
        words.pop()
    while len(words) > 1 and words[0].lower() in AFFIXES:
        words.pop(0)
    return os.path.join(folder, "_".join(words))


def _without_shared(left: list[str], right: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    return _trimmed(left), _trimmed(right)


def _trimmed(names: list[str]) -> dict[str, str]:
    """Names without the beginning and end that all of them share, both cut back to a separator, or to a number."""
    files = {name: os.path.split(name) for name in names}
    last = [file for _, file in files.values()]
    if len(last) < 2:
        return {}
    head, tail = _common_beginning(last), _common_beginning([file[::-1] for file in last])[::-1]
    numbers = [match.start() for match in re.finditer(r"(?<=[^\W\d_])\d", head + min(last)[len(head) : len(head) + 1])]
    start = max([i + 1 for i, letter in enumerate(head) if letter in SEPARATORS] + numbers, default=0)
    end = next((len(tail) - i for i, letter in enumerate(tail) if letter in SEPARATORS), 0)
    letters = re.search(r"[^\W\d_]+$", tail)
    if not end and letters and all(file[: len(file) - len(letters[0])][-1:].isdigit() for file in last):
        end = len(letters[0])
    return {name: os.path.join(folder, file[start : len(file) - end]) for name, (folder, file) in files.items()}


def _common_beginning(words: list[str]) -> str:
    low, high = min(words), max(words)
    same = next((i for i, letter in enumerate(low) if letter != high[i]), len(low))
    return low[:same]
