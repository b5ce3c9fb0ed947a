"""The proof of an exported file: what its runtime computes beside what the network computes, on the same inputs."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from atrous.errors import UserError
from atrous.exporting.runtimes import Run

TOLERANCE = 5e-4
"""Of the largest |value| of an output. Weights and sums are float32; another order of the sums gives other last digits,
which a softmax of large logits multiplies."""
HALF_TOLERANCE = 2e-2
"""The same with weights in float16, which have three digits."""

Ours = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""Raw values `(C, *S)` to the answers by name, without a batch axis."""


@dataclass(frozen=True)
class Proof:
    """How far a file's answers are from the network's.

    Attributes:
        runtime: what ran the file.
        sizes: of the inputs that were tried.
        inputs: where they come from, in words.
        largest: the largest |difference| of each output but the labels, divided by the largest |value|.
        labels: positions in all inputs; None for outputs without labels.
        labels_differ: positions whose labels differ.
        ties: of these, those where the two best probabilities are within the tolerance of each other.
        tolerance: what `largest` may be; None where any is accepted, and the cost is told.
        milliseconds: of the runtime for the first input, the second time.
        milliseconds_network: of the network itself.
    """

    runtime: str
    sizes: tuple[tuple[int, ...], ...]
    inputs: str
    largest: dict[str, float]
    labels: int | None
    labels_differ: int
    ties: int
    tolerance: float | None
    milliseconds: float
    milliseconds_network: float

    def to_dict(self) -> dict[str, Any]:
        """Return the proof as plain numbers, texts and lists."""
        return {**asdict(self), "sizes": [list(size) for size in self.sizes]}

    def text(self) -> str:
        """Return the proof in a few lines."""
        sizes = ", ".join(" x ".join(map(str, size)) for size in self.sizes)
        allowed = "" if self.tolerance is None else f" (at most {self.tolerance:g})"
        lines = [f"proof       run by {self.runtime} on {self.inputs} of {sizes}"]
        lines += [f"            {name}: largest difference {d:.1e}{allowed}" for name, d in self.largest.items()]
        if self.labels is not None:
            share = f"{self.labels_differ} of {self.labels:,} labels differ ({self.labels_differ / self.labels:.3%})"
            ties = f", {self.ties} of them ties" if self.labels_differ else ""
            lines.append(f"            {share}{ties}")
        lines.append(
            f"            {self.milliseconds:.1f} ms for the first input, the network itself "
            f"{self.milliseconds_network:.1f} ms"
        )
        return "\n".join(lines)


def prove(
    run: Run,
    ours: Ours,
    images: Sequence[np.ndarray],
    *,
    runtime: str,
    inputs: str,
    tolerance: float | None,
    threshold: float | None = None,
) -> Proof:
    """Run a file and the network on the same inputs, and compare.

    Args:
        run: the file.
        ours: the network with all that belongs to it.
        images: raw values, each `(C, *S)`.
        runtime: name and version of what runs the file.
        inputs: where the inputs come from, in words.
        tolerance: see `Proof`.
        threshold: probability from which a position has a class, where it may have several; None where it has one.

    Raises:
        UserError: an answer is further from the network's than the tolerance, or has another shape.

    >>> proof = prove(
    ...     lambda x: {"output": x}, lambda x: {"output": x}, [np.ones((1, 5))], runtime="numpy", inputs="ones",
    ...     tolerance=1e-5,
    ... )
    >>> proof.largest, proof.labels
    ({'output': 0.0}, None)
    """
    apart: dict[str, float] = {}
    scale: dict[str, float] = {}
    labels, differ, ties = 0, 0, 0
    seconds = (0.0, 0.0)
    for number, image in enumerate(images):
        batch = np.ascontiguousarray(image, dtype=np.float32)[None]
        wanted, expected_time = _timed(lambda image=image: ours(image), twice=number == 0)
        found, found_time = _timed(lambda batch=batch: run(batch), twice=number == 0)
        seconds = (found_time, expected_time) if number == 0 else seconds
        for name, right in wanted.items():
            got = _entry(found, name, right.shape, runtime)
            if name == "labels":
                other = got != right
                labels, differ = labels + right.size, differ + int(other.sum())
                ties += int((other & _tied(wanted["probabilities"], 2 * (tolerance or TOLERANCE), threshold)).sum())
                continue
            apart[name] = float(np.maximum(apart.get(name, 0.0), _largest(got, right)))  # NaN stays NaN
            scale[name] = max(scale.get(name, 0.0), float(np.abs(right).max()))
    largest = {name: value / max(scale[name], 1e-30) for name, value in apart.items()}
    proof = Proof(
        runtime, tuple(tuple(image.shape[1:]) for image in images), inputs, largest, labels or None, differ, ties,
        tolerance, 1000 * seconds[0], 1000 * seconds[1],
    )  # fmt: skip
    _require_close(proof)
    return proof


def _require_close(proof: Proof) -> None:
    """Raise `UserError` for a proof over its tolerance, and for answers that are no numbers whatever is accepted."""
    if proof.tolerance is None:
        if lost := [name for name, value in proof.largest.items() if not math.isfinite(value)]:
            raise UserError(f"{proof.runtime} computes {lost[0]} that are nan or infinite: nothing was written")
        return
    for name, value in proof.largest.items():
        if not value <= proof.tolerance:  # NaN is not
            raise UserError(
                f"{proof.runtime} computes other {name} than the network: they differ by {value:.1e} of the largest "
                f"value, and {proof.tolerance:g} is allowed: nothing was written; give another --to"
            )
    if proof.labels_differ > proof.ties:
        raise UserError(
            f"{proof.runtime} gives {proof.labels_differ - proof.ties} other labels than the network, where no two "
            "classes are as probable: nothing was written; give another --to"
        )


def _timed(call: Callable[[], Any], twice: bool) -> tuple[Any, float]:
    """The result of a call and its seconds; those of a second call, as the first one of a session makes it ready."""
    result = call() if twice else None
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def _entry(found: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...], runtime: str) -> np.ndarray:
    """An output of a batch of one, without the batch axis."""
    if name not in found or found[name].shape != (1, *shape):
        got = {key: value.shape for key, value in found.items()}
        raise UserError(f"{runtime} gives {got}, and the network {name} of shape {(1, *shape)}: nothing was written")
    return found[name][0]


def _largest(found: np.ndarray, right: np.ndarray) -> float:
    """The largest |difference|; NaN where one of both is NaN."""
    if np.array_equal(found, right, equal_nan=True):
        return 0.0
    return float(np.abs(found.astype(np.float64) - right).max())


def _tied(probabilities: np.ndarray, within: float, threshold: float | None) -> np.ndarray:
    """Where a label may be either of two, for probabilities `(K, *S)`: `(*S)` bool.

    That is where the two best classes are as probable, or one is as probable as the threshold.
    """
    if threshold is not None:
        return np.asarray((np.abs(probabilities - threshold) <= within).any(axis=0))
    second, first = np.sort(probabilities, axis=0)[-2:]
    return first - second <= within
