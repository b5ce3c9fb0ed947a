"""`dataset.toml`: what a person says of a data set, where the folder alone does not."""

import difflib
import math
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from atrous.data.background import Background
from atrous.data.formats import color_code
from atrous.data.formats.column_roles import ColumnRule, parse_columns
from atrous.data.genomes.track_rule import TrackRule, parse_tracks
from atrous.data.inside import is_plain_name, require_inside
from atrous.data.pages import KINDS
from atrous.data.plain_text import read_text
from atrous.data.targets.annotations import Rule, parse_rule
from atrous.errors import UserError

FILE_NAME = "dataset.toml"
MOST_CLASSES = 254
_SPLITS = ("train", "val", "test")

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Description:
    """The keys of `dataset.toml`; None where it says nothing.

    Attributes:
        file: the file that was read, None without one.
        task: what is learned (a name in `tasks/table.py`); None leaves it to the layout.
        classes: class names, in label order.
        ignore: file values that count for nothing.
        ignore_colors: colors that count for nothing, as `0xRRGGBB`.
        values: file value of each class, where that is not its position (`[0, 255]`).
        palette: RGB of each class, to draw it and to read masks that store colors.
        channels: number of channels that every image is brought to (1 or 3), or of those it must have.
        nodata: values of images, volumes and signals that mean "nothing was measured here".
        objects: label values number objects: 0 where all but 0 are of the foreground, else n of class * n + number.
        channel_names: their names, when names are given instead of a number.
        spacing: distance between neighboring positions along each axis, in the user's unit.
        sampling_rate: samples per second of signals.
        video: whether folders of images are frames of videos; None: as their names say.
        kind: which layout the folder has (a name in `layouts/table.py`); None: the first one that fits.
        groups: a regular expression that finds in a sample's name what it comes from (a patient, say).
        annotations: how annotations of recordings become labels per sample.
        columns: which column of a table is what.
        tracks: which signals of genomes are learned, and which are given.
        splits: split name to a list of samples, to a share of them, or to a text file that lists them.
        attribute: of polygons that label maps and slides, the attribute that holds the class.
        pages: how pages of a TIFF are read: `z` as slices of a volume, `channels`; `rows` of arrays, as channels too.
        images: folder name or path of the images.
        masks: folder name or path of the labels.
        mask_suffix: how the names of masks end, without the suffix of the format, where folders hold other files as
            well; several of them are one class each.
        pairs: of a restoration, whether degraded and clean images are given; False takes every image as a clean one
            that is its own target, None decides by the folders.
        rotated: of detection, whether boxes lie in any direction; None decides by what the files hold.
        boundaries: of edges, whether masks show regions, whose boundaries are learned; None decides by their looks.
        noisy: of a restoration, whether images that are their own targets are noisy ones; settings say it.
        background: of motion, how the background of a frame is found; settings say it, None leaves it as it is.
    """

    file: Path | None = None
    task: str | None = None
    classes: tuple[str, ...] | None = None
    ignore: tuple[int, ...] | None = None
    ignore_colors: tuple[int, ...] = ()
    values: tuple[int, ...] | None = None
    palette: tuple[Color, ...] | None = None
    channels: int | None = None
    channel_names: tuple[str, ...] | None = None
    objects: int | None = None
    nodata: tuple[float, ...] = ()
    spacing: tuple[float, ...] | None = None
    sampling_rate: float | None = None
    video: bool | None = None
    kind: str | None = None
    groups: str | None = None
    annotations: Rule = field(default_factory=Rule)
    columns: ColumnRule | None = None
    tracks: TrackRule | None = None
    splits: dict[str, tuple[str, ...] | float] = field(default_factory=dict)
    attribute: str | None = None
    pages: str | None = None
    images: str | None = None
    masks: str | None = None
    mask_suffix: tuple[str, ...] | None = None
    pairs: bool | None = None
    noisy: bool = False
    rotated: bool | None = None
    boundaries: bool | None = None
    background: Background | None = None


