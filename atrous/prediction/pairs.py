"""The inputs of change detection: two images of one place, in two folders, or two files joined by a plus sign."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from atrous.data.formats import label_suffix, stem
from atrous.data.layouts.changes import read_dated
from atrous.errors import UserError
from atrous.prediction.inputs import Input, find_inputs

SIGN = "+"
"""What joins the files of both dates: `before.tif+after.tif`."""
IMAGES = 2


def find_pairs(
    given: Sequence[str | Path],
    *,
    ndim: int,
    channels: int,
    out: Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Input]:
    """Find the pairs of images that are named, in order, each once.

    Args:
        given: each is `BEFORE+AFTER`, two files; a folder with the images of both dates in folders of their own, as for
            training (`A/` and `B/`); or files, folders and globs of images that hold the channels of both dates.
        ndim: number of spatial axes that the network reads.
        channels: number of channels that the network reads, those of both dates.
        out: folder of the outputs; files in it are no inputs.
        tell: called with a line about what is left out.

    Raises:
        UserError: nothing is found, or two pairs would write the same output.
    """
    found: dict[Path, Input] = {}
    for entry in given:
        both = split_pair(entry)
        if both is not None:
            items = [pair_input(both, Path(stem(both[0])), ndim)]
        elif Path(entry).is_dir() and (dated := read_dated(Path(entry))) is not None:
            items = [pair_input((before, after), Path(key), ndim) for key, before, after in dated.pairs()]
            if not items:
                first, second = dated.names
                raise UserError(f"{entry}: no image of {first} fits one of {second} by name: name both dates alike")
            for path in dated.alone():
                tell(f"{path}: is left out, as it has no partner of the other date")
        else:
            items = find_inputs([entry], ndim=ndim, channels=channels, out=out, tell=tell)
        for item in items:
            other = found.setdefault(item.relative, item)
            if other.files != item.files:
                raise UserError(
                    f"{other.path} and {item.path} would both be written to {item.relative}: predict them into "
                    "different folders"
                )
    return list(found.values())


def split_pair(entry: str | Path) -> tuple[Path, Path] | None:
    """Return the two files that `BEFORE+AFTER` names; None where it is no such text, or a file of that name.

    >>> split_pair("scene.png") is None
    True
    """
    text = str(entry)
    if SIGN not in text or Path(text).exists():
        return None
    places = [place for place, letter in enumerate(text) if letter == SIGN]
    halves = [(Path(text[:place]), Path(text[place + 1 :])) for place in places]
    there = next((half for half in halves if half[0].exists() and half[1].exists()), None)
    if there is None and len(halves) == 1:
        lacking = next(half for half in halves[0] if not half.exists())
        raise UserError(f"{lacking}: no such file: give BEFORE{SIGN}AFTER, two files of one place")
    return there


def pair_input(files: tuple[Path, Path], place: Path, ndim: int) -> Input:
    """Return two files as one input, whose labels go to `place` with the suffix that fits the first file."""
    return Input(files, place.with_name(place.name + label_suffix(files[0], ndim)))


def as_input(source: Any, images: int, ndim: int) -> Any:
    """Return paths as an input, and any other value as it is.

    Args:
        source: a path; for two images also `BEFORE+AFTER` or a pair of paths.
        images: how many images an input is made of.
        ndim: number of spatial axes that the network reads.

    Raises:
        UserError: two images are joined, and one is not there.
    """
    if images == IMAGES and isinstance(source, tuple | list):
        if len(source) == IMAGES and all(isinstance(part, str | Path) for part in source):
            before, after = (Path(part) for part in source)
            return pair_input((before, after), Path(stem(before)), ndim)
        return source
    if not isinstance(source, str | Path):
        return source
    both = split_pair(source) if images == IMAGES else None
    if both is not None:
        return pair_input(both, Path(stem(both[0])), ndim)
    return Input((Path(source),), Path(Path(source).name))
