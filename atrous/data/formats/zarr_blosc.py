"""Blosc blocks of zarr chunks, whose headers are checked before they are decoded.

C-Blosc takes how much it may read from the block's own header, so a damaged block makes it read past the end of the
bytes, which ends the process. Layout of the 16 bytes: https://www.blosc.org/c-blosc2/format/chunk_format.html (the
part that versions 1 and 2 share).
"""

import struct
from functools import lru_cache
from typing import Any

import numcodecs
import numpy as np
import zarr.registry
from numcodecs.compat import ensure_ndarray
from zarr.codecs import BloscCodec

_HEADER = struct.Struct("<4B3I")
"""Version of the format, version of the codec, flags, bytes of a value; bytes decoded, bytes of a block, bytes here."""
_LARGEST = 2**31 - 17
"""Most bytes of a decoded block (`BLOSC_MAX_BUFFERSIZE` of C-Blosc)."""


def require_sound(block: Any) -> None:
    """Raise a `ValueError` unless the sizes in the header of a Blosc block are those of the block.

    Args:
        block: bytes, or what has the buffer protocol.

    >>> require_sound(numcodecs.Blosc().encode(bytes(100)))
    >>> require_sound(numcodecs.Blosc().encode(bytes(100))[:-1])
    Traceback (most recent call last):
    ...
    ValueError: a Blosc block is damaged: it has 115 bytes, its header says 116
    """
    content = memoryview(block).cast("B")
    if len(content) < _HEADER.size:
        raise ValueError(f"a Blosc block is damaged: it has {len(content)} bytes, the header alone {_HEADER.size}")
    *_, decoded, of_block, here = _HEADER.unpack(content[: _HEADER.size])
    if here != len(content):
        raise ValueError(f"a Blosc block is damaged: it has {len(content)} bytes, its header says {here}")
    if decoded > _LARGEST or (decoded and not 0 < of_block <= decoded):
        raise ValueError(f"a Blosc block is damaged: it decodes to {decoded} bytes in blocks of {of_block}")


class SoundBlosc(numcodecs.Blosc):
    """Blosc of zarr version 2 that refuses damaged headers."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the decoded bytes."""
        require_sound(np.ascontiguousarray(ensure_ndarray(buf)))
        return super().decode(buf, out)


class SoundBloscCodec(BloscCodec):
    """Blosc of zarr version 3 that refuses damaged headers."""

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        require_sound(chunk_bytes.as_numpy_array())
        return await super()._decode_single(chunk_bytes, chunk_spec)


@lru_cache(1)
def register() -> None:
    """Let zarr decode by these two from now on; whatever else is open in this process is decoded to the same values."""
    numcodecs.register_codec(SoundBlosc, "blosc")
    zarr.registry.register_codec("blosc", SoundBloscCodec, qualname="zarr.codecs.blosc.BloscCodec")
