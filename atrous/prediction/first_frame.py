"""A network that is told what the object is: seconds of training on the first frame of a video and its mask.

Caelles et al. 2017, "One-shot video object segmentation": a network that learned what objects are is fine-tuned on one
frame of one video. Its clips are made of that frame (`atrous.data.feed.dreams`). The object is then followed: what is
not near the object of the frame before is none (`Follower`).
"""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from atrous.data.feed.dreams import Dreaming, Still, dream
from atrous.data.formats import (
    FileFault,
    Palette,
    code_color,
    color_code,
    is_color,
    read_header,
    read_values,
    require_rgb,
    single_channel,
)
from atrous.data.source import Sink, Source, full_key
from atrous.errors import UserError
from atrous.geometry.plan import StreamPlan
from atrous.labels import IGNORE
from atrous.nn.depthwise import fast_depthwise
from atrous.nn.shallow import safe_shallow
from atrous.nn.strided import safe_strided
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.predictor import Predictor
from atrous.recipe.build import build_color, build_settings
from atrous.recipe.run import Run
from atrous.training.budget import one_cycle
from atrous.training.step import parameter_groups

SECONDS = 30.0
"""How long a network learns the object of the first frame, if nobody says it."""
RATE = 0.6
"""Factor on the learning rate of the training."""
CLOSEST = 2.5
"""Greatest zoom: an object that is small at first comes closer, and few pixels of it teach little."""
REACH = 0.08
"""From one frame to the next an object moves by this share of the diagonal, at most."""
THINNED = 4
"""Distances are measured on every fourth pixel along each axis."""
FULL = 255
"""The value of the object in masks of two values."""


def learn_first_frame(
    predictor: Predictor,
    frames: Source,
    labels: np.ndarray,
    *,
    seconds: float = SECONDS,
    steps: int | None = None,
    seed: int = 0,
) -> Predictor:
    """Return a predictor whose network was trained on the first frame of a video; the given one stays as it is.

    Batch norms keep their statistics: one frame has none that hold for a video.

    Args:
        predictor: of a run on videos.
        frames: `(C, T, H, W)`, as `Predictor.open` gives them. The first frame is labelled. The second one, where there
            is one, says how the object moves.
        labels: `(H, W)` classes of the first frame, `IGNORE` where nobody knows.
        seconds: how long, in wall time.
        steps: number of steps, instead of `seconds`.
        seed: random seed.

    Raises:
        UserError: the labels show no object, or have another size than the frames.
    """
    if labels.shape != tuple(frames.shape[2:]):
        size = tuple(frames.shape[2:])
        raise UserError(f"the first mask is {labels.shape}, frames are {size}: give one of their size")
    first = np.asarray(frames[:, : min(2, frames.shape[1])], np.float32)
    try:
        still = Still.of(first[:, 0], labels, first[:, 1] if first.shape[1] > 1 else None)
    except ValueError:
        raise UserError("the first mask shows no object: mark it with the number of its class") from None
    network, recipe = copy.deepcopy(predictor.network).eval(), predictor.run.recipe
    how, settings = _dreaming(predictor, labels.shape), build_settings(recipe)
    optimizer = torch.optim.AdamW(parameter_groups(network, settings), lr=settings.learning_rate)
    rng, start, step = np.random.default_rng(seed), time.monotonic(), 0
    half = torch.autocast(torch.device(predictor.device).type, torch.bfloat16, predictor.dtype == torch.bfloat16)
    for weight in network.parameters():
        weight.requires_grad_(True)
    torch.set_flush_denormal(True)
    with fast_depthwise(network), safe_strided(network), safe_shallow(network):
        while (progress := step / steps if steps is not None else (time.monotonic() - start) / seconds) < 1:
            for group in optimizer.param_groups:
                group["lr"] = RATE * settings.learning_rate * one_cycle(progress, 0.1) * group["factor"]
            clip, target = (part[None].to(predictor.device) for part in dream(rng, still, how))
            with half:
                output = network(clip.contiguous(memory_format=torch.channels_last_3d))
            predictor.task.loss(output.float(), target).backward()
            nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    return replace(predictor, network=network)