_NO_KEYS = ("file", "channel_names", "ignore_colors", "noisy", "background")
KEYS = tuple(f.name for f in fields(Description) if f.name not in _NO_KEYS)
"""The keys that `dataset.toml` may have."""


def read_description(root: Path, toml: Path | None = None, task: str | None = None) -> Description:
    """Read `toml`, or `dataset.toml` in `root`; an empty description when there is none.

    Args:
        root: the folder of the data set.
        toml: a dataset.toml that lies elsewhere.
        task: what is learned, in place of what the file says; None leaves it to the file.

    Raises:
        UserError: there is no such task; else as `described_in`.
    """
    description = described_in(root, toml)
    if task is None:
        return description
    _task(task, Path("--task"), root)
    return replace(description, task=task)


def described_in(root: Path, toml: Path | None) -> Description:
    """Return what `toml` says, or `dataset.toml` in `root`.

    Raises:
        UserError: the file is missing though named, is not TOML, has an unknown key (the nearest known one is
            named), or a value of the wrong kind.
    """
    file = root / FILE_NAME if toml is None else toml
    if not file.is_file():
        if toml is not None:
            raise UserError(f"{toml}: no such file: give the path of a dataset.toml")
        _require_no_other(root)
        return Description()
    try:
        content = tomllib.loads(read_text(file))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{file}: not valid TOML ({error}): fix that line") from error
    for key in content:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
            hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(KEYS)}"
            raise UserError(f"{file}: unknown key `{key}`: {hint}")
    found: dict[str, Any] = {key: _PARSERS[key](value, file, root) for key, value in content.items()}
    if isinstance(found.get("channels"), tuple):
        found["channel_names"] = found["channels"]
        found["channels"] = len(found["channels"])
    if "ignore" in found:
        found["ignore"], found["ignore_colors"] = found["ignore"]
    if found.get("kind") == "videos":
        found.setdefault("video", True)
    described = Description(file=file, **found)
    _agree(described)
    return described


def _require_no_other(root: Path) -> None:
    """Raise if a file is meant to be dataset.toml, under another name: editors of Windows add a hidden `.txt`."""
    meant = (FILE_NAME, f"{FILE_NAME}.txt")
    other = next((path for path in root.iterdir() if path.name.lower() in meant), None) if root.is_dir() else None
    if other is not None:
        raise UserError(f"{other}: is not read under this name: rename it to {FILE_NAME}")


def _agree(described: Description) -> None:
    """Raise where two keys contradict each other."""
    file, classes = described.file, described.classes
    for key, given in (("values", described.values), ("palette", described.palette)):
        if given is not None and classes is not None and len(given) != len(classes):
            raise UserError(f"{file}: {len(given)} `{key}` for {len(classes)} `classes`: give one for each class")
    if described.sampling_rate is not None and described.spacing is not None:
        raise UserError(f"{file}: both `sampling_rate` and `spacing` are given: keep one")
    if described.kind is not None and described.video is not None and described.video != (described.kind == "videos"):
        raise UserError(
            f'{file}: `kind` is "{described.kind}" and `video` is {str(described.video).lower()}: keep one of the two'
        )
    if described.values is not None:
        both = sorted(set(described.values) & set(described.ignore or ()))
        if both:
            raise UserError(f"{file}: value {both[0]} is in both `values` and `ignore`: take it out of one")
    for color in described.palette or ():
        if color_code(color) in described.ignore_colors:
            raise UserError(f"{file}: the color {list(color)} is in both `palette` and `ignore`: take it out of one")


