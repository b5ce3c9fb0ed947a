"""Data sets at URLs: a folder in an object store, or on a web server that lists its folders.

The folder is listed, and a mirror of it is made on disk (`formats/mirrored.py`). Images, masks, slides, volumes and
shards are fetched when they are read. All other files, which layouts and annotations are made of, are small, and are
fetched at once.
"""

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from atrous.data.formats import FileFault, suffix_of
from atrous.data.formats.base import in_words
from atrous.data.formats.mirrored import MIRRORS, Mirror
from atrous.data.formats.remote import reading, require_scheme, shown
from atrous.data.inside import is_plain_name
from atrous.errors import UserError
from atrous.extras import library
from atrous.machine import processes_here

_Result = TypeVar("_Result")
WHEN_READ = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".jp2", ".svs", ".ndpi", ".scn", ".npy", ".nii",
    ".nii.gz", ".tar",
)  # fmt: skip
"""Suffixes of files that are fetched when they are read; whatever lies in a `.zarr` is too."""
THREADS = 16
"""So many files are fetched at once where all are wanted."""
SHARE = 4
"""Of the free disk, the files that were fetched take one part in so many, those of all processes of a training."""
WAITS = (0.5, 2.0, 5.0)
"""Seconds before a read is tried again that the store ended."""
_FINAL = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "NoSuchBucket", "InvalidAccessKeyId")
_OF_ARRAYS = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_OPENED: dict[str, tuple[dict[str, Any], Mirror]] = {}


def folder_at(url: str) -> Path:
    """Return the mirror on disk of the folder at a URL.

    A URL that was opened before has the same mirror as long as the files are the same.

    Raises:
        UserError: the URL cannot be listed, or there are no files.
    """
    return _open(url).root


def _open(url: str) -> Mirror:
    url = url.rstrip("/")
    require_scheme(url)
    fsspec = library("fsspec", "cloud", "a URL")
    files, place = _patiently(url, lambda: fsspec.url_to_fs(url))
    found = _patiently(url, lambda: _listed(files, place))
    if not found:
        raise FileFault(shown(url), "there are no files", "check the URL, and that the store lists it")
    stamps = {name: (facts.get("size"), str(facts.get("ETag") or facts.get("etag") or facts.get("md5Hash") or ""))
              for name, facts in found.items()}  # fmt: skip
    if url in _OPENED and _OPENED[url][0] == stamps and _OPENED[url][1].root in MIRRORS:
        return _OPENED[url][1]
    mirror = _mirror(url, files, found)
    _OPENED[url] = stamps, mirror
    return mirror


def _listed(files: Any, place: str) -> dict[str, Mapping[str, Any]]:
    """What the store says of each file in a folder, by its path from there."""
    files.invalidate_cache()
    start, found = place.rstrip("/") + "/", {}
    is_web = place.startswith(("http://", "https://"))
    for path, facts in (_walked(files, place) if is_web else files.find(place, detail=True)).items():
        name = unquote(str(path)[len(start) :]) if "://" in start else str(path)[len(start) :]
        if facts.get("type") == "file" and str(path).startswith(start) and name and not name.endswith("/"):
            if not is_plain_name(name):
                raise UserError(f"{shown(place)}: a file is called {name!r}, which leaves the folder: rename it")
            found[name] = facts
    if not found:
        files.ls(place, detail=False)  # raises where there is no such bucket or folder
    return found


def _walked(files: Any, place: str) -> dict[str, Mapping[str, Any]]:
    """The files below a folder of a web server, by address. (`find` leaves out folders that do not answer in time.)"""
    found, folders = {}, [place.rstrip("/")]
    while folders:
        folder = folders.pop()
        for facts in files.ls(folder, detail=True):
            address = str(facts["name"])
            if facts.get("type") == "directory":
                folders += [address.rstrip("/")] if address.rstrip("/") != folder else []
            elif "?" not in address[len(folder) :]:  # a link that sorts the list
                found[address] = facts
    return found


def _mirror(url: str, files: Any, found: Mapping[str, Mapping[str, Any]]) -> Mirror:
    above = Path(tempfile.mkdtemp(prefix="atrous-url-")).resolve()
    atexit.register(shutil.rmtree, above, ignore_errors=True)
    root = above / (shown(url).rsplit("/", 1)[-1] or "data")
    root.mkdir()
    sizes = {name: int(facts.get("size") or 1) for name, facts in found.items()}

    def fetch(name: str, path: Path) -> None:
        _patiently(f"{url}/{name}", lambda: _copied(files, str(found[name]["name"]), path, found[name].get("size")))

    room = shutil.disk_usage(above).free // (SHARE * processes_here())
    try:
        mirror = Mirror(shown(url), root, sizes, fetch, room)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise UserError(f"{shown(url)}: {error.filename} is both a file and a folder: rename one") from error
    at_once = [name for name in sizes if not is_fetched_when_read(name)]
    if (total := sum(sizes[name] for name in at_once)) > room:
        what = f"holds {in_words(total)} of files that are no images, and the disk has {in_words(room)} for them"
        raise FileFault(shown(url), what, "copy the folder to a larger disk")
    _bring(mirror, at_once)
    MIRRORS[root] = mirror
    return mirror


def _bring(mirror: Mirror, names: list[str]) -> None:
    """Fetch files for good."""
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(mirror.keep, names):
            pass


def is_fetched_when_read(name: str) -> bool:
    """Return whether a file is read by code alone that asks for it first; pickles of Cellpose's window are not."""
    *folders, last = name.split("/")
    if any(folder.lower().endswith(".zarr") for folder in folders):
        return last not in _OF_ARRAYS
    return suffix_of(name) in WHEN_READ and not name.endswith("_seg.npy")


def _copied(files: Any, place: str, path: Path, size: int | None) -> None:
    """Copy a file of a store to the disk, and see that all of it came."""
    files.get_file(place, str(path))
    came = path.stat().st_size
    if size is not None and came != size:
        raise OSError(f"{came} of {size} bytes came")


def _patiently(url: str, read: Callable[[], _Result]) -> _Result:
    """Read from a URL; where the store ends the connection, try again a few times.

    Raises:
        FileFault: it names the URL.
    """

    def tried() -> _Result:
        for wait in WAITS:
            try:
                return read()
            except (FileNotFoundError, PermissionError, UserError, ImportError):
                raise
            except Exception as error:  # stores raise whatever their libraries do
                if type(error).__name__ in _FINAL or not is_interrupted(error):
                    raise
                time.sleep(wait)
        return read()

    try:
        return reading(url, tried)
    except ImportError as error:
        raise UserError(f'{shown(url)}: its store needs a library: pip install "atrous[cloud]" ({error})') from error


def is_interrupted(error: BaseException) -> bool:
    """Return whether a store may answer if it is asked again: it ended the connection, or did not answer in time."""
    module = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError | TimeoutError) or module in ("aiohttp", "botocore", "aiobotocore", "urllib3")
