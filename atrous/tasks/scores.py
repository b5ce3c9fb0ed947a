"""The figures of one evaluation, all derived from one confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atrous.tasks.calibration import Reliability
from atrous.tasks.confidence import Confidence
from atrous.tasks.events import EventScores
from atrous.tasks.lesions import LesionScores
from atrous.tasks.surface import SurfaceScores
from atrous.tasks.video import VideoScores

__all__ = ["CONVENTIONS", "Scores"]

CONVENTIONS = (
    "Counts are summed over all images before any ratio is taken; void positions count nowhere, whatever is predicted "
    "there; a class that occurs in neither truth nor prediction has no figures (null) and is left out of the means, "
    "mean accuracy is over the classes that occur in the truth, and the background, where there is one, is a class "
    "like any other; boundary IoU takes a band of 2 % of the diagonal (Cheng et al. 2021); ece takes 15 equal bins of "
    "the top probability (Guo et al. 2017); miou_ci95 is the 95 % percentile bootstrap over images (1000 resamples); "
    "case_dice is the mean over images of each one's own Dice, images without the class, true or predicted, left out."
)
SURFACE_CONVENTIONS = (
    " Surface Dice and hd95 are means over cases, in the unit of the spacing (mm); surface elements are voxels; the "
    "first class, the background, has none; a case with the class in truth or prediction alone has surface Dice 0 and "
    "no hd95."
)
LESION_CONVENTIONS = (
    " A lesion is a connected piece of a class (26 neighbors); a true one is found if it is touched by its class, a "
    "predicted one that touches none is invented; counts are summed over cases, lesion F1 is 2 found / (2 found + "
    "missed + invented); ml are means over cases."
)
EVENT_CONVENTIONS = (
    " Onsets and offsets are matched one to one within the tolerance (seconds), per class, and counted over all "
    "recordings; those that the recording's border or a void cuts off do not count."
)
VIDEO_CONVENTIONS = (
    " J and F are means over frames, then over videos (Perazzi et al. 2016), all frames counted, for every class but "
    "the first; a contour counts as found within 0.008 of the diagonal; flicker is the share of positions of "
    "neighboring frames whose true label stays but whose predicted one changes; boundary IoU is that of frames."
)


@dataclass(frozen=True, eq=False)
class Scores:
    """What `SegmentationMetrics.result` returns. Figures are shares in 0..1; nan where a figure does not exist.

    classes: their names, in label order.
    confusion: int64 `(K, K)`, rows truth, columns prediction.
    per_image: image name -> its own mean IoU over the classes present in its truth (nan: all of it void).
    miou_ci95: 95 % bootstrap interval of `miou` over images; (nan, nan) for a single image.
    seconds: time that the evaluation took.
    tta: test-time augmentation that the predictions were made with, "none" or its name.
    boundary: int64 `(2, K)`, intersection and union of contour bands; None when it was switched off.
    reliability: accuracy by confidence; None when it was switched off.
    case_dice: mean over images of their own Dice, `(K,)`; None where it was not kept.
    surface: surface Dice and HD95 of volumes, where the spacing was known.
    lesions: lesions found, missed and invented, and milliliters, of volumes whose spacing is in mm.
    events: onsets and offsets of signals, where the sampling rate was known.
    video: J, F and flicker of videos.
    sample: what one sample is called: image, volume, recording, video or sequence.
    own: the user's own metrics by name (`tasks/custom.py`).
    confidence: metrics of the probabilities themselves; None where they were not measured.
    foreground: metrics of all classes but the first, by name, of tasks that seek these (`tasks/foreground.py`).
    foreground_conventions: how these are counted, in words.

    >>> scores = Scores(("sky", "road"), np.array([[6, 2], [0, 4]]), {"a": 0.7}, (float("nan"), float("nan")), 1.0)
    >>> scores.iou, round(scores.miou, 3)
    (array([0.75      , 0.66666667]), 0.708)
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    per_image: dict[str, float]
    miou_ci95: tuple[float, float]
    seconds: float
    tta: str = "none"
    boundary: np.ndarray | None = None
    reliability: Reliability | None = None
    case_dice: np.ndarray | None = None
    surface: SurfaceScores | None = None
    lesions: LesionScores | None = None
    events: EventScores | None = None
    video: VideoScores | None = None
    sample: str = "image"
    own: Mapping[str, float] = field(default_factory=dict)
    confidence: Confidence | None = None
    foreground: Mapping[str, float] = field(default_factory=dict)
    foreground_conventions: str = ""

    @property
    def conventions(self) -> str:
        """How the figures count, in words."""
        surface = SURFACE_CONVENTIONS if self.surface is not None else ""
        surface += LESION_CONVENTIONS if self.lesions is not None else ""
        video = VIDEO_CONVENTIONS if self.video is not None else ""
        video += "" if self.confidence is None else self.confidence.conventions
        events = EVENT_CONVENTIONS if self.events is not None else ""
        return CONVENTIONS + surface + events + video + self.foreground_conventions

    @property
    def images(self) -> int:
        """Number of samples: images, volumes, recordings ..."""
        return len(self.per_image)

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union per class, `(K,)`."""
        right, truth, predicted = self._margins()
        return _ratio(right, truth + predicted - right)

    @property
    def miou(self) -> float:
        """Mean of `iou` over the classes that have one."""
        return _mean(self.iou)

    @property
    def pixel_accuracy(self) -> float:
        """Share of all positions that are right."""
        right, truth, _ = self._margins()
        return float(right.sum() / truth.sum()) if truth.sum() else math.nan

    @property
    def accuracy(self) -> np.ndarray:
        """Share of each class' true positions that are right (its recall), `(K,)`."""
        right, truth, _ = self._margins()
        return _ratio(right, truth)

    @property
    def mean_accuracy(self) -> float:
        """Mean of `accuracy` over the classes that occur in the truth."""
        return _mean(self.accuracy)

    @property
    def fwiou(self) -> float:
        """Mean of `iou`, weighted by how frequent the classes are in the truth."""
        return float(np.nansum(self.frequency * self.iou)) if self.confusion.sum() else math.nan

    @property
    def frequency(self) -> np.ndarray:
        """Share of each class in the labelled positions, `(K,)`."""
        _, truth, _ = self._margins()
        return truth / max(truth.sum(), 1)

    @property
    def dice_per_class(self) -> np.ndarray:
        """Dice coefficient (F1) per class, `(K,)`."""
        right, truth, predicted = self._margins()
        return _ratio(2 * right, truth + predicted)

    @property
    def dice(self) -> float:
        """Mean of `dice_per_class` over the classes that have one."""
        return _mean(self.dice_per_class)

    @property
    def boundary_iou_per_class(self) -> np.ndarray:
        """IoU of the bands along the contours per class, `(K,)`; nan when switched off."""
        return np.full(len(self.classes), math.nan) if self.boundary is None else _ratio(*self.boundary)

    @property
    def boundary_iou(self) -> float:
        """Mean of `boundary_iou_per_class` over the classes that have one."""
        return _mean(self.boundary_iou_per_class)

    @property
    def ece(self) -> float:
        """Expected calibration error; nan when switched off."""
        return math.nan if self.reliability is None else self.reliability.ece

    def watched(self) -> Mapping[str, float]:
        """Return the metrics that a validation logs, by name; the first one chooses the best weights."""
        return {**self.foreground, "miou": self.miou, "pixel_accuracy": self.pixel_accuracy, **self.own}

    def ranking(self) -> list[str]:
        """Image names from worst to best by their own mean IoU; images without a label are left out."""
        labelled = [name for name, value in self.per_image.items() if not math.isnan(value)]
        return sorted(labelled, key=lambda name: (self.per_image[name], name))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; None where a figure does not exist."""
        return {
            "miou": _number(self.miou),
            "pixel_accuracy": _number(self.pixel_accuracy),
            "mean_accuracy": _number(self.mean_accuracy),
            "fwiou": _number(self.fwiou),
            "dice": _number(self.dice),
            "dice_per_class": self._by_name(self.dice_per_class),
            "iou": self._by_name(self.iou),
            "boundary_iou": _number(self.boundary_iou),
            "boundary_iou_per_class": self._by_name(self.boundary_iou_per_class),
            "ece": _number(self.ece),
            **({} if self.confidence is None else self.confidence.to_dict()),
            "miou_ci95": [_number(bound) for bound in self.miou_ci95],
            "images": self.images,
            "seconds": self.seconds,
            "tta": self.tta,
            "confusion": self.confusion.tolist(),
            "conventions": self.conventions,
            **{name: _number(value) for name, value in {**self.own, **self.foreground}.items()},
            **self._of_the_field(),
        }

    def sentences(self) -> list[str]:
        """Return what the report says beside the table of classes."""
        return []

    def columns(self) -> dict[str, np.ndarray]:
        """The table of classes: heading -> one figure per class."""
        columns = {
            "IoU": self.iou,
            "Dice": self.dice_per_class,
            "accuracy": self.accuracy,
            "boundary IoU": self.boundary_iou_per_class,
            "share": self.frequency,
        }
        if self.surface is not None:
            columns |= {} if self.case_dice is None else {"Dice of cases": self.case_dice}
            columns |= {f"surface Dice {self.surface.tolerance:g}": self.surface.dice, "HD95": self.surface.hd95}
        if self.lesions is not None:
            columns |= {"lesion F1": self.lesions.f1, "ml": self.lesions.true_ml, "ml off": self.lesions.off_ml}
        if self.events is not None:
            columns |= {"onset F1": self.events.onset_f1, "offset F1": self.events.offset_f1}
        if self.video is not None:
            columns |= {"J": self.video.region, "F": self.video.boundary}
        return columns

    def text(self) -> str:
        """An aligned table for the terminal: one line per class, then the figures for the whole."""
        columns = self.columns()
        header = ("class", *columns)
        rows = [(name, *(_cell(column[i]) for column in columns.values())) for i, name in enumerate(self.classes)]
        means = ("mean", *("" if name == "share" else _cell(_mean(column)) for name, column in columns.items()))
        widths = [max(len(row[i]) for row in (header, means, *rows)) for i in range(len(header))]
        rule = "  ".join("-" * width for width in widths)
        table = [_line(header, widths), rule, *(_line(row, widths) for row in rows), rule, _line(means, widths)]
        low, high = self.miou_ci95
        interval = "" if math.isnan(low) else f" (95 % interval over {self.sample}s {low:.3f} to {high:.3f})"
        whole = [
            f"mean IoU        {_cell(self.miou)}{interval}",
            f"pixel accuracy  {_cell(self.pixel_accuracy)}",
            f"weighted IoU    {_cell(self.fwiou)}",
            f"calibration     {_cell(self.ece)} (expected error of the confidence)",
            f"{self.sample + 's':<16}{self.images} in {self.seconds:.1f} s, test-time augmentation: {self.tta}",
        ]
        whole[4:4] = [f"{name:<16}{_cell(value)}" for name, value in self.own.items()]
        whole[4:4] = [] if self.confidence is None else self.confidence.lines()
        if self.lesions is not None:
            whole[4:4] = [f"{name + ' pieces':<16}{words}" for name, words in self._lesion_words().items()]
        if self.video is not None:
            whole.insert(3, f"flicker         {_cell(self.video.flicker)} (of the positions whose true label stays)")
        sought = [f"{name:<16}{_cell(value)}" for name, value in self.foreground.items()]
        return "\n".join([*table, "", *sought, *whole])

    def _of_the_field(self) -> dict[str, Any]:
        """The figures that volumes or signals have beside the rest."""
        facts: dict[str, Any] = {}
        if self.case_dice is not None:
            facts["case_dice"] = self._by_name(self.case_dice)
        if self.surface is not None:
            facts |= {"surface_tolerance": self.surface.tolerance, "surface_dice": self._by_name(self.surface.dice)}
            facts["hd95"] = self._by_name(self.surface.hd95)
        if self.lesions is not None:
            facts |= {"lesion_f1": self._by_name(self.lesions.f1), "lesions": self._lesions()}
        if self.events is not None:
            facts |= {"event_tolerance": self.events.tolerance, "onset_f1": self._by_name(self.events.onset_f1)}
            facts["offset_f1"] = self._by_name(self.events.offset_f1)
            facts["events"] = {
                name: {kind: dict(zip(("found", "true", "predicted"), row.tolist(), strict=True))
                       for kind, row in zip(("onset", "offset"), self.events.counts[:, :, i], strict=True)}
                for i, name in enumerate(self.classes)
            }  # fmt: skip
        if self.video is not None:
            contours = self._by_name(self.video.boundary)
            facts |= {"j": self._by_name(self.video.region), "f": contours, "boundary_f": contours}
            facts["flicker"] = _number(self.video.flicker)
            facts["videos"] = {
                name: {"j": self._by_name(one.region), "boundary_f": self._by_name(one.boundary)}
                for name, one in self.video.videos.items()
            }
        return facts

    def _lesions(self) -> dict[str, dict[str, Any]]:
        """Counts of lesions and milliliters of every class but the background."""
        assert self.lesions is not None
        found, missed, invented = self.lesions.counts
        return {
            name: {
                "found": int(found[i]), "missed": int(missed[i]), "invented": int(invented[i]),
                "true_ml": float(self.lesions.true_ml[i]), "predicted_ml": float(self.lesions.predicted_ml[i]),
                "off_ml": float(self.lesions.off_ml[i]),
            }
            for i, name in enumerate(self.classes) if i > 0
        }  # fmt: skip

    def _lesion_words(self) -> dict[str, str]:
        """What was found of each class, in words."""
        return {
            name: f"{one['found']} found, {one['missed']} missed, {one['invented']} invented; "
            f"{one['true_ml']:.3g} ml a volume, predicted {one['predicted_ml']:.3g} ml"
            for name, one in self._lesions().items()
        }

    def _margins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.confusion.diagonal(), self.confusion.sum(1), self.confusion.sum(0)

    def _by_name(self, values: np.ndarray) -> dict[str, float | None]:
        return {name: _number(value) for name, value in zip(self.classes, values, strict=True)}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), math.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    existing = values[~np.isnan(values)]
    return float(existing.mean()) if len(existing) else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join([cells[0].ljust(widths[0]), *padded[1:]]).rstrip()
