"""Strong changes of intensity: two operations, drawn anew for each crop, as RandAugment does.

Cubuk et al. 2020, "RandAugment: practical automated data augmentation with a reduced search space": all operations are
equally probable, and one number says how strong they are. The operations here are those that differ between cameras,
weathers and times of day. None moves anything, so labels stay where they are.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from atrous.data.feed.augment import with_gamma

COUNT = 2
"""Operations for each crop."""
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}

Operation = Callable[[torch.Tensor, "StrongChange", float], torch.Tensor]
"""Given `(C, *S)`, what was drawn, and the standard deviation of the data, returns the changed values."""


@dataclass(frozen=True)
class StrongChange:
    """One operation, as it was drawn for a crop.

    Attributes:
        name: of the operation.
        amount: how strong, 0 to 1.
        numbers: what else it draws: evenly from -1 to 1, one per channel and at least four.
        seed: of noise.
        keep: axes along which nothing is blended: time.
    """

    name: str
    amount: float
    numbers: np.ndarray
    seed: int
    keep: tuple[int, ...] = ()


def draw_strong(
    rng: np.random.Generator, shape: tuple[int, ...], strength: float, keep: tuple[int, ...] = ()
) -> tuple[StrongChange, ...]:
    """Draw two different operations for a crop of shape `(C, *S)`, each of an amount up to `strength`.

    Along the axes `keep` (time) nothing is blended: the objects of a frame are labelled where they are in that frame.
    """
    names = applicable(shape)
    chosen = rng.choice(len(names), COUNT, replace=False)
    return tuple(
        StrongChange(
            name=names[index],
            amount=strength * rng.random(),
            numbers=rng.uniform(-1, 1, max(4, shape[0])),
            seed=int(rng.integers(1 << 32)),
            keep=keep,
        )
        for index in chosen
    )


def strongly_changed(image: torch.Tensor, drawn: tuple[StrongChange, ...], spread: float) -> torch.Tensor:
    """Change the intensities of `(C, *S)` as drawn; `spread` is the data's standard deviation."""
    for change in drawn:
        image = OPERATIONS[change.name](image, change, spread)
    return image


