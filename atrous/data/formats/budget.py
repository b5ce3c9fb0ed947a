"""Memory that a file may take: what its header declares is compared with what this process may use, before decoding.

Files from elsewhere are not trusted: a few hundred bytes can declare a picture of 60,000 x 60,000 pixels. Readers that
decode a file whole call `require_room` with the shape that it declares; readers of parts call it with the largest part
that is decoded at once, such as a chunk or a strip.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import FileFault
from atrous.machine import memory_limit

COPIES = 2
"""Arrays of the declared size that are held while a file is decoded: the library's, and the one that is returned."""
ALWAYS = 32 << 20
"""Bytes that are decoded without a look at the limit, which takes longer than decoding a small picture."""
_PARTS = "cut it into smaller files, or save it as a format that is read in parts (.tif, .zarr, .npy, .nii)"


def require_room(path: Path, shape: Sequence[int], dtype: Any, what: str = "it", copies: int = COPIES) -> None:
    """Raise unless an array fits into the memory that this process may use.

    Args:
        path: the file that is named in the message.
        shape: that its header declares.
        dtype: of the decoded values.
        what: the array in the message, such as "a chunk".
        copies: arrays of this size that are held at once.

    Raises:
        FileFault: it does not fit.
    """
    size = math.prod(int(n) for n in shape) * np.dtype(dtype).itemsize
    if size > ALWAYS and size * copies > (limit := memory_limit()):
        said = " x ".join(str(int(n)) for n in shape) or "one value"
        needed = f"{in_words(size)} decoded, and this process may use {in_words(limit)}"
        raise FileFault(path, f"{what} declares {said} of {np.dtype(dtype).name}: {needed}", _PARTS)


def require_bytes(path: Path, size: int, what: str, fix: str = "split it into smaller files") -> None:
    """Raise unless so many bytes fit into the memory that this process may use.

    Args:
        path: the file that is named in the message.
        size: that reading it needs, all copies counted.
        what: needs it, for the message: "its text".
        fix: what to do about it.

    Raises:
        FileFault: they do not fit.
    """
    if size > ALWAYS and size > (limit := memory_limit()):
        raise FileFault(path, f"{what} needs {in_words(size)}, and this process may use {in_words(limit)}", fix)


def in_words(size: int) -> str:
    """Return a number of bytes in words.

    >>> in_words(3_600_000_000), in_words(12)
    ('3.6 GB', '12 bytes')
    """
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}" if size < 1000 * factor else f"{size // factor} {unit}"
    return f"{size} bytes"
