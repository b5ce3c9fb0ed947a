"""Metrics of a task that has no classes: names and numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SIZES = ("small", "medium", "large")
"""Ends of the names of metrics of objects of one size."""


def of_class(metric: str, name: str) -> str:
    """Return what the metric of one class is called; `map_small` is that of small objects, whatever classes there are.

    >>> of_class("map", "cell"), of_class("map", "small")
    ('map_cell', 'map_class_small')
    """
    return f"{metric}_class_{name}" if name in SIZES else f"{metric}_{name}"


def samples_text(number: int, sample: str) -> str:
    """Return a number of samples in words.

    >>> samples_text(1, "image"), samples_text(2, "image")
    ('1 image', '2 images')
    """
    return f"{number} {sample}" if number == 1 else f"{number} {sample}s"


@dataclass(frozen=True)
class Measures:
    """The metrics of one evaluation, by name.

    Attributes:
        values: name to value; the first one chooses the best weights.
        per_image: image name to the image's own value of the first metric.
        seconds: time that the evaluation took.
        tta: test-time augmentation that the predictions were made with, "none" or its name.
        sample: what one sample is called.
        higher_is_better: whether a higher value of the first metric is better.
        conventions: how the metrics are counted, in words.

    >>> measures = Measures({"mae": 0.25}, {"a": 0.1, "b": 0.4}, 1.0, higher_is_better=False)
    >>> measures.ranking()
    ['b', 'a']
    """

    values: Mapping[str, float]
    per_image: Mapping[str, float]
    seconds: float
    tta: str = "none"
    sample: str = "image"
    higher_is_better: bool = True
    conventions: str = ""
    classes: tuple[str, ...] = field(default=())

    @property
    def images(self) -> int:
        """How many images were measured."""
        return len(self.per_image)

    def watched(self) -> Mapping[str, float]:
        """Return all metrics by name."""
        return self.values

    def ranking(self) -> list[str]:
        """Return image names from worst to best; images without a value are left out."""
        sign = 1 if self.higher_is_better else -1
        known = [name for name, value in self.per_image.items() if not math.isnan(value)]
        return sorted(known, key=lambda name: (sign * self.per_image[name], name))

    def text(self) -> str:
        """Return one line per metric."""
        width = max(len(name) for name in self.values) + 2
        lines = [f"{name:<{width}}{value:.4g}" for name, value in self.values.items()]
        measured = (
            f"{samples_text(self.images, self.sample)} in {self.seconds:.1f} s, test-time augmentation: {self.tta}"
        )
        return "\n".join([*lines, "", measured])

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; None where a metric does not exist."""
        numbers = {name: None if math.isnan(value) else float(value) for name, value in self.values.items()}
        return {**numbers, "images": self.images, "seconds": self.seconds, "tta": self.tta}
