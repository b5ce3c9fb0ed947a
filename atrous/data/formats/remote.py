"""Images at URLs: zarr, OME-Zarr and TIFF (COG) in object stores and on web servers, of which parts are read by range.

fsspec reads them, and finds credentials and endpoints by its own means, such as environment variables, files of
configuration and roles of machines (`AWS_PROFILE`, `AWS_ENDPOINT_URL`, ...). URLs from elsewhere are not trusted: only
the schemes of object stores and of web servers are opened, and no URL that names another one inside.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from atrous.data.formats.array import array_header, channel_axis
from atrous.data.formats.base import DAMAGED, FileFault, Library
from atrous.data.formats.header import Header
from atrous.data.formats.ngff import multiscale_header, multiscale_of, multiscale_source
from atrous.data.formats.table import suffix_of
from atrous.data.formats.tiff import TiffFormat, read_tiff_header, tiff_source
from atrous.data.formats.tiff_tags import read_errors
from atrous.data.formats.zarr_array import checked_array
from atrous.data.kept_chunks import KeptChunks
from atrous.data.source import ChannelFirst, Source
from atrous.data.views import Guarded
from atrous.errors import UserError, without_secrets
from atrous.extras import library

_Result = TypeVar("_Result")
zarr: Any = Library("zarr")
tifffile: Any = Library("tifffile")
SCHEMES = ("s3", "gs", "gcs", "az", "abfs", "https", "http")
"""Of URLs that are opened, beside `file`, which is a path."""
BLOCK = 2**14
"""Bytes that are read of a TIFF in advance, beyond what a read asks for."""


def shown(url: str) -> str:
    """Return a URL as messages show it: without a query and a password, which may be credentials.

    >>> shown("https://me:secret@host/a.tif?signature=1")
    'https://host/a.tif'
    """
    return re.split("[?#]", without_secrets(url), maxsplit=1)[0]


def open_remote(url: str) -> tuple[Source, Header]:
    """Open an image as a source `(C, *S)`, of which only the parts that are sliced are read, with its header.

    Raises:
        UserError: there is nothing, it may not be read, it is damaged, or it is of a format that is not read by range.
            Slicing raises it too.
    """
    require_scheme(url)
    suffix = suffix_of(urlsplit(url).path)
    if suffix == ".zarr":
        source, header = reading(url, lambda: _open_zarr(url))
    elif suffix in TiffFormat.suffixes:
        source, header = reading(url, lambda: _open_tiff(url))
    else:
        what = f"{suffix or 'no suffix'} is not a format that is read from a URL"
        raise FileFault(shown(url), what, "give .zarr, .tif or .tiff, or copy the file to this machine")
    return Guarded(source, lambda read: reading(url, read)), header


def remote_store(url: str, *, read_only: bool) -> Any:
    """Return the zarr store at a URL.

    Raises:
        UserError: the scheme is not opened, or its library is not installed.
    """
    require_scheme(url)
    library("fsspec", "cloud", "a URL")
    from zarr.storage import FsspecStore

    try:
        return FsspecStore.from_url(url.rstrip("/"), read_only=read_only)
    except ImportError as error:
        raise UserError(f'{shown(url)}: its store needs a library: pip install "atrous[cloud]" ({error})') from error


def require_scheme(url: str) -> None:
    """Raise `UserError` for what is no URL, or of another scheme than `SCHEMES`, and for one that holds another."""
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError as error:
        raise FileFault(shown(url), f"is no URL ({error})", "write it as SCHEME://HOST/PATH") from None
    if scheme not in SCHEMES or "::" in url:
        raise UserError(f"{shown(url)}: this kind of URL is not opened: use {', '.join(SCHEMES)} or file")


def reading(url: str, read: Callable[[], _Result]) -> _Result:
    """Call a function that reads from a URL, and return its result.

    Raises:
        FileFault: there is nothing, it may not be read, or what is there is damaged.
    """
    try:
        return read()
    except FileFault as error:  # it may name the URL as a path, whose slashes are merged
        raise FileFault(shown(url), error.what, error.fix) from error
    except UserError:
        raise
    except FileNotFoundError as error:
        raise FileFault(shown(url), "there is nothing there", "check the URL") from error
    except PermissionError as error:
        what = f"it may not be read ({_said(error)})"
        raise FileFault(shown(url), what, "check the credentials that its library finds") from error
    except (*DAMAGED, *read_errors(), *_errors_of_stores()) as error:
        what = f"it cannot be read ({_said(error)})"
        raise FileFault(shown(url), what, "check the URL, the credentials and the file") from error


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _errors_of_stores() -> tuple[type[BaseException], ...]:
    """Return what the libraries of stores raise of their own, of those that are imported."""
    named = (
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
        ("aiohttp", "ClientError"),
    )
    modules = ((sys.modules.get(module), name) for module, name in named)
    return tuple(getattr(module, name) for module, name in modules if module is not None)


def _open_zarr(url: str) -> tuple[Source, Header]:
    from atrous.data.formats import zarr_blosc

    zarr_blosc.register()
    path, node = Path(shown(url)), zarr.open(remote_store(url, read_only=True), mode="r")
    if isinstance(node, zarr.Array):
        array = checked_array(path, node)
        return ChannelFirst(KeptChunks(array), channel_axis(array.shape)), array_header(array)
    image = multiscale_of(path, node)
    header = multiscale_header(path, image)
    return multiscale_source(path, replace(image, array=KeptChunks(image.array))), header


def _open_tiff(url: str) -> tuple[Source, Header]:
    fsspec, path = library("fsspec", "cloud", "a URL"), Path(shown(url))
    files, place = fsspec.url_to_fs(url)
    file = tifffile.TiffFile(files.open(place, "rb", cache_type="bytes", block_size=BLOCK))
    header = read_tiff_header(path, file)
    if header.kind in ("palette", "bilevel"):
        file.close()
        raise FileFault(path, "its pixels are indices or single bits, which are read whole", "copy it to this machine")
    return tiff_source(path, file, KeptChunks), header
