"""The few numbers of a data set from which a training is planned."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

import numpy as np

from atrous.data.check.intervals import shortest_intervals
from atrous.data.check.points import PointFacts, point_facts
from atrous.data.check.values import ValueFacts, value_facts
from atrous.data.dataset import Dataset
from atrous.data.formats import Header
from atrous.data.formats.orient import axis_codes
from atrous.data.moments import Moments, merge
from atrous.data.sample import Sample
from atrous.data.scan import Scan
from atrous.data.targets.instances import typical_sides
from atrous.data.targets.upside_down import alike_upside_down
from atrous.errors import UserError

PICTURES = ("bilevel", "gray", "gray+alpha", "rgb", "rgb+alpha", "palette", "cmyk")
"""Kinds of files (`Header.kind`) that hold pictures; with `channels = 3` in dataset.toml gray ones become color."""


@dataclass(frozen=True)
class Sizes:
    """Smallest, median and largest size of the images along each axis, in positions."""

    min: tuple[int, ...]
    median: tuple[int, ...]
    max: tuple[int, ...]


@dataclass(frozen=True)
class Spacings:
    """Smallest, median and largest distance of neighboring positions along each axis."""

    min: tuple[float, ...]
    median: tuple[float, ...]
    max: tuple[float, ...]


@dataclass(frozen=True)
class Foreground:
    """Intensities of each channel where labels are not 0: percentiles 0.5 and 99.5, mean and deviation between."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Fingerprint:
    """What planning must know of a data set; lengths in positions, intensities in the file's units.

    Attributes:
        channels: channels of the images as they are loaded (those of most images).
        dtype: uint8, uint16 or float32 (that of most images).
        sizes: of the images of all splits.
        images: how many, per split.
        positions: how many in all, per split.
        class_frequency: share of each class in the labeled positions of train (of all splits without train).
        mean: of each channel, over train.
        std: of each channel, over train.
        minimum: least intensity in train.
        maximum: greatest intensity in train.
        bytes_decoded: memory that all images and labels take, decoded.
        case_scale: how many times as far the intensities of one image spread as those of another (95th to 5th
            percentile of the deviations, the greatest over channels).
        spacing: of the images, where dataset.toml or the files say it.
        foreground: of volumes.
        shortest: of genomes, per channel: half of the length that all but a hundredth of the intervals in train have;
            of recordings with a class at each sample, per class: samples of the shortest interval in train
            (`atrous.data.check.intervals`).
        codes: of genomes: the genetic codes that the annotated genes of train obey; empty where they obey none.
        channel_names: names of the channels, as the files have them; empty where they have none.
        color: whether the images are 8-bit pictures in color.
        orientation: where the axes i, j, k of all volumes point, such as `RAS`; "" where they differ or nobody says it.
        upright: whether up and down differ in the images: not on maps, nor under a microscope, nor where the objects
            in boxes look the same upside down.
        box_sides: of boxes in train, per axis: sides of small, typical and large ones (percentiles 10, 50 and 90 of
            each class: the least, the geometric mean and the greatest of them over the classes); empty without boxes.
        object_sizes: positions of an object in train (of volumes, on the grid of the median spacing): percentiles 5, 50
            and 95; empty where targets are no objects.
        object_sides: of volumes, how many positions an object in train spans along each axis on that grid: geometric
            means over those that no border cuts; empty where these are few, and without objects.
        points: what is known of the points; None where targets are none.
        values: what is known of the numbers that are learned; None where targets are none.
        star_iou: how well a star-convex polygon (polyhedron) reproduces an object in train, the mean of some; None
            where targets are no objects in images or volumes.
    """

    channels: int
    dtype: str
    sizes: Sizes
    images: dict[str, int]
    positions: dict[str, int]
    class_frequency: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    minimum: float
    maximum: float
    bytes_decoded: int
    case_scale: float = 1.0
    spacing: Spacings | None = None
    foreground: Foreground | None = None
    shortest: tuple[int, ...] | None = None
    codes: tuple[int, ...] = ()
    upright: bool = True
    channel_names: tuple[str, ...] = ()
    color: bool = False
    object_sizes: tuple[float, ...] = ()
    object_sides: tuple[float, ...] = ()
    orientation: str = ""
    points: PointFacts | None = None
    box_sides: tuple[tuple[float, ...], ...] = ()
    values: ValueFacts | None = None
    star_iou: float | None = None

    @property
    def ndim(self) -> int:
        """Spatial axes."""
        return len(self.sizes.max)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them; `from_dict` gives the same fingerprint back."""
        return asdict(self)


def from_dict(content: Mapping[str, Any]) -> Fingerprint:
    """The fingerprint that `to_dict` wrote, JSON's lists made tuples again.

    Raises:
        UserError: a field is missing.
    """
    try:
        sizes = Sizes(**{key: tuple(content["sizes"][key]) for key in ("min", "median", "max")})
        tuples = {key: tuple(content[key]) for key in ("class_frequency", "mean", "std")}
        tuples |= {
            key: tuple(content.get(key, ())) for key in ("channel_names", "object_sizes", "object_sides", "codes")
        }
        tuples["box_sides"] = tuple(tuple(row) for row in content.get("box_sides", ()))
        more: dict[str, Any] = {}
        for key, kind in (("spacing", Spacings), ("foreground", Foreground)):
            ranges = content.get(key)
            more[key] = None if ranges is None else kind(**{name: tuple(row) for name, row in ranges.items()})
        points = content.get("points")
        if points is not None:
            points = PointFacts(**{**points, **{key: tuple(points.get(key, ())) for key in ("apart", "spaced")}})
        more["points"] = points
        values = content.get("values")
        more["values"] = (
            None if values is None else ValueFacts(**{**values, **{key: tuple(values[key]) for key in ("mean", "std")}})
        )
        more["shortest"] = None if content.get("shortest") is None else tuple(content["shortest"])
        return Fingerprint(**{**content, **tuples, **more, "sizes": sizes})
    except (KeyError, TypeError) as error:
        raise UserError(f"fingerprint: a field is missing or unknown ({error}): run the check again") from error


def fingerprint(dataset: Dataset, scans: Sequence[Scan]) -> Fingerprint:
    """Fingerprint from the scans of a data set; files that could not be read are left out.

    Raises:
        UserError: not one image could be read.
    """
    good = [(one, one.image, one.moments) for one in scans if one.image is not None and one.moments is not None]
    if not good:
        failures = [failure for one in scans for failure in one.failures]
        raise failures[0] if failures else UserError(f"{dataset.root}: no image with a mask: add some")
    channels = _commonest([len(moments.mean) for _, _, moments in good])
    dtype = _commonest([header.dtype for _, header, _ in good])
    ndim = _commonest([len(header.size) for _, header, _ in good])
    sizes = np.array([header.size for _, header, _ in good if len(header.size) == ndim])
    usable = [(one, moments) for one, _, moments in good if len(moments.mean) == channels]
    chosen = [moments for one, moments in usable if one.split == "train"] or [moments for _, moments in usable]
    total = reduce(merge, chosen)
    width = np.dtype(dtype).itemsize
    spacing = _spacings([dataset.spacing or header.spacing for _, header, _ in good if len(header.size) == ndim])
    no_train = all(one.split != "train" for one, _, _ in good)
    positions: dict[str, int] = dict.fromkeys(dataset.splits, 0)
    for one, header, _ in good:
        positions[one.split] += int(np.prod(header.size))
    return Fingerprint(
        channels=channels,
        dtype=dtype,
        sizes=Sizes(*(_whole(row) for row in (sizes.min(axis=0), np.median(sizes, axis=0), sizes.max(axis=0)))),
        images={split: len(samples) for split, samples in dataset.splits.items()},
        positions=positions,
        class_frequency=class_frequency(dataset, scans),
        mean=tuple(float(value) for value in total.mean),
        std=tuple(float(value) for value in total.std),
        minimum=float(total.least.min()),
        maximum=float(total.most.max()),
        bytes_decoded=sum(positions.values()) * (channels * width + 1),
        case_scale=_case_scale(chosen),
        spacing=spacing,
        foreground=_foreground([one for one, _ in usable if one.split == "train"] or [one for one, _ in usable]),
        channel_names=_channel_names(dataset, good[0][0].sample, channels),
        color=ndim == 2 and channels == 3 and dtype == "uint8" and _commonest([h.kind for _, h, _ in good]) in PICTURES,
        object_sizes=_object_sizes(dataset, scans),
        object_sides=_object_sides(dataset, scans),
        points=point_facts(scans, () if spacing is None else spacing.median),
        box_sides=_box_sides(dataset, scans),
        values=value_facts(scans),
        star_iou=_star_iou(scans),
        shortest=shortest_intervals(dataset, scans) if ndim == 1 else None,
        orientation=_orientation([axis_codes(h.affine) for one, h, _ in good if one.split == "train" or no_train]),
        upright=not (_seen_from_above([header for _, header, _ in good]) or _boxes_alike_upside_down(scans)),
    )


def _seen_from_above(headers: Sequence[Header]) -> bool:
    """Maps, and images whose pixels are measured in micrometers."""
    return all(header.map is not None or (header.unit or "").endswith("µm") for header in headers)


def _boxes_alike_upside_down(scans: Sequence[Scan]) -> bool:
    known = [one for one in scans if one.contents is not None and one.contents.mirrored]
    chosen = [one for one in known if one.split == "train"] or known
    return alike_upside_down([one.contents.mirrored for one in chosen if one.contents is not None])


def _orientation(codes: Sequence[str]) -> str:
    return codes[0] if len(set(codes)) == 1 else ""


def _channel_names(dataset: Dataset, sample: Sample, channels: int) -> tuple[str, ...]:
    """The names by which the channels are found in files like these, in the order in which the network reads them."""
    wanted = dataset.channel_names or ()
    stored = sample.image.stored_names()
    names = stored if stored and not set(wanted) & set(stored) else wanted
    return names if len(names) == channels and all(names) else ()


def _object_sizes(dataset: Dataset, scans: Sequence[Scan]) -> tuple[float, ...]:
    """Percentiles 5, 50 and 95 of the positions of an object, over train (over all scans where train has none).

    In volumes they are those of the median spacing, to which cases are resampled where spacings differ.
    """
    if dataset.target.kind != "instances":
        return ()
    chosen = [one for one in scans if one.split == "train" and one.counts] or scans
    known = [None if one.image is None else dataset.spacing or one.image.spacing for one in chosen]
    voxels = [float(np.prod(spacing)) for spacing in known if spacing is not None and len(spacing) == 3]
    scale = [1.0] * len(chosen)
    if len(voxels) == len(chosen):
        scale = [voxel / float(np.median(voxels)) for voxel in voxels]
    sizes = [size * factor for one, factor in zip(chosen, scale, strict=True) for size in one.counts.values()]
    return tuple(float(size) for size in np.percentile(sizes, [5, 50, 95])) if sizes else ()


def _object_sides(dataset: Dataset, scans: Sequence[Scan]) -> tuple[float, ...]:
    """What whole objects in volumes of train span along each axis (of all scans where train has none)."""
    chosen = [one for one in scans if one.split == "train" and one.counts] or scans
    known = [(one, one.contents.spans) for one in chosen if one.contents is not None and one.contents.spans is not None]
    factors = _to_median(dataset, [one for one, _ in known])
    sides = typical_sides([spans * factor for (_, spans), factor in zip(known, factors, strict=True)])
    return tuple(float(side) for side in sides)


def _to_median(dataset: Dataset, chosen: Sequence[Scan]) -> list[np.ndarray]:
    """What lengths in each of some volumes or recordings are to be multiplied by on the grid of the median spacing."""
    known = [None if one.image is None else dataset.spacing or one.image.spacing for one in chosen]
    spacings = [np.array(spacing) for spacing in known if spacing is not None and len(spacing) != 2]
    if not spacings or len(spacings) < len(chosen):
        return [np.ones(1)] * len(chosen)
    return [spacing / np.median(spacings, axis=0) for spacing in spacings]


def _star_iou(scans: Sequence[Scan]) -> float | None:
    """The mean over the objects that were compared in train (in all scans where train has none)."""
    known = [one for one in scans if one.contents is not None and one.contents.stars]
    chosen = [one for one in known if one.split == "train"] or known
    found = [iou for one in chosen if one.contents is not None for iou in one.contents.stars]
    return float(np.mean(found)) if found else None


def _box_sides(dataset: Dataset, scans: Sequence[Scan]) -> tuple[tuple[float, ...], ...]:
    """Sides of small, typical and large boxes in train (in all scans where train has none); see `Fingerprint`.

    Every class weighs the same. In volumes and recordings they are those on the median spacing, as in `_object_sizes`.
    """
    chosen = [one for one in scans if one.split == "train" and one.counts] or [one for one in scans if one.counts]
    chosen = [one for one in chosen if one.contents is not None and one.contents.sides]
    of_class: dict[int, list[np.ndarray]] = {}
    for one, factor in zip(chosen, _to_median(dataset, chosen), strict=True):
        for number, sides in (one.contents.sides if one.contents is not None else {}).items():
            of_class.setdefault(number, []).append(sides * factor)
    if not of_class:
        return ()
    rows = np.array([np.percentile(np.concatenate(parts), [10, 50, 90], axis=0) for parts in of_class.values()])
    small, typical, large = rows[:, 0].min(axis=0), np.exp(np.log(rows[:, 1]).mean(axis=0)), rows[:, 2].max(axis=0)
    return tuple(tuple(float(value) for value in row) for row in (small, typical, large))


def _case_scale(chosen: Sequence[Moments]) -> float:
    stds = np.array([moments.std for moments in chosen])
    low, high = np.percentile(stds, [5, 95], axis=0)
    return float(np.max(np.divide(high, low, out=np.ones_like(high), where=low > 0)))


def _spacings(spacings: Sequence[tuple[float, ...] | None]) -> Spacings | None:
    """None where one image does not say it: then nothing can be said of all."""
    known = [spacing for spacing in spacings if spacing is not None]
    if not known or len(known) < len(spacings) or len({len(spacing) for spacing in known}) > 1:
        return None
    rows = np.array(known)
    return Spacings(*(tuple(float(v) for v in row) for row in (rows.min(0), np.median(rows, axis=0), rows.max(0))))


def _foreground(scans: Sequence[Scan]) -> Foreground | None:
    parts = [one.foreground for one in scans if one.foreground is not None and one.foreground.size]
    if not parts:
        return None
    values = np.concatenate(parts, axis=1).astype(np.float64)
    low, high = np.percentile(values, [0.5, 99.5], axis=1)
    kept = np.clip(values, low[:, None], high[:, None])
    rows = (low, high, kept.mean(1), kept.std(1))
    return Foreground(*(tuple(float(v) for v in row) for row in rows))


def class_frequency(dataset: Dataset, scans: Sequence[Scan]) -> tuple[float, ...]:
    """Return the share of each class in the labeled positions of train, or of all scans where train has none."""
    train = [one for one in scans if one.split == "train" and one.counts]
    return dataset.target.frequency(train or scans, dataset.coding)


def _commonest(values: Sequence[Any]) -> Any:
    """The value that occurs most; of several, the greatest, so that the answer does not hang on the order."""
    return max(set(values), key=lambda value: (values.count(value), value))


def _whole(row: np.ndarray) -> tuple[int, ...]:
    return tuple(round(float(value)) for value in row)
