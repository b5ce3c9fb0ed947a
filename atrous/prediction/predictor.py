"""A trained network at work: raw values in, labels out, at any size in bounded memory."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from atrous.color import default_palette
from atrous.data.preprocess import resample_label, restore
from atrous.data.source import Sink, Source
from atrous.data.views import LabelsAndProbabilities, Standardized
from atrous.data.void import make_void, voided
from atrous.device import check_device
from atrous.errors import UserError
from atrous.models.network import DenseNetwork
from atrous.prediction.inputs import Input, Opened, open_input, prepared, with_channels
from atrous.recipe.build import build_preparation
from atrous.recipe.run import Run, open_run
from atrous.stream.engines import ENGINES
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.stream import plan, stream
from atrous.tasks.task import Task

FLIPPED = 2**24  # positions up to which mirror images are averaged, which is not streamed
WHOLE = 2**21  # positions up to which an input goes through the network in one piece: exporting it would take longer


@dataclass(frozen=True)
class Prediction:
    """What a network says of one input.

    Attributes:
        labels: `(*S)` uint8 class numbers; 255 where the input has no data.
        probabilities: `(K, *S)` float32, NaN where the input has no data; None when not asked for.
        classes: names, in label order.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Predictor:
    """A trained network with its task: raw values in, labels out.

    Attributes:
        run: where it comes from.
        network: in eval mode, on `device`.
        task: decodes its output.
        device: where it runs.
        dtype: arithmetic of the convolutions.
        flips: axes to mirror for test-time augmentation; the probabilities of all mirror images are averaged.
        memory: bytes ("1GB") that a stream may take; large inputs are streamed in about 768 MiB when None.
        engine: "torch", "openvino" or "inductor".
    """

    run: Run
    network: DenseNetwork
    task: Task
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    flips: tuple[int, ...] = ()
    memory: str | float | None = None
    engine: str = "torch"
    inner: nn.Module = field(init=False, repr=False)
    ready: dict[tuple[int, ...], Prepared] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        inner = copy.deepcopy(self.network)
        inner.add_module("normalize", nn.Identity())  # done in float32 before, whatever the network computes in
        object.__setattr__(self, "inner", inner.to(self.dtype).eval())

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order."""
        return tuple(self.run.recipe.task.classes)

    @property
    def video(self) -> bool:
        """Whether inputs are videos, time first."""
        return self.run.recipe.data.video

    @property
    def along(self) -> dict[str, Any]:
        """Options of a stream: videos are fed frame by frame, in order, so that they are decoded once."""
        return {"axis": 0, "strategy": "strips"} if self.video else {}

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """A color per class."""
        chosen = self.run.recipe.task.palette
        return tuple(chosen) or default_palette(len(self.classes))

    def open(self, source: np.ndarray | Path | str | Input) -> Opened:
        """An input as the network expects it: sliced where it lies, its channels and grid the network's.

        Raises:
            UserError: the file cannot be read, or has other channels than the network.
        """
        model, preparation = self.run.recipe.model, build_preparation(self.run.recipe)
        if not isinstance(source, np.ndarray):
            item = source if isinstance(source, Input) else Input((Path(source),), Path(Path(source).name))
            name = item.path
            opened = open_input(
                item, channels=model.in_channels, preparation=preparation, fill=model.mean, ndim=model.ndim
            )
        else:
            image = source[None] if source.ndim == model.ndim else source
            name = "the array"
            opened = prepared(with_channels(image, model.in_channels, Path(name)), preparation, model.mean)
        shape = tuple(opened.source.shape)
        if len(shape) != model.ndim + 1:
            raise UserError(f"{name}: shape {shape}, but the network reads (channels, {model.ndim} axes)")
        if min(shape) < 1:
            raise UserError(f"{name}: shape {shape} is empty: there is nothing to label")
        return opened

    def predict(self, source: np.ndarray | Path | str | Input, *, probabilities: bool = False) -> Prediction:
        """Predict one input of any size.

        Args:
            source: raw values `(C, *S)` (or `(*S)` for one channel), or the path of an image.
            probabilities: whether they are wanted beside the labels.

        Raises:
            UserError: the file cannot be read, or has other channels than the network.
        """
        opened = self.open(source)
        size = tuple(opened.source.shape[1:])
        labels = np.empty(size, np.uint8)
        void = None if opened.resampled else opened.valid
        found = np.empty((len(self.classes), *size), np.float32) if probabilities else None
        self.label(opened.source, voided(labels, void), None if found is None else voided(found, void, np.nan))
        if opened.resampled:
            labels = resample_label(labels, opened.size)
            found = None if found is None else restore(torch.from_numpy(found), opened.size).numpy()
            make_void(labels, opened.valid)
        return Prediction(labels, found, self.classes)

    def label(
        self,
        source: Source,
        labels: Sink,
        probabilities: Sink | None = None,
        *,
        resume: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Write the labels of a source `(C, *S)` into a sink `(*S)`, and the probabilities into one `(K, *S)`.

        Small inputs go through the network whole, all others are streamed: the answer is the same.
        """
        if self.whole(tuple(source.shape)):
            output = self.output(np.asarray(source[...]))
            labels[...] = self.task.decode(output)[0].cpu().numpy()
            if probabilities is not None:
                probabilities[...] = self.task.probabilities(output)[0].cpu().numpy()
            return
        both = probabilities is not None
        self._stream(
            source,
            LabelsAndProbabilities(labels, probabilities) if both else labels,
            self.task.probabilities if both else self.task.decode,
            resume and not both,
            progress,
        )

    def write_probabilities(self, source: Source, sink: Sink, progress: Callable[[float], None] | None = None) -> None:
        """Write the probabilities of a source `(C, *S)` into a sink `(K, *S)`: large ones strip by strip, in order."""
        if self.whole(tuple(source.shape)):
            output = self.output(np.asarray(source[...]))
            sink[...] = self.task.probabilities(output)[0].cpu().numpy()
            return
        self._stream(source, sink, self.task.probabilities, False, progress)

    def whole(self, shape: tuple[int, ...]) -> bool:
        """Whether an input of this shape `(C, *S)` goes through the network in one piece.

        Raises:
            UserError: it would have to, for its mirror images, and is too large or a memory limit was set.
        """
        positions = math.prod(shape[1:])
        if self.flips and (self.memory is not None or positions > FLIPPED):
            raise UserError(
                f"an input of {positions:,} positions: mirror images are averaged whole, up to {FLIPPED:,} positions "
                "and without a memory limit: leave test-time augmentation out"
            )
        return bool(self.flips) or (self.memory is None and positions <= WHOLE)

    def plan(self, shape: tuple[int, ...]) -> Any:
        """How an input of this shape `(C, *S)` will be streamed; None when it goes through the network whole."""
        if self.whole(shape):
            return None
        return plan(
            self._prepared(shape), shape, memory=self.memory, dtype=self.dtype, engine=self.engine, **self.along
        )

    def output(self, image: np.ndarray) -> torch.Tensor:
        """Logits `(1, K, *S)` float32 of raw values `(C, *S)`; with flips, logarithms of the mean probabilities."""
        if not self.whole(tuple(image.shape)):
            found = np.empty((self.task.out_channels, *image.shape[1:]), np.float32)
            self._stream(image, found, torch.Tensor.float)
            return torch.from_numpy(found)[None]
        torch.set_flush_denormal(True)
        x = torch.from_numpy(self._standardized(image)[...])[None].to(self.device, self.dtype)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            if not self.flips:
                return self.inner(x).float()
            ways = [()] + [(axis + 2,) for axis in self.flips]
            total = sum(self.task.probabilities(self.inner(x.flip(w))).flip(w) for w in ways)
        return (total / len(ways)).log()  # type: ignore[operator]

    def _stream(
        self,
        source: Source,
        sink: Sink,
        post: Callable[[torch.Tensor], torch.Tensor],
        resume: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        stream(
            self._prepared(tuple(source.shape)),
            self._standardized(source),
            sink,
            memory=self.memory,
            dtype=self.dtype,
            engine=self.engine,
            post=post,
            resume=resume,
            progress=progress,
            **self.along,
        )

    def _standardized(self, source: Source) -> Standardized:
        normalize = self.network.normalize
        mean, std = (getattr(normalize, name).flatten().cpu().float().numpy() for name in ("mean", "std"))
        return Standardized(source, mean, std)

    def _prepared(self, shape: tuple[int, ...]) -> Prepared:
        if shape not in self.ready:
            self.ready.clear()  # one at a time: what an engine compiled for a size takes memory
            self.ready[shape] = prepare(self.inner, shape)
        return self.ready[shape]


def load(
    run: Run | Path | str,
    *,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    flip: bool = False,
    memory: str | float | None = None,
    engine: str = "torch",
) -> Predictor:
    """Load the folder of a run.

    Args:
        run: the folder.
        device: where to run, "cpu" or "cuda".
        dtype: arithmetic; that of the training when None.
        flip: average over the mirror images that the training knew.
        memory: bytes ("1GB") that a stream may take.
        engine: "torch", "openvino" or "inductor".

    Raises:
        UserError: it is not a run, its weights are missing or damaged, or there is no such engine or device.
    """
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r}: choose {', '.join(ENGINES)}")
    check_device(device)
    opened = run if isinstance(run, Run) else open_run(run)
    quick = opened.recipe.train.precision == "bf16-mixed" and opened.recipe.task.kind != "stranded"
    trained = torch.bfloat16 if quick else torch.float32
    network = opened.network().to(device)
    for weight in network.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    flips = tuple(axis for axis, on in enumerate(opened.recipe.augment.flip) if on) if flip else ()
    return Predictor(opened, network, opened.task(), device, dtype or trained, flips, memory, engine)
