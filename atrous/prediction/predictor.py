"""A trained network that labels inputs of any size, in bounded memory."""

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import nn

from atrous.color import Palette, default_palette
from atrous.data.preprocess import Expected, Preparation
from atrous.data.source import Sink, Source
from atrous.data.views import LabelsAndProbabilities, Standardized
from atrous.data.void import voided
from atrous.device import check_device
from atrous.errors import UserError
from atrous.geometry.plan import StreamPlan
from atrous.nn.blocks import Normalize
from atrous.prediction.arrays import channel_names, in_data_array, input_array, is_data_array, open_array
from atrous.prediction.boxes import predict_boxes
from atrous.prediction.classes import predict_classes
from atrous.prediction.inputs import Input, Opened, open_input
from atrous.prediction.intervals import CutLabels, with_intervals
from atrous.prediction.mirrored import mean_of_mirrored
from atrous.prediction.object_table import predict_objects
from atrous.prediction.pairs import as_input
from atrous.prediction.points import predict_points
from atrous.prediction.result import Prediction
from atrous.prediction.sequences import open_only_sequence, open_sequences
from atrous.prediction.values import predict_values
from atrous.recipe.build import build_expected, build_preparation
from atrous.recipe.run import Run, open_run
from atrous.stream.engines import ENGINES, check_engine
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.stream import plan, stream
from atrous.tasks.custom import class_maps, needs_float32, output_size, value_task
from atrous.tasks.task import FoundTask, Task
from atrous.tasks.thresholds import adjustments

FLIPPED = 2**24
"""Positions up to which an input is averaged over its mirror images. They go through the network whole."""
WHOLE = 2**21
"""Positions up to which an input goes through the network whole. Exporting it for a stream would take longer."""
PREDICT: dict[str, Callable[[Any, Any, Opened, Callable[[], Opened], Palette], Any]] = {
    "objects": predict_objects,
    "boxes": predict_boxes,
    "points": predict_points,
    "values": predict_values,
    "classes": predict_classes,
}
"""For what a task finds (`FoundTask.found`), and for numbers, what gives it to Python programs: a function of the dense
maps `(K, *S)`, the task, the input, what opens the input again, and a color per class."""


