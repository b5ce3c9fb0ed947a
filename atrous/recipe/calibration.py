"""What held-out samples say of a run's probabilities: `calibration.json` in its folder."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from atrous.errors import UserError
from atrous.files import write_text
from atrous.tasks.confidence import Confidence
from atrous.tasks.conformal import LEVELS, MissCurve

FILE = "calibration.json"
"""Its name. A run of an earlier version has none; its temperature is 1, and it gives no sets of classes."""


@dataclass(frozen=True)
class Sets:
    """How a position gets a set of classes.

    Attributes:
        coverage: the share of positions whose set is to hold the true class.
        threshold: probability from which a class is in the set.
        unit: "image" or "group": what is exchangeable.
    """

    coverage: float
    threshold: float
    unit: str


@dataclass(frozen=True)
class Calibration:
    """How the probabilities of a run are calibrated, and on what.

    Attributes:
        temperature: what outputs are divided by before the softmax or sigmoid.
        measured_on: the data set and its split, in words.
        samples: how many samples there were.
        ece_before: expected calibration error on them without the temperature, None where it does not exist.
        ece: the same with it.
        misses: how often the true class is missed at each threshold, by unit: groups first, if the samples have them.
        offsets: of classes of whole inputs that are there or not: what is added to the evidence for each.
        thresholds: options of the task by name: from which heat, probability or overlap on something is found.
    """

    temperature: float
    measured_on: str
    samples: int
    ece_before: float | None = None
    ece: float | None = None
    misses: tuple[MissCurve, ...] = ()
    offsets: tuple[float, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, confidence: Confidence, measured_on: str, samples: int) -> "Calibration":
        """Take over what was measured on the samples that calibrate."""
        before, after = (None if math.isnan(r.ece) else r.ece for r in (confidence.before, confidence.after))
        return cls(confidence.temperature, measured_on, samples, before, after, confidence.misses)

    def sets(self, coverage: float, folder: Path) -> Sets:
        """Return what makes sets of classes that hold the true one as often as is asked.

        Groups are the unit if there are enough of them, else images.

        Args:
            coverage: the share of the positions whose set is to hold the true class, between 0 and 1.
            folder: of the run, for messages.

        Raises:
            UserError: there are too few samples, or classes may overlap.
        """
        if not 0 < coverage < 1:
            raise UserError(f"--coverage {coverage:g}: give a share between 0 and 1, such as 0.9")
        for curve in self.misses:
            threshold = curve.threshold(coverage)
            if threshold is not None:
                return Sets(coverage, threshold, curve.unit)
        if not self.misses:
            raise UserError(f"{folder}: --coverage is for one class at each position: leave it out")
        least, had = MissCurve.least(coverage), self.misses[-1].count
        raise UserError(
            f"{folder}: --coverage {coverage:g} needs at least {least} labelled samples, and {had} calibrated it: ask "
            f"for less, or calibrate it on more with: atrous calibrate {folder} DATA --split NAME"
        )

    def write(self, folder: Path) -> None:
        """Write the file into the folder of a run; an earlier one is replaced in one step."""
        facts = {
            "temperature": self.temperature, "measured_on": self.measured_on, "samples": self.samples,
            "ece_before": self.ece_before, "ece": self.ece,
            "misses": [
                {"unit": curve.unit, "count": curve.count, "misses": [float(f"{m:.7g}") for m in curve.misses]}
                for curve in self.misses
            ],
            "offsets": self.offsets, "thresholds": dict(self.thresholds),
        }  # fmt: skip
        write_text(folder / FILE, json.dumps(facts))


def read_calibration(folder: Path) -> Calibration | None:
    """Read the file of a run; None if it has none.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        misses = tuple(_curve(curve) for curve in facts["misses"])
        temperature = float(facts["temperature"])
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"the temperature is {temperature}")
        offsets = tuple(float(offset) for offset in facts.get("offsets", ()))  # earlier versions wrote none
        if not all(math.isfinite(offset) for offset in offsets):
            raise ValueError("an offset is not finite")
        thresholds = {str(name): float(value) for name, value in facts.get("thresholds", {}).items()}
        return Calibration(
            temperature, str(facts["measured_on"]), int(facts["samples"]), facts["ece_before"], facts["ece"], misses,
            offsets, thresholds,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"it says no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise UserError(f"{path}: is damaged ({what}): remove it, then: atrous calibrate {folder}") from None


def _curve(facts: dict[str, Any]) -> MissCurve:
    """A curve of the file, checked."""
    misses: Sequence[float] = [float(miss) for miss in facts["misses"]]
    rising = all(0 <= a <= b <= 1 for a, b in pairwise(misses))
    if len(misses) != len(LEVELS) or not rising or facts["unit"] not in ("image", "group"):
        raise ValueError("a curve of misses is none")
    return MissCurve(facts["unit"], int(facts["count"]), misses)
