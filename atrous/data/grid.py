"""Images, labels and probabilities on a grid of another size over the same extent."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resample(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """An image `(C, *S)` on a grid of another size over the same extent, linear, float32."""
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    return restore(values, shape).numpy()


def resample_label(label: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return labels `(*S)` on a grid of another size over the same extent: each position takes the nearest label."""
    if label.shape == tuple(shape):
        return label
    values = torch.from_numpy(label.astype(np.float32))[None, None]
    return F.interpolate(values, tuple(shape), mode="nearest-exact")[0, 0].numpy().astype(label.dtype)


def restore(values: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Probabilities or other values `(K, *S)` on the grid of the file, linear; as they are when the size is right."""
    if tuple(values.shape[1:]) == tuple(shape):
        return values
    return F.interpolate(values[None].float(), tuple(shape), mode=_LINEAR[len(shape)], align_corners=False)[0]