@dataclass(frozen=True, repr=False)
class Predictor:
    """A trained network with its task: raw values in, labels out.

    Attributes:
        run: the run that trained it.
        network: in eval mode, on `device`.
        task: decodes the network's output.
        device: where the network runs.
        dtype: arithmetic of the convolutions.
        flips: axes to mirror for test-time augmentation; the probabilities of all mirror images are averaged.
        memory: bytes ("1GB") that a stream may take. If None, large inputs are streamed in about 768 MiB.
        engine: "torch", "openvino", "inductor" or "onnxruntime".
    """

    run: Run
    network: nn.Module
    task: Task
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    flips: tuple[int, ...] = ()
    memory: str | float | None = None
    engine: str = "torch"
    inner: nn.Module = field(init=False)
    preparation: Preparation = field(init=False)
    expected: Expected = field(init=False)
    ready: dict[tuple[int, ...], Prepared] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        inner = copy.deepcopy(self.network)
        if isinstance(getattr(inner, "normalize", None), Normalize):
            # `standardized` does the same in float32, before the values are rounded to `dtype`.
            inner.add_module("normalize", nn.Identity())
        object.__setattr__(self, "inner", inner.to(self.dtype).eval())
        object.__setattr__(self, "preparation", build_preparation(self.run.recipe))
        object.__setattr__(self, "expected", build_expected(self.run.recipe))

    def __repr__(self) -> str:
        model, arithmetic = self.run.recipe.model, str(self.dtype).removeprefix("torch.")
        name = type(self.network).__name__ if model.name == "custom" else model.name
        return (
            f"Predictor({self.run.title}: {name}, {model.ndim}-D, {model.in_channels} channels, "
            f"{len(self.classes)} classes, {arithmetic} on {self.device})"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order."""
        return tuple(self.run.recipe.task.classes)

    @property
    def kind(self) -> str:
        """Kind of data that the network reads: "grids", "videos", "scenes", "genomes", or one that was added."""
        return self.run.recipe.data.kind

    @property
    def palette(self) -> Palette:
        """A color per class."""
        return tuple(self.run.recipe.task.palette) or (default_palette(len(self.classes)) if self.classes else ())

    def identity(self) -> str:
        """Return a digest of what a result depends on beside the input: recipe, weights, arithmetic, calibration."""
        digest = sha256(self.run.recipe.model_dump_json().encode())
        for name, tensor in self.network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).float().numpy().data)
        digest.update(repr((str(self.dtype), self.flips, str(self.memory), self.engine, self.device)).encode())
        digest.update(repr(adjustments(self.task)).encode())
        return digest.hexdigest()

    def open(self, source: Any) -> Opened:
        """Open an input as the network reads it: its channels, intensities and grid.

        Args:
            source: as `predict` takes it.

        Raises:
            UserError: it cannot be read, or does not fit the network.
        """
        return self._opened(*self._opener(source))

    def parts(self, item: Input) -> Iterator[Opened]:
        """Open an input part by part: a FASTA file has a part per sequence, any other input has one.

        Raises:
            UserError: a file cannot be read, or does not fit the network.
        """
        if self.kind == "genomes":
            return open_sequences(item.path, self.run.recipe.input.tracks)
        return iter([self.open(item)])

    def predict(self, source: Any, *, probabilities: bool = False) -> Any:
        """Predict one input of any size.

        Args:
            source: the path of a file (`str` or `Path`), or raw values `(C, *S)`, or `(*S)` for one channel: a numpy
                array, a torch tensor, a Pillow image, an xarray DataArray, a zarr array, or anything else that has a
                shape and a type and gives arrays when it is sliced; of change detection two of these. The dimensions of
                a DataArray may have any order (one named channel or band holds the channels); the labels are then a
                DataArray with its coordinates.
            probabilities: whether to return the probability of every class too.

        Returns:
            A `Prediction`, or for other tasks an `ObjectPrediction`, `ClassPrediction`, `ValuePrediction` and so on.

        Raises:
            UserError: the input cannot be read, has another type, or does not fit the network.
        """
        opener, name = self._opener(source)
        opened = self._opened(opener, name)
        for difference in opened.differences:
            warnings.warn(f"{name}: {difference}", stacklevel=2)
        if (task := value_task(self.task)) is not None or isinstance(self.task, FoundTask):
            return self._predict_maps(task or self.task, opened, opener, name)
        labels = np.empty(opened.source.shape[1:], np.uint8)
        given = CutLabels(labels, opened) if labels.ndim == 1 else labels
        valid = None if opened.regridded else opened.valid  # on another grid, gaps are marked after resampling
        maps = np.empty((class_maps(self.task, self.classes), *labels.shape), np.float32) if probabilities else None
        self.write(opened.source, voided(given, valid), None if maps is None else voided(maps, valid, np.nan))
        maps = None if maps is None else maps[: len(self.classes)]
        if opened.regridded:
            labels, maps = opened.labels_on_file(labels), None if maps is None else opened.maps_on_file(maps)
        if is_data_array(source):
            labels = in_data_array(source, labels)
            maps = None if maps is None else in_data_array(source, maps, self.classes)
        return Prediction(labels, maps, self.classes, self.palette, self.kind == "genomes", opener)

    def _predict_maps(self, task: Any, opened: Opened, opener: Callable[[], Opened], name: str) -> Any:
        """What is found in an input, or its numbers."""
        maps = np.empty((task.out_channels, *output_size(task, opened.source.shape[1:])), np.float32)
        self.write(opened.source, probabilities=maps)
        if not np.isfinite(maps).all():
            what = "the network's output is not finite (nan or infinite)"
            raise UserError(f"{name}: {what}: look at the values of this input, or train at a lower rate")
        kind = task.found if isinstance(task, FoundTask) else "values"
        return PREDICT[kind](maps, task, opened, opener, self.palette)

    def write(
        self,
        source: Source,
        labels: Sink | None = None,
        probabilities: Sink | None = None,
        *,
        resume: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Predict an opened source and write labels, probabilities or both into sinks.

        Small inputs go through the network whole, all others are streamed, strip by strip. The answer is the same.

        Args:
            source: `(C, *S)`, the source of an `Opened`.
            labels: sink of labels `(*S)`, or None; of signals with `CutLabels` inside, if the input has gaps.
            probabilities: sink of probabilities `(K, *S)`, or None.
            resume: resume an interrupted stream into the same sink, which must lie on disk; not into both.
            progress: called with the finished share of a streamed input.
        """
        if len(source.shape) == 2:  # a signal
            labels, probabilities, resume = with_intervals(self.task, labels, probabilities, resume)
        if self.whole(tuple(source.shape)):
            output = self.output(np.asarray(source[...]))
            if labels is not None:
                labels[...] = self.task.decode(output)[0].cpu().numpy()
            if probabilities is not None:
                probabilities[...] = self.task.probabilities(output)[0].cpu().numpy()
        elif probabilities is None and labels is not None:
            self._stream(source, labels, self.task.decode, resume, progress)
        elif probabilities is not None and labels is None:
            self._stream(source, probabilities, self.task.probabilities, resume, progress)
        elif probabilities is not None and labels is not None:
            post, sink = self.labels_and_probabilities, LabelsAndProbabilities(labels, probabilities)
            self._stream(source, sink, post, False, progress)

    def whole(self, shape: tuple[int, ...]) -> bool:
        """Return whether an input of this shape `(C, *S)` goes through the network in one piece.

        Raises:
            UserError: test-time augmentation would need the input in one piece, but it is too large, or a memory limit
                was set.
        """
        positions = math.prod(shape[1:])
        if self.flips and (self.memory is not None or positions > FLIPPED):
            raise UserError(
                f"an input of {positions:,} positions: test-time augmentation takes inputs whole, up to {FLIPPED:,} "
                "positions and without a memory limit: leave test-time augmentation out"
            )
        return bool(self.flips) or (self.memory is None and positions <= WHOLE)

    def plan(self, shape: tuple[int, ...]) -> StreamPlan | None:
        """Return how an input of this shape `(C, *S)` will be streamed, None if it goes through the network whole."""
        if self.whole(shape):
            return None
        return plan(
            self.prepared(shape), shape, memory=self.memory, dtype=self.dtype, engine=self.engine, **self._order()
        )

    def output(self, image: np.ndarray) -> torch.Tensor:
        """Return the logits `(1, K, *S)` float32 of raw values `(C, *S)`.

        With test-time augmentation they are logarithms of the probabilities averaged over the mirror images.
        """
        if not self.whole(tuple(image.shape)):
            logits = np.empty((self.task.out_channels, *output_size(self.task, image.shape[1:])), np.float32)
            self._stream(image, logits, torch.Tensor.float)
            return torch.from_numpy(logits)[None]
        torch.set_flush_denormal(True)
        x = torch.from_numpy(self.standardized(image)[...])[None].to(self.device, self.dtype)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return mean_of_mirrored(self._logits, self.task, x, self.flips) if self.flips else self._logits(x).float()

    def standardized(self, source: Any) -> Standardized:
        """Return a source whose values are standardized in float32 as they are sliced.

        The mean and deviation are those of the network's `normalize`. A network of your own without it gets raw values.
        """
        normalize, count = getattr(self.network, "normalize", None), int(source.shape[0])
        mean, std = np.zeros(count, np.float32), np.ones(count, np.float32)
        if isinstance(normalize, Normalize):
            mean, std = (getattr(normalize, name).flatten().cpu().float().numpy() for name in ("mean", "std"))
        return Standardized(source, mean, std)

    def _opener(self, source: Any) -> tuple[Callable[[], Opened], str]:
        """A function without arguments that opens an input, and the name of the input for messages."""
        model, options = self.run.recipe.model, {"expected": self.expected, "preparation": self.preparation}
        source = source if isinstance(source, Input) else as_input(source, self.expected.images, model.ndim)
        if isinstance(source, Input) and self.kind == "genomes":
            return partial(open_only_sequence, source.path, self.run.recipe.input.tracks), str(source.path)
        if isinstance(source, Input):
            return partial(open_input, source, ndim=model.ndim, **options), str(source.path)
        values = input_array(source, model.ndim, self.expected)
        return partial(open_array, values, names=channel_names(source), **options), "the array"

    def _opened(self, opener: Callable[[], Opened], name: str) -> Opened:
        opened, ndim = opener(), self.run.recipe.model.ndim
        if len(shape := tuple(opened.source.shape)) != ndim + 1:
            raise UserError(f"{name}: shape {shape}, but the network reads (channels, {ndim} axes)")
        if min(shape) < 1:
            raise UserError(f"{name}: shape {shape} is empty: there is nothing to label")
        return opened

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        """The network's output `(1, K, *S)`; checked, since the network may be the user's own."""
        logits, shape = self.inner(x), (len(x), self.task.out_channels, *output_size(self.task, x.shape[2:]))
        if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != shape:
            returned = tuple(logits.shape) if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
            raise UserError(
                f"{type(self.network).__name__}: returned {returned} for an input of shape {tuple(x.shape)}: "
                f"wrap the network so that it returns one tensor of shape {shape}"
            )
        return logits

    def labels_and_probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Labels as channel 0 and probabilities `(N, 1 + K, *S)` float32 of logits `(N, K, *S)`."""
        return torch.cat([self.task.decode(output).unsqueeze(1).float(), self.task.probabilities(output)], dim=1)

    def _order(self) -> dict[str, Any]:
        """Options of a stream: videos are fed frame by frame, in order, so that every frame is decoded once."""
        return {"axis": 0, "strategy": "strips"} if self.kind in ("videos", "scenes") else {}

    def _stream(
        self,
        source: Source,
        sink: Sink,
        post: Callable[[torch.Tensor], torch.Tensor],
        resume: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        stream(
            self.prepared(tuple(source.shape)), self.standardized(source), sink, memory=self.memory, dtype=self.dtype,
            engine=self.engine, post=post, resume=resume, progress=progress, **self._order(),
        )  # fmt: skip

    def prepared(self, shape: tuple[int, ...]) -> Prepared:
        """Return the network exported for inputs of this shape `(C, *S)`; the last one is kept."""
        if shape not in self.ready:
            self.ready.clear()  # only one is held: what an engine compiled for a size takes memory
            self.ready[shape] = prepare(self.inner, shape)
        return self.ready[shape]


class LoadOptions(TypedDict, total=False):
    """Options of `load` that verbs pass on; `load` documents them."""

    network: nn.Module | None
    device: str
    dtype: torch.dtype | None
    memory: str | float | None
    engine: str


def load(
    run: Run | Path | str,
    *,
    network: nn.Module | None = None,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    flip: bool = False,
    memory: str | float | None = None,
    engine: str = "torch",
) -> Predictor:
    """Load a trained network from the folder of its run, or a named model.

    Args:
        run: the folder, or the name of a model that an installed package brings (`atrous.named_models`).
        network: your own `(N, C, *S) -> (N, K, *S)`, if the run trained one: its weights are loaded into a copy.
        device: where to run: "cpu", "cuda", "cuda:1" or "mps".
        dtype: arithmetic; if None, that of the training, but float32 for genomes, numbers and "onnxruntime".
        flip: whether to average over the mirror images that the training drew.
        memory: bytes ("1GB") that a stream may take.
        engine: "torch", "openvino", "inductor" or "onnxruntime".

    Raises:
        UserError: there is no such run, model, engine or device, or the weights are missing or do not fit the network.
    """
    check_device(device)
    check_engine(engine, torch.device(device))
    opened = run if isinstance(run, Run) else open_run(run)
    recipe, task = opened.recipe, opened.task()
    if recipe.model.motion and engine != ENGINES[0]:  # only torch sees how a camera moves
        raise UserError(f"engine {engine!r}: choose {ENGINES[0]}")
    exact = recipe.data.kind == "genomes" or needs_float32(task) or engine == "onnxruntime"
    usual = torch.bfloat16 if recipe.train.precision == "bf16-mixed" and not exact else torch.float32
    loaded = opened.network(network).to(device)
    for weight in loaded.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    flips = tuple(axis for axis, on in enumerate(recipe.augment.flip) if flip and on)
    if flip and isinstance(task, FoundTask):
        raise UserError("--tta flip: objects are not averaged over mirror images: leave it out")
    return Predictor(opened, loaded, task, device, dtype or usual, flips, memory, engine)
