"""Short clips made of one labelled frame: its object is cut out, and object and background move apart.

Khoreva et al. 2017, "Lucid data dreaming for object tracking": what a network needs to know of the frames to come, it
learns from the first one, changed in as many ways.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from atrous.data.cut import cut_values
from atrous.data.feed.augment import Color, recolor
from atrous.data.view import View
from atrous.labels import IGNORE

AS_IT_IS = 0.5
"""Share of the clips in which the object stays where it is in the frame; in the others it is moved."""
ZOOM, TURN, MOVE = 0.2, 15.0, 0.1
"""Of an object that is moved: greatest change of its size, turn in degrees, distance as a share of the diagonal."""
STEP, STEP_ZOOM, STEP_TURN = 0.02, 0.02, 2.0
"""The same between the two frames of a clip, of the object and of the camera."""
GROWN = 0.01
"""So far around the object the background is painted over, too, as a share of the diagonal."""


@dataclass(frozen=True)
class Still:
    """A labelled frame in two layers.

    Attributes:
        frame: `(C, H, W)` float32.
        labels: `(H, W)` uint8.
        background: the frame with its objects painted over, `(C, H, W)`.
        before: another frame of the video, from which the object moved to where it is, `(C, H, W)`; None for none.
    """

    frame: np.ndarray
    labels: np.ndarray
    background: np.ndarray
    before: np.ndarray | None = None

    @classmethod
    def of(cls, frame: np.ndarray, labels: np.ndarray, before: np.ndarray | None = None) -> "Still":
        """Make the layers of a frame `(C, H, W)` with labels `(H, W)`, of which 0 is the background.

        Raises:
            ValueError: no pixel has another class.
        """
        objects = (labels != 0) & (labels != IGNORE)
        if not objects.any():
            raise ValueError("no pixel has a class but the first")
        frame = np.asarray(frame, np.float32)
        background = painted_over(frame, objects)
        return cls(frame, labels, background, None if before is None else np.asarray(before, np.float32))

    @property
    def diagonal(self) -> float:
        """Length of the diagonal in pixels."""
        return float(np.hypot(*self.labels.shape))

    @property
    def middle(self) -> np.ndarray:
        """Mean row and column of the objects, `(2,)`."""
        return np.argwhere((self.labels != 0) & (self.labels != IGNORE)).mean(0) + 0.5


@dataclass(frozen=True)
class Dreaming:
    """How clips are made.

    Attributes:
        crop: height and width.
        scale: least and greatest zoom.
        rotate: greatest turn of the camera in degrees.
        flip: whether half of the clips are mirrored, left and right.
        color: how intensities vary.
    """

    crop: tuple[int, int]
    scale: tuple[float, float]
    rotate: float = 10.0
    flip: bool = True
    color: Color | None = None


def dream(rng: np.random.Generator, still: Still, how: Dreaming) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a clip of two frames, `(C, 2, *crop)` float32, with the labels of both, `(2, *crop)` int64.

    In half of the clips where `still.before` is known, the frames are that one, void, and the labelled one: the motion
    is the true one. In the others object and background are moved between the frames.
    """
    camera = _camera(rng, still, how)
    if still.before is not None and rng.random() < 0.5:
        pictures = [cut_values(part, camera, how.crop, "bilinear", border=True) for part in (still.before, still.frame)]
        label = cut_values(still.labels[None].astype(np.float32), camera, how.crop, "nearest", border=False)[0]
        labels = [torch.full_like(label, IGNORE), label]
    else:
        affine = _move(rng, still, MOVE, ZOOM, TURN) if rng.random() >= AS_IT_IS else (np.eye(2), np.zeros(2))
        moved, turned = _move(rng, still, STEP, STEP_ZOOM, STEP_TURN), _move(rng, still, STEP, STEP_ZOOM, STEP_TURN)
        views = [camera, View(0, camera.center + turned[1], turned[0] @ camera.matrix)]
        affines = [affine, (moved[0] @ affine[0], affine[1] + moved[1])]
        frames = [_composed(still, view, one, how.crop) for view, one in zip(views, affines, strict=True)]
        pictures, labels = [frame for frame, _ in frames], [label for _, label in frames]
    clip = torch.stack(pictures, 1)
    if how.color is not None:
        clip = recolor(rng, clip, how.color, float(still.frame.std()))
    return clip, torch.stack(labels).long()


