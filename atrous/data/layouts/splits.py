"""Which sample is in which split: as folders, lists or dataset.toml say, and drawn where nobody does."""

import hashlib
import math
import unicodedata
from collections.abc import Mapping, Sequence

from atrous.data.description import Description
from atrous.data.sample import Sample
from atrous.errors import UserError

VAL_SHARE = 0.2
ORDER = ("train", "val", "test")
DRAWN = "val drawn from train"
"""What the origin of the splits says where nobody named a validation split."""


def ordered(splits: dict[str, list[Sample]]) -> dict[str, tuple[Sample, ...]]:
    """Splits in their order, the samples of each by name; empty ones are left out."""
    return {name: tuple(sorted(splits[name], key=lambda s: s.name)) for name in ORDER if splits.get(name)}


def name_hash(name: str) -> bytes:
    """The hash that orders names when a split is drawn: the same on every machine, whatever the folder's order."""
    return hashlib.blake2b(name.encode(errors="backslashreplace"), digest_size=8).digest()


def into_splits(
    samples: dict[str, list[Sample]],
    description: Description,
    lists: tuple[dict[str, tuple[str, ...]], str],
    in_folders: bool,
) -> tuple[dict[str, list[Sample]], str]:
    """Samples by split, and where the splits come from.

    Args:
        samples: as the folders have them; what no folder puts elsewhere is in train.
        description: whose `splits` go before all else.
        lists: names by split that the layout itself has, and the file that has them.
        in_folders: whether folders name splits.

    Raises:
        UserError: a list names a sample that there is not, or one twice; or `groups` fits no name.
    """
    listed, source = lists
    everything = [sample for members in samples.values() for sample in members]
    if description.groups and everything and not any(sample.group for sample in everything):
        said, first = f'groups = "{description.groups}"', everything[0].name
        raise UserError(f"{description.file}: {said} fits no name, such as {first}: correct it")
    if description.splits:
        splits = _declared(samples, dict(description.splits), str(description.file))
        origin = "dataset.toml"
    elif listed:
        pool = {"train": [s for split, members in samples.items() if split != "test" for s in members]}
        splits = _declared(pool | {"test": samples.get("test", [])}, dict(listed), source)
        origin = source
    else:
        splits, origin = samples, "folders" if in_folders else "no split folders"
    if splits.get("val") or len(splits.get("train", ())) < 2:
        return splits, origin
    val, train = _draw(splits["train"], VAL_SHARE)
    by = "name" if not any(sample.group for sample in val) else "group, which stay together"
    drawn = f"{DRAWN}: {len(val)} of {len(val) + len(train)} by the hash of the {by}, the same every time"
    return splits | {"train": train, "val": val}, f"{origin}; {drawn}"


def _declared(
    samples: dict[str, list[Sample]],
    wanted: dict[str, tuple[str, ...] | float],
    source: str,
) -> dict[str, list[Sample]]:
    """Splits as `wanted` says. Samples that it does not name stay where they are, or are left out if it lists train."""
    everything = {sample.name: sample for members in samples.values() for sample in members}
    home = {sample.name: split for split, members in samples.items() for sample in members}
    called = _called(everything)
    taken: dict[str, str] = {}
    for split, entry in wanted.items():
        for name in entry if isinstance(entry, tuple) else ():
            full = _resolve(name, everything, called, source)
            if taken.get(full, split) != split:
                raise UserError(f"{source}: {name} is in both {taken[full]} and {split}: leave it in one")
            taken[full] = split
    pool = [sample for name, sample in everything.items() if name not in taken and home[name] == "train"]
    count = len(pool)
    for split, share in wanted.items():
        if isinstance(share, float) and split != "train":
            drawn, pool = _draw(pool, share, count)
            taken |= {sample.name: split for sample in drawn}
    splits: dict[str, list[Sample]] = {}
    for name, sample in everything.items():
        if name in taken or home[name] != "train" or not isinstance(wanted.get("train"), tuple):
            splits.setdefault(taken.get(name, home[name]), []).append(sample)
    return splits


def _called(samples: Mapping[str, Sample]) -> dict[str, list[str]]:
    """Full names of the samples by all that lists may call them: with or without folder and suffix."""
    called: dict[str, list[str]] = {}
    for full, sample in samples.items():
        folder, slash, last = full.rpartition("/")
        for name in {full, last, sample.image.path.name, f"{folder}{slash}{sample.image.path.name}"}:
            called.setdefault(unicodedata.normalize("NFC", name), []).append(full)
    return called


def _resolve(name: str, samples: Mapping[str, Sample], called: Mapping[str, list[str]], source: str) -> str:
    """Full name of the sample that a list names.

    Lists such as VOC's have a number or a further file behind the name: its first word stands for a name with spaces
    that there is not.
    """
    for part in dict.fromkeys((name, *name.split()[:1])):
        if part in samples:
            return part
        hits = called.get(unicodedata.normalize("NFC", part), [])
        if len(hits) == 1:
            return hits[0]
        if hits:
            raise UserError(f"{source}: {part} in `splits` could be {hits[0]} or {hits[1]}: write the longer name")
    raise UserError(f"{source}: no image with a mask is named {name}: correct it in `splits`")


def _draw(samples: Sequence[Sample], share: float, count: int | None = None) -> tuple[list[Sample], list[Sample]]:
    """The `share` of the samples whose names hash lowest, at least one and never all; and the rest.

    Samples of one group have one hash, and are cut apart only when there is no other group.
    """
    ordered = sorted(samples, key=lambda sample: (name_hash(sample.group or sample.name), sample.name))
    wanted = math.floor((len(ordered) if count is None else count) * share + 0.5)
    cut = min(max(1, wanted), max(len(ordered) - 1, 0))
    borders = [i for i in range(1, len(ordered)) if not ordered[i].group or ordered[i].group != ordered[i - 1].group]
    if borders:
        cut = min(borders, key=lambda border: (abs(border - cut), border))
    return ordered[:cut], ordered[cut:]
