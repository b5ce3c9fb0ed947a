"""What a network must be before it is trained: wide enough for the objects, fast enough, small enough.

A network whose receptive field is narrower than the objects cannot see one as a whole. That follows from its geometry;
its memory does too, and its time is measured on the untrained network. So a point that is refused costs no training.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.geometry.field import certify
from atrous.objects.steps import unit_steps
from atrous.recipe.build import build_network, build_task, count_parameters
from atrous.recipe.schema import Recipe
from atrous.searching.speed import milliseconds, per_megaposition
from atrous.tasks.custom import needs_float32

SMALLEST_INPUT, LARGEST_INPUT = 2**16, 2**18
"""Positions of the input that is timed where nobody states one: of a smaller one, every network takes as long."""
LOOKED_AT = 16
"""At most so many training samples are looked at to learn how wide the objects of label images are."""
SPECKS = 4
"""Connected regions of fewer positions count as noise, not as objects."""


@dataclass(frozen=True)
class Needs:
    """What is asked of every network.

    Attributes:
        shape: of the input whose time and memory are limited, `(C, *S)`.
        objects: receptive field that is needed along each axis, in input positions; 0 where nothing is.
        latency: most milliseconds for that input, or None.
        memory: most bytes for that input, weights included, or None.
    """

    shape: tuple[int, ...]
    objects: tuple[float, ...]
    latency: float | None = None
    memory: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return asdict(self)

    def refuse(self, facts: "NetworkFacts") -> str | None:
        """Return why a network is refused; None if it is not."""
        rows = zip(facts.receptive_field, self.objects, self.shape[1:], strict=True)
        for axis, (field, wide, length) in enumerate(rows):
            if field is not None and field < min(wide, length):  # what spans the input sees all that there is
                return f"receptive field {field} along axis {axis}, objects are {wide:.0f} wide"
        if self.memory is not None and facts.memory > self.memory:
            return f"memory {facts.memory / 1e6:.0f} MB, allowed {self.memory / 1e6:.0f} MB"
        if self.latency is not None and facts.milliseconds > self.latency:
            return f"latency {facts.milliseconds:.1f} ms, allowed {self.latency:g} ms"
        return None


@dataclass(frozen=True)
class NetworkFacts:
    """What is known of a network before it is trained.

    Attributes:
        receptive_field: input positions along each axis that an output can depend on; None where positions cannot be
            followed. Operators that see the whole input count for nothing.
        parameters: numbers that training can change.
        memory: predicted bytes of a forward pass over the stated input, weights included.
        milliseconds: measured, for the stated input.
        per_megaposition: measured milliseconds for a million input positions.
        threads: of the measurement.
    """

    receptive_field: tuple[int | None, ...]
    parameters: int
    memory: int
    milliseconds: float
    per_megaposition: float
    threads: int


def examine(recipe: Recipe, shape: tuple[int, ...]) -> NetworkFacts:
    """Build the recipe's network with random weights, follow its geometry and time it.

    Args:
        recipe: its section `model` is built.
        shape: of the stated input, `(C, *S)`.

    Raises:
        UserError: the network cannot be built, or not be exported.
    """
    model, task = recipe.model.model_copy(update={"pretrained": False}), build_task(recipe)
    with torch.random.fork_rng(devices=[]):
        network = build_network(model, task.out_channels).eval()
    certificate = certify(network, shape)
    fields: list[int | None] = [None] * (len(shape) - 1)
    for field in certificate.fields:
        fields[field.axis] = field.receptive_field
    exact = recipe.data.kind == "genomes" or needs_float32(task)  # predicted in float32, whatever trained them
    taken = milliseconds(network, shape, bfloat16=recipe.train.precision == "bf16-mixed" and not exact)
    return NetworkFacts(
        receptive_field=tuple(fields),
        parameters=count_parameters(network),
        memory=certificate.peak_whole,
        milliseconds=taken,
        per_megaposition=per_megaposition(taken, shape),
        threads=torch.get_num_threads(),
    )


def usual_input(recipe: Recipe, fingerprint: Fingerprint) -> tuple[int, ...]:
    """Return the input `(C, *S)` that is timed where nobody states one.

    It has the median size of the data; a larger one is halved along its longest axis until it has at most 2^18
    positions, and all axes of a smaller one are multiplied until it has at least 2^16.
    """
    size = [max(1, length) for length in fingerprint.sizes.median]
    times = math.ceil((SMALLEST_INPUT / math.prod(size)) ** (1 / len(size)))
    size = [length * max(1, times) for length in size]
    while math.prod(size) > LARGEST_INPUT:
        longest = size.index(max(size))
        size[longest] = math.ceil(size[longest] / 2)
    return (recipe.model.in_channels, *size)


def object_widths(recipe: Recipe, dataset: Dataset, fingerprint: Fingerprint) -> tuple[float, ...]:
    """Return how wide a typical object of the training data is along each axis, in positions that the network sees.

    Boxes: the geometric mean of their sides. Instances: the diameter of a ball of the median size, stretched as the
    recipe's `aspect` says. Label images: the median width of the connected regions of each class but the most frequent
    one, then the median over the classes, in up to 16 training samples. 0 for other targets, which have no objects.
    """
    ndim, nothing = fingerprint.ndim, (0.0,) * fingerprint.ndim
    if fingerprint.box_sides:
        return fingerprint.box_sides[1]
    if fingerprint.object_sizes:
        ball = {1: 2.0, 2: math.pi, 3: 4 * math.pi / 3}[ndim]
        width = 2 * (fingerprint.object_sizes[1] / ball) ** (1 / ndim)
        return tuple(width / step for step in unit_steps(recipe.task.options.get("aspect", ()), ndim))
    if dataset.target.kind != "labels" or dataset.kind != "grids":
        return nothing
    background = int(np.argmax(fingerprint.class_frequency))
    widths: dict[int, list[np.ndarray]] = {}
    for sample in _some(dataset.splits.get(recipe.data.train, ()), LOOKED_AT):
        if sample.target is None:
            continue
        labels, spacing = np.asarray(sample.target.read()), dataset.spacing_of(sample)
        scale = np.ones(ndim)
        if recipe.input.spacing and spacing is not None:
            scale = np.divide(spacing, recipe.input.spacing)
        for number in range(len(dataset.classes)):
            if number != background:
                widths.setdefault(number, []).extend(width * scale for width in _regions(labels == number))
    medians = [np.median(rows, axis=0) for rows in widths.values() if rows]
    return tuple(float(width) for width in np.median(medians, axis=0)) if medians else nothing


def _some(samples: Sequence, count: int) -> list:
    """At most so many samples, evenly spread."""
    return [samples[i] for i in np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)]


def _regions(mask: np.ndarray) -> list[np.ndarray]:
    """The widths `(ndim,)` of the connected regions of a mask `(*S)`, specks left out."""
    numbered, count = ndimage.label(mask)  # type: ignore[misc]
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(numbered)
    return [
        np.array([part.stop - part.start for part in box], float)
        for number, box in enumerate(boxes, start=1)
        if box is not None and sizes[number] >= SPECKS
    ]