def _camera(rng: np.random.Generator, still: Still, how: Dreaming) -> View:
    """A view in which the object is, mostly."""
    zoom = float(np.exp(rng.uniform(*np.log(how.scale))))
    angle = np.radians(rng.uniform(-how.rotate, how.rotate))
    matrix = _turn(angle) @ np.diag([1 / zoom, (-1 if how.flip and rng.random() < 0.5 else 1) / zoom])
    reach, size = np.abs(matrix) @ (np.array(how.crop) / 2), np.array(still.labels.shape)
    center = still.middle + rng.uniform(-0.7, 0.7, 2) * reach
    return View(0, np.clip(center, np.minimum(reach, size / 2), np.maximum(size - reach, size / 2)), matrix)


def _move(
    rng: np.random.Generator, still: Still, move: float, zoom: float, turn: float
) -> tuple[np.ndarray, np.ndarray]:
    """A random linear map `(2, 2)` and displacement `(2,)`."""
    scale = float(np.exp(rng.uniform(-zoom, zoom)))
    angle = np.radians(rng.uniform(-turn, turn))
    return scale * _turn(angle), rng.normal(0, move / 2, 2).clip(-move, move) * still.diagonal


def _composed(
    still: Still, view: View, affine: tuple[np.ndarray, np.ndarray], crop: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """A frame `(C, *crop)` with the object moved over the background, and its labels `(*crop)`.

    A point `q` of the object lies at `m + A (q - m) + d` then, with its middle `m`. The crop's position `p` shows the
    point `c + M (p - h)` of the scene, so of the object it shows `m + A^-1 (c - m - d) + A^-1 M (p - h)`.
    """
    back = np.linalg.inv(affine[0])
    own = View(0, still.middle + back @ (view.center - still.middle - affine[1]), back @ view.matrix)
    void = (still.labels == IGNORE)[None].astype(np.float32)
    objects = np.where(still.labels == IGNORE, 0, still.labels)[None].astype(np.float32)
    behind = cut_values(still.background, view, crop, "bilinear", border=True)
    before = cut_values(still.frame, own, crop, "bilinear", border=True)
    cover = cut_values((objects > 0).astype(np.float32), own, crop, "bilinear", border=False)
    label = cut_values(objects, own, crop, "nearest", border=False)[0]
    unknown = cut_values(void, view, crop, "nearest", border=False)[0]
    label = torch.where((label == 0) & (unknown > 0), torch.tensor(float(IGNORE)), label)
    return behind + cover * (before - behind), label


def _turn(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def painted_over(frame: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return a frame `(C, H, W)` with objects `(H, W)` painted over by what surrounds them, blurred.

    On each level of a pyramid pixels are means of those that are known; what is unknown is taken from the next coarser
    level (the pull-push algorithm of Gortler et al. 1996, "The lumigraph").

    >>> frame = np.full((1, 8, 8), 5.0, np.float32)
    >>> frame[0, 3:5, 3:5] = 90
    >>> painted_over(frame, frame[0] > 50).max().item()
    5.0
    """
    from scipy import ndimage

    grown = ndimage.binary_dilation(objects, iterations=max(1, round(GROWN * float(np.hypot(*objects.shape)))))
    known = torch.from_numpy(np.logical_not(grown))[None, None].float()
    if not known.any():
        return np.broadcast_to(frame.mean((1, 2), keepdims=True), frame.shape).astype(np.float32)
    filled = _filled(torch.from_numpy(np.ascontiguousarray(frame))[None] * known, known)
    return filled[0].numpy()


def _filled(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Values `(1, C, H, W)`, zero where they are unknown, with what is unknown filled; `known` is `(1, 1, H, W)`."""
    if bool((known > 0).all()):
        return values
    pooled, share = (F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False) for x in (values, known))
    coarse = _filled(pooled / share.clamp_min(1e-6) * (share > 0), (share > 0).float())
    fine = F.interpolate(coarse, size=values.shape[2:], mode="bilinear", align_corners=False)
    return torch.where(known > 0, values, fine)