def _wrong(file: Path, key: str, wanted: str, value: object) -> UserError:
    return UserError(f"{file}: `{key}` must be {wanted}, not {value!r}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _task(value: object, file: Path, _: Path) -> str:
    from atrous.tasks.table import TASKS

    if value not in TASKS:
        raise _wrong(file, "task", " or ".join(f'"{task}"' for task in TASKS), value)
    return str(value)


def _classes(value: object, file: Path, _: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
        raise _wrong(file, "classes", 'a list of names such as ["background", "cell"]', value)
    if len(set(value)) < len(value):
        twice = next(name for name in value if value.count(name) > 1)
        raise UserError(f'{file}: `classes` has "{twice}" twice: give each class its own name')
    if len(value) > MOST_CLASSES:
        raise UserError(f"{file}: {len(value)} classes, but labels are kept in 8 bits: at most {MOST_CLASSES}")
    return tuple(value)


def _ignore(value: object, file: Path, _: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Values and colors."""
    entries: list[Any] = value if isinstance(value, list) else [value]
    if not all(_is_int(entry) or _is_color(entry) for entry in entries):
        raise _wrong(file, "ignore", "a list of label values such as [255], or of colors such as [[0, 0, 0]]", value)
    colors = tuple(color_code(entry) for entry in entries if isinstance(entry, list))
    return tuple(entry for entry in entries if isinstance(entry, int)), colors


def _values(value: object, file: Path, _: Path) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(_is_int(entry) for entry in value):
        raise _wrong(file, "values", "the file value of each class, such as [0, 255]", value)
    if len(set(value)) < len(value):
        raise UserError(f"{file}: `values` has a value twice: give each class its own value")
    return tuple(value)


def _is_color(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_is_int(v) and 0 <= v <= 255 for v in value)


def _palette(value: object, file: Path, _: Path) -> tuple[Color, ...]:
    if not isinstance(value, list) or not value or not all(_is_color(entry) for entry in value):
        raise _wrong(file, "palette", "a list of colors such as [[0, 0, 0], [255, 0, 0]]", value)
    colors = tuple((entry[0], entry[1], entry[2]) for entry in value)
    if len(set(colors)) < len(colors):
        raise UserError(f"{file}: `palette` has a color twice: give each class its own color")
    return colors


def _channels(value: object, file: Path, _: Path) -> int | tuple[str, ...]:
    if isinstance(value, int) and _is_int(value) and value > 0:
        return value
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise _wrong(file, "channels", 'a number such as 3, or names such as ["red", "green", "blue"]', value)


def _spacing(value: object, file: Path, _: Path) -> tuple[float, ...]:
    entries: list[Any] = value if isinstance(value, list) else [value]
    if not entries or not all(_is_distance(entry) for entry in entries):
        raise _wrong(file, "spacing", "the distance between positions along each axis, such as [0.5, 0.5]", value)
    return tuple(float(entry) for entry in entries)


def _is_distance(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _sampling_rate(value: object, file: Path, _: Path) -> float:
    if not _is_distance(value):
        raise _wrong(file, "sampling_rate", "samples per second, such as 250", value)
    return float(str(value))


def _yes(key: str) -> Callable[[object, Path, Path], bool]:
    def parse(value: object, file: Path, _: Path) -> bool:
        if not isinstance(value, bool):
            raise _wrong(file, key, "true or false", value)
        return value

    return parse


def _groups(value: object, file: Path, _: Path) -> str:
    try:
        if isinstance(value, str) and value and re.compile(value):
            return value
    except re.error as error:
        raise UserError(f"{file}: `groups` is no regular expression ({error}): fix it") from error
    raise _wrong(file, "groups", 'a regular expression for the names of samples, such as "^patient(\\d+)"', value)


def _objects(value: object, file: Path, _: Path) -> int | None:
    if isinstance(value, bool):
        return 0 if value else None
    if isinstance(value, int) and value > 1:
        return value
    raise _wrong(file, "objects", "true (every value but 0 is an object), or the n of values class * n + number", value)


def _nodata(value: object, file: Path, _: Path) -> tuple[float, ...]:
    entries: list[Any] = value if isinstance(value, list) else [value]
    if not entries or not all(isinstance(entry, int | float) and not isinstance(entry, bool) for entry in entries):
        raise _wrong(file, "nodata", "a value such as -9999, or a list of such values", value)
    return tuple(float(entry) for entry in entries)


def _pages(value: object, file: Path, _: Path) -> str:
    if value not in KINDS:
        raise _wrong(file, "pages", '"z" (slices of a volume), "channels" or "rows" (of arrays, as channels)', value)
    return str(value)


def _splits(value: object, file: Path, root: Path) -> dict[str, tuple[str, ...] | float]:
    if not isinstance(value, dict) or not value:
        raise _wrong(file, "splits", 'a table such as [splits] with val = 0.2 or val = ["name1", "name2"]', value)
    splits: dict[str, tuple[str, ...] | float] = {}
    for name, entry in value.items():
        if name not in _SPLITS:
            raise UserError(f"{file}: unknown split `{name}` in `splits`: known are {', '.join(_SPLITS)}")
        if isinstance(entry, str):
            splits[name] = _listed(file, root, entry)
        elif isinstance(entry, list) and all(isinstance(sample, str) for sample in entry):
            splits[name] = tuple(entry)
        elif isinstance(entry, float) and 0 < entry < 1:
            splits[name] = entry
        else:
            raise _wrong(file, f"splits.{name}", "names, a share such as 0.2, or a text file of names", entry)
    shares = [entry for entry in splits.values() if isinstance(entry, float)]
    if sum(shares) > 1:
        raise UserError(f"{file}: the shares in `splits` add up to {sum(shares):g}: make them at most 1")
    return splits


def _listed(file: Path, root: Path, name: str) -> tuple[str, ...]:
    if not is_plain_name(name):
        raise UserError(f"{file}: `splits` names {name[:80]!r}, outside of its folder: put it beside dataset.toml")
    for folder in (file.parent, root):
        if (folder / name).is_file():
            require_inside(folder, folder / name)
            return read_names(folder / name)
    raise UserError(f"{file}: `splits` names {name}, which is not there: put it beside dataset.toml")


def read_names(file: Path) -> tuple[str, ...]:
    """Lines of a text file that lists names, one a line.

    Raises:
        UserError: it is neither UTF-8 nor UTF-16.
    """
    return tuple(line.strip() for line in read_text(file).splitlines() if line.strip())


def _kind(value: object, file: Path, _: Path) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(file, "kind", 'what the folder holds, such as "images", "recordings" or "videos"', value)
    return value


def _mask_suffix(value: object, file: Path, _: Path) -> tuple[str, ...]:
    entries: list[Any] = value if isinstance(value, list) else [value]
    if not entries or not all(isinstance(entry, str) and entry for entry in entries):
        raise _wrong(
            file, "mask_suffix", 'the end of the names of masks, such as "_labelIds", or one for a class', value
        )
    if len(set(entries)) < len(entries):
        raise UserError(f"{file}: `mask_suffix` has an end twice: give each class its own")
    return tuple(entries)


def _name(key: str, what: str) -> Callable[[object, Path, Path], str]:
    def parse(value: object, file: Path, _: Path) -> str:
        if not isinstance(value, str) or not value:
            raise _wrong(file, key, f"the name of {what}", value)
        return value

    return parse


_PARSERS: dict[str, Callable[[object, Path, Path], Any]] = {
    "kind": _kind,
    "task": _task,
    "classes": _classes,
    "ignore": _ignore,
    "values": _values,
    "palette": _palette,
    "channels": _channels,
    "spacing": _spacing,
    "sampling_rate": _sampling_rate,
    "video": _yes("video"),
    "pairs": _yes("pairs"),
    "rotated": _yes("rotated"),
    "boundaries": _yes("boundaries"),
    "groups": _groups,
    "annotations": parse_rule,
    "columns": parse_columns,
    "tracks": parse_tracks,
    "splits": _splits,
    "nodata": _nodata,
    "objects": _objects,
    "pages": _pages,
    "attribute": _name("attribute", "an attribute of polygons"),
    "images": _name("images", "a folder"),
    "masks": _name("masks", "a folder"),
    "mask_suffix": _mask_suffix,
}
