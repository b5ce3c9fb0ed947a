"""Arrays to write as images, and a writer that does not use the package."""

from pathlib import Path

import numpy as np
import tifffile
import zarr
from PIL import Image

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (7, 9), dtype=np.uint8)
COLOR = RNG.integers(0, 256, (7, 9, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (7, 9), dtype=np.uint16)
DEEP_COLOR = RNG.integers(0, 65536, (7, 9, 3), dtype=np.uint16)
FLOAT = RNG.random((7, 9), dtype=np.float32)


def put(path: Path, array: np.ndarray) -> Path:
    """Write the pixels `(H, W)` or `(H, W, C)` in the format of the suffix."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".zarr":
        zarr.save_array(path, array)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array, photometric="rgb" if array.ndim == 3 else "minisblack", compression="zlib")
    else:
        lossless = {"lossless": True} if path.suffix == ".webp" else {}
        Image.fromarray(array).save(path, **lossless)
    return path