def applicable(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return the names of the operations for crops of shape `(C, *S)`.

    >>> sorted(set(OPERATIONS) - set(applicable((1, 100))))
    ['gray', 'jpeg']
    """
    only = {"jpeg": len(shape) == 3 and shape[0] == 3, "gray": shape[0] > 1}
    return tuple(name for name in OPERATIONS if only.get(name, True))


def smoothed(image: torch.Tensor, deviation: float, keep: tuple[int, ...] = ()) -> torch.Tensor:
    """Return `(C, *S)` blurred by a Gaussian of this standard deviation in positions; the border is repeated.

    It is not blurred along the axes `keep`.

    >>> [round(value, 2) for value in smoothed(torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]]), 0.5)[0].tolist()]
    [0.0, 0.11, 0.79, 0.11, 0.0]
    """
    reach = math.ceil(3 * deviation)
    if reach == 0:
        return image
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel /= kernel.sum()
    ndim, found = image.ndim - 1, image[:, None]
    for axis in sorted(set(range(ndim)) - set(keep)):
        sides = [0] * (2 * ndim)
        sides[2 * (ndim - 1 - axis) : 2 * (ndim - axis)] = [reach, reach]
        weight = kernel.view(1, 1, *[-1 if other == axis else 1 for other in range(ndim)])
        found = CONV[ndim](F.pad(found, sides, mode="replicate"), weight)
    return found[:, 0]


def _means(image: torch.Tensor) -> torch.Tensor:
    return image.mean(dim=tuple(range(1, image.ndim)), keepdim=True)


def _contrast(image: torch.Tensor, change: StrongChange, spread: float) -> torch.Tensor:
    mean = _means(image)
    return mean + (1 + 0.8 * change.amount * float(change.numbers[0])) * (image - mean)


def _gamma(image: torch.Tensor, change: StrongChange, spread: float) -> torch.Tensor:
    return with_gamma(image, math.exp(change.amount * float(change.numbers[0])))


def _tint(image: torch.Tensor, change: StrongChange, spread: float) -> torch.Tensor:
    cast = torch.from_numpy(change.numbers[: len(image)].astype(np.float32)).view(-1, *[1] * (image.ndim - 1))
    return image + 0.6 * change.amount * spread * cast


def _gray(image: torch.Tensor, change: StrongChange, spread: float) -> torch.Tensor:
    return torch.lerp(image, image.mean(0, keepdim=True), change.amount)


def _light(image: torch.Tensor, change: StrongChange, spread: float) -> torch.Tensor:
    """Light from one side: a ramp from -1 to 1 across the crop, in a direction that is drawn."""
    ndim = image.ndim - 1
    direction = change.numbers[:ndim] / np.abs(change.numbers[:ndim]).sum()
    ramp = torch.zeros((1,) * ndim)
    for axis in range(ndim):
        along = torch.linspace(-1, 1, image.shape[1 + axis]) * float(direction[axis])
        ramp = ramp + along.view([-1 if other == axis else 1 for other in range(ndim)])
    return image + 0.8 * change.amount * spread * ramp


def _blur(image: torch.Tensor, change: StrongChange, spread: float) -> torch.Tensor:
    return smoothed(image, 2 * change.amount, change.keep)


def _sharpen(image: torch.Tensor, change: StrongChange, spread: float) -> torch.Tensor:
    return image + 2 * change.amount * (image - smoothed(image, 1.0, change.keep))


def _coarse(image: torch.Tensor, change: StrongChange, spread: float) -> torch.Tensor:
    """Fewer positions, and back by linear interpolation: a camera of a lower resolution."""
    size = tuple(image.shape[1:])
    fewer = tuple(
        n if axis in change.keep else max(1, round(n * (1 - 0.7 * change.amount))) for axis, n in enumerate(size)
    )
    found = F.interpolate(image[None], fewer, mode="area")
    return F.interpolate(found, size, mode=LINEAR[len(size)], align_corners=False)[0]


def _noise(image: torch.Tensor, change: StrongChange, spread: float) -> torch.Tensor:
    drawn = np.random.default_rng(change.seed).standard_normal(tuple(image.shape), np.float32)
    return image + 0.3 * change.amount * spread * torch.from_numpy(drawn)


def _jpeg(image: torch.Tensor, change: StrongChange, spread: float) -> torch.Tensor:
    """JPEG of a quality from 95 down to 15, on 8 bits over the range of the crop."""
    from PIL import Image

    low, high = image.min(), image.max()
    step = (high - low).clamp_min(1e-6) / 255
    picture = ((image - low) / step).round().to(torch.uint8).movedim(0, -1).numpy()
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=round(95 - 80 * change.amount))
    with Image.open(file) as read:
        return torch.from_numpy(np.array(read)).movedim(-1, 0).float() * step + low


def _cutout(image: torch.Tensor, change: StrongChange, spread: float) -> torch.Tensor:
    """A box of up to half of each side shows the mean of the crop: what is in it must be told from what is around.

    DeVries & Taylor 2017, "Improved regularization of convolutional neural networks with cutout".
    """
    image, mean = image.clone(), _means(image)
    box = []
    for axis, length in enumerate(image.shape[1:]):
        side = max(1, round(0.5 * change.amount * length))
        start = round((length - side) * (float(change.numbers[axis]) + 1) / 2)
        box.append(slice(start, start + side))
    image[(slice(None), *box)] = mean
    return image


OPERATIONS: dict[str, Operation] = {
    "contrast": _contrast,
    "gamma": _gamma,
    "tint": _tint,
    "gray": _gray,
    "light": _light,
    "blur": _blur,
    "sharpen": _sharpen,
    "coarse": _coarse,
    "noise": _noise,
    "jpeg": _jpeg,
    "cutout": _cutout,
}
"""By name. With the amount a, the standard deviation d of the data, and u drawn from -1 to 1:

contrast times 1 + 0.8 a u; exponent exp(a u) on the range; each channel plus 0.6 a d u; channels drawn towards their
mean by a; plus a ramp of 0.8 a d; blurred by 2 a positions; twice a times what a blur takes away; 1 - 0.7 a of the
positions; noise of 0.3 a d; JPEG of quality 95 - 80 a; a box of half a of each side hidden.
"""
