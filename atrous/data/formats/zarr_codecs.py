"""Codecs of zarr arrays that are read: compression and checksums. One that unpickles would run code from the file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atrous.data.formats.base import FileFault
from atrous.data.formats.budget import require_room

_KNOWN = frozenset({
    "blosc", "zlib", "gzip", "zstd", "lz4", "lzma", "bz2", "delta", "fixedscaleoffset", "quantize", "packbits",
    "shuffle", "bitround", "astype", "crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "bytes",
    "transpose", "sharding_indexed", "endian",
})  # fmt: skip
_FIX = "save it as an array of numbers with zstd, blosc or gzip"


def require_plain(path: Path, array: Any) -> None:
    """Raise unless a zarr array holds numbers, compressed by codecs that run no code, in chunks that fit into memory.

    It is called before the first chunk is decoded. Codecs of imagecodecs count as known.

    Args:
        path: the folder that is named in the message.
        array: a zarr array of version 2 or 3.

    Raises:
        FileFault: its values are Python objects, a codec is not known, or one chunk is larger than memory.
    """
    metadata = array.metadata.to_dict()
    if array.dtype.kind == "O" or str(metadata.get("dtype", "")).startswith("|O"):
        raise FileFault(path, "its values are Python objects, which are not read: they could run code", _FIX)
    for name in _names(metadata):
        plain = name.removeprefix("numcodecs.").removeprefix("numcodecs/").lower()
        if plain not in _KNOWN and not plain.startswith("imagecodecs_"):
            raise FileFault(path, f"its codec {name!r} is not read: it could run code", _FIX)
    require_room(path, array.chunks, array.dtype, "a chunk")


def _names(metadata: dict[str, Any]) -> Iterator[str]:
    """Yield the names of all codecs, those inside of shards too."""
    listed = [metadata.get("compressor"), *(metadata.get("filters") or ()), *(metadata.get("codecs") or ())]
    for codec in listed:
        if isinstance(codec, dict):
            yield str(codec.get("id", codec.get("name", "")))
            inner = codec.get("configuration")
            if isinstance(inner, dict):
                yield from _names({"codecs": inner.get("codecs")})
                yield from _names({"codecs": inner.get("index_codecs")})