def _dreaming(predictor: Predictor, size: tuple[int, ...]) -> Dreaming:
    """How clips of the first frame vary: as the crops of the training did."""
    recipe, (height, width) = predictor.run.recipe, size
    crop, augment = recipe.train.crop, recipe.augment
    crop = min(crop[1], height), min(crop[2], width)
    scale = augment.scale[0], max(augment.scale[1], CLOSEST)
    return Dreaming(crop, scale, augment.rotate, augment.flip[-1], build_color(recipe))


class Follower:
    """Keeps of the maps of a video what goes on from the object of the first frame.

    Of the connected pieces of a map (8 neighbors) those stay that come as near to the object of the frame before as it
    can have moved; the others are background. Where none does, because the object was hidden or lost, all stay.

    Args:
        labels: `(H, W)` of the first frame.

    >>> first = np.zeros((40, 40), np.uint8)
    >>> first[10:20, 10:20] = 1
    >>> moved = np.roll(first, 2, axis=1)
    >>> moved[35:39, 35:39] = 1  # another piece, far away
    >>> int(Follower(first).follow(moved).sum())
    100
    """

    def __init__(self, labels: np.ndarray) -> None:
        self._last = (labels != 0) & (labels != IGNORE)

    def follow(self, labels: np.ndarray) -> np.ndarray:
        """Return the labels `(H, W)` of the next frame with what does not go on set to 0."""
        from scipy import ndimage

        found = (labels != 0) & (labels != IGNORE)
        numbers, count = cast("tuple[np.ndarray, int]", ndimage.label(found, structure=np.ones((3, 3), int)))
        if count > 1 and self._last.any():
            kept = np.unique(numbers[self._near()])
            goes_on = np.zeros(count + 1, bool)
            goes_on[kept[kept > 0]] = True
            if goes_on.any():
                found = goes_on[numbers]
        if found.any():
            self._last = found
        return np.where(found | (labels == IGNORE), labels, 0).astype(labels.dtype)

    def _near(self) -> np.ndarray:
        """Where the object can be by now, `(H, W)`."""
        from scipy import ndimage

        height, width = self._last.shape
        rows, columns = -(-height // THINNED), -(-width // THINNED)
        padded = np.zeros((rows * THINNED, columns * THINNED), bool)
        padded[:height, :width] = self._last
        small = padded.reshape(rows, THINNED, columns, THINNED).any((1, 3))
        far = np.asarray(ndimage.distance_transform_edt(~small)) * THINNED
        near = far <= REACH * np.hypot(height, width)
        return near.repeat(THINNED, 0).repeat(THINNED, 1)[:height, :width]


class FollowedLabels:
    """A sink of labels `(T, H, W)` that takes whole frames in order, and passes on what goes on from the first mask.

    Args:
        sink: gets the labels.
        labels: `(H, W)` of the first frame, which stand for what the network says of it.
    """

    def __init__(self, sink: Any, labels: np.ndarray) -> None:
        self.shape, self.dtype = tuple(sink.shape), np.dtype(sink.dtype)
        self._sink, self._labels, self._follower = sink, labels, Follower(labels)

    def __setitem__(self, key: Any, labels: np.ndarray) -> None:
        """Follow the object through some frames."""
        first = full_key(key, 3)[0].indices(self.shape[0])[0]
        for number, found in enumerate(labels, first):
            followed = self._labels if number == 0 else self._follower.follow(found)
            self._sink[number : number + 1] = followed[None]


@dataclass(frozen=True)
class FirstFrameLabeler:
    """Labels a video after it has learned its first frame (`atrous.prediction.worker.Worker`).

    Attributes:
        predictor: of a run on videos.
        mask: the file of the first mask.
        seconds: how long the first frame is learned.
        tell: called with what is done.
    """

    predictor: Predictor
    mask: Path
    seconds: float = SECONDS
    tell: Callable[[str], None] = lambda text: None
    learned: list[tuple[Predictor, np.ndarray]] = field(init=False, default_factory=list)

    @property
    def dtype(self) -> torch.dtype:
        """See `Worker.dtype`."""
        return self.predictor.dtype

    @property
    def engine(self) -> str:
        """See `Worker.engine`."""
        return self.predictor.engine

    @property
    def device(self) -> str:
        """See `Worker.device`."""
        return self.predictor.device

    def parts(self, item: Input) -> Iterator[Opened]:
        """Open the video, and learn its first frame."""
        opened = self.predictor.open(item)
        labels = read_first_mask(self.mask, len(self.predictor.classes), self.predictor.palette)
        if labels.shape != tuple(opened.source.shape[2:]):
            raise UserError(f"{self.mask}: size {labels.shape}, but frames of {item.path} are {opened.size[1:]}")
        self.tell(f"{item.path}: learning the first frame for {self.seconds:g} s")
        learned = learn_first_frame(self.predictor, opened.source, labels, seconds=self.seconds)
        self.learned[:] = [(learned, labels)]
        yield opened

    def plan(self, shape: tuple[int, ...]) -> StreamPlan | None:
        """See `Worker.plan`."""
        return self._learned()[0].plan(shape)

    def write(
        self,
        source: Source,
        labels: Sink | None = None,
        probabilities: Sink | None = None,
        *,
        resume: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Label the video and follow the object; there are no probabilities. It begins with the first frame always."""
        assert labels is not None
        predictor, first = self._learned()
        plan = predictor.plan(tuple(source.shape))
        if plan is None or plan.blocks == 1:
            predictor.write(source, FollowedLabels(labels, first), progress=progress)
            return
        # Frames come in blocks, into an array on disk that is read again here.
        predictor.write(source, labels, progress=progress)
        followed, written = FollowedLabels(labels, first), cast(Any, labels)
        for number in range(source.shape[1]):
            followed[number : number + 1] = np.asarray(written[number : number + 1])

    def _learned(self) -> tuple[Predictor, np.ndarray]:
        return self.learned[0] if self.learned else (self.predictor, np.zeros((0, 0), np.uint8))


def require_videos(run: Run) -> None:
    """Raise unless a run labels videos.

    Raises:
        UserError: it reads other data.
    """
    if run.recipe.data.kind != "videos":
        raise UserError(f"{run.folder}: --first-frame is for runs on videos, this one reads {run.recipe.data.kind}")


def read_first_mask(path: Path, classes: int, palette: Palette = ()) -> np.ndarray:
    """Return the labels `(H, W)` uint8 of a mask file: class numbers, 255 void; of two classes 0 and one other value.

    Args:
        path: the file.
        classes: how many there are.
        palette: the color of each class, for a file that stores colors. Of two classes it may also store black and one
            other color.

    Raises:
        UserError: the file cannot be read, or holds other values or colors.
    """
    values, header = np.asarray(read_values(path)), read_header(path)
    if is_color(values, header):
        gray = single_channel(values)
        values = _of_colors(path, require_rgb(path, values, header), classes, palette) if gray is None else gray
    if values.ndim != 2:
        raise UserError(f"{path}: has {values.ndim} axes: give the mask of one frame")
    found = np.unique(values)
    others = found[found != 0]
    if classes == 2 and len(others) == 1:
        return (values != 0).astype(np.uint8)
    unknown = [int(value) for value in others if value >= classes and value != IGNORE]
    if unknown:
        raise UserError(f"{path}: the value {unknown[0]}, but the run has {classes} classes: write class numbers")
    return values.astype(np.uint8)


def _of_colors(path: Path, codes: np.ndarray, classes: int, palette: Palette) -> np.ndarray:
    """The labels `(H, W)` of colors `0xRRGGBB`."""
    known, found = [color_code(color) for color in palette], np.unique(codes)
    if classes == 2 and len(found[found != 0]) == 1 and int(found[-1]) not in known[:1]:
        return (codes != 0).astype(np.uint8)
    unknown = [int(code) for code in found if code not in known]
    if unknown:
        colors = ", ".join(map(str, palette))
        fix = f"write class numbers from 0 to {classes - 1}, or the colors of the classes: {colors}"
        raise FileFault(path, f"the color {code_color(unknown[0])} is of no class", fix)
    labels = np.zeros(codes.shape, np.uint8)
    for label, code in enumerate(known):
        labels[codes == code] = label
    return labels
