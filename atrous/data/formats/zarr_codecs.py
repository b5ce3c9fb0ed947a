"""Zarr folders from elsewhere: chunks that are links out of the folder, and codecs that run code, are refused.

Codecs that are read are those of compression and of checksums. One that unpickles would run code from the file.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from atrous.data.formats.base import FileFault, Library, require_room
from atrous.data.inside import require_inside

zarr: Any = Library("zarr")

_KNOWN = frozenset({
    "blosc", "zlib", "gzip", "zstd", "lz4", "lzma", "bz2", "delta", "fixedscaleoffset", "quantize", "packbits",
    "shuffle", "bitround", "astype", "crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "bytes",
    "transpose", "sharding_indexed", "endian",
})  # fmt: skip
_FIX = "save it as an array of numbers with zstd, blosc or gzip"


def open_zarr(path: Path) -> Any:
    """Open a zarr folder to be read; a chunk that is a link out of the folder raises a `UserError` when it is read."""
    from atrous.data.formats import zarr_blosc

    zarr_blosc.register()
    return zarr.open(_store_class()(path, read_only=True), mode="r")


@lru_cache(1)
def _store_class() -> Any:
    """Make the class of stores when it is first needed: importing zarr takes long."""
    from zarr.storage import LocalStore

    class InsideStore(LocalStore):
        """A folder whose files must lie in it."""

        async def get(self, key: str, *more: Any, **named: Any) -> Any:
            """Return the content of a file."""
            require_inside(self.root, self.root / key)
            return await super().get(key, *more, **named)

        async def get_partial_values(self, prototype: Any, key_ranges: Any) -> Any:
            """Return parts of files."""
            wanted = list(key_ranges)
            for key, _ in wanted:
                require_inside(self.root, self.root / key)
            return await super().get_partial_values(prototype, wanted)

    return InsideStore


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
