"""Folders at URLs as folders on disk: every file has its place at once, and its content when it is read.

A mirror is a folder of files of the right names and sizes that hold zeros (and take no room on the disk). Code that
reads files by path asks for them by `here` first; elsewhere they are as absent as a file that is not there. Layouts,
which look at names alone, read nothing.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from atrous.errors import UserError

RECENT = 8
"""`Mirror.recent`, unless more are read at the same time: an image's header is read before its values."""

FETCHES = 16
"""So many files are fetched at the same time ahead of what reads them."""
LEAD = 32
"""What is read is fetched so many places ahead."""

DATE = 1_000_000_000
"""When every file was changed, in seconds of the system."""


@dataclass
class _Entry:
    """A file of a mirror: how large it is, whether it is here, and how many are reading it."""

    size: int
    is_here: bool = False
    readers: int = 0
    fetching: Lock = field(default_factory=Lock)


class Mirror:
    """A folder at a URL.

    Args:
        url: as messages show it.
        root: the folder on disk that stands for it; it is empty.
        sizes: of its files in bytes, by path from the root, with `/`.
        fetch: writes the file of such a path to a path on disk.
        limit: bytes on disk that files take together, beyond those that are being read.

    Attributes:
        held: bytes that files on disk take now.
        fetched: how many files were fetched so far.
        recent: so many of the files that were read last stay where others make room.
    """

    def __init__(
        self, url: str, root: Path, sizes: Mapping[str, int], fetch: Callable[[str, Path], None], limit: int
    ) -> None:
        self.url, self.root, self.limit, self.held, self.fetched = url, root, limit, 0, 0
        self.recent = RECENT
        self._fetch, self._lock = fetch, Lock()
        self._entries = {name: _Entry(size) for name, size in sizes.items()}
        self._order: dict[str, None] = {}  # files that are here, those that were read last at the end
        for name, size in sizes.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_empty(path, size)

    @contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        """Within the block a file, or every file in a folder, is here.

        Raises:
            UserError: it cannot be fetched.
        """
        name = path.relative_to(self.root).as_posix()
        names = [name] if name in self._entries else []
        if not names and path.is_dir():
            within = "" if path == self.root else f"{name}/"
            names = [other for other in self._entries if other.startswith(within)]
        with ExitStack() as stack:
            for name in names:
                entry = self._entries[name]
                with self._lock:
                    entry.readers += 1
                stack.callback(self._leave, name, entry)
                with entry.fetching:
                    if not entry.is_here:
                        self._bring(name, entry)
            yield

    def keep(self, name: str) -> None:
        """Fetch a file for good."""
        entry = self._entries[name]
        with entry.fetching:
            if not entry.is_here:
                entry.readers += 1  # for good: nobody else knows of it
                self._bring(name, entry)

    def _bring(self, name: str, entry: _Entry) -> None:
        with self._lock:
            self._make_room(entry.size)
        path = self.root / name
        beside = path.with_name(f".part.{path.name}")
        try:
            self._fetch(name, beside)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        with self._lock:
            _date(beside)
            os.replace(beside, path)
            entry.is_here, entry.size = True, path.stat().st_size
            self._order[name] = None
            self.held += entry.size
            self.fetched += 1

    def _leave(self, name: str, entry: _Entry) -> None:
        with self._lock:
            entry.readers -= 1
            if name in self._order:  # at the end now
                self._order[name] = self._order.pop(name)

    def _make_room(self, size: int) -> None:
        """Remove the content of files that nobody reads.

        What was read first stays, as every pass over the data asks for it again; what was read last makes room.
        """
        while self.held + size > self.limit:
            free = [name for name in self._order if self._entries[name].readers == 0]
            if not free:
                return
            name = free[-self.recent - 1] if len(free) > self.recent else free[0]
            entry, path = self._entries[name], self.root / name
            beside = path.with_name(f".part.{path.name}")
            _write_empty(beside, entry.size)
            os.replace(beside, path)
            entry.is_here = False
            del self._order[name]
            self.held -= entry.size

    def remove(self) -> None:
        """Remove the folder; nothing in it can be read any more."""
        MIRRORS.pop(self.root, None)
        shutil.rmtree(self.root.parent, ignore_errors=True)


def _write_empty(path: Path, size: int) -> None:
    """Write a file of zeros that takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
    _date(path)


def _date(path: Path) -> None:
    """Give a file the one date that all have: what was learned of it stays true when it is fetched again."""
    os.utime(path, (DATE, DATE))


MIRRORS: dict[Path, Mirror] = {}
"""The mirrors of this process, by their folder."""


def mirror_of(path: Path) -> Mirror | None:
    """Return the mirror in which a path lies; None for any other path."""
    return next((mirror for root, mirror in list(MIRRORS.items()) if path.is_relative_to(root)), None)


@contextmanager
def here(path: Path) -> Iterator[None]:
    """Within the block the content of a file or a folder is on this machine; it is fetched if it lies at a URL.

    Raises:
        UserError: it cannot be fetched.
    """
    mirror = mirror_of(path) if MIRRORS else None
    if mirror is None:
        yield
        return
    with mirror.reading(path):
        yield


class FetchAhead:
    """Fetches files of mirrors before they are read, several at a time: most of the time of a fetch is waiting.

    Use it in a `with` block. A file that cannot be fetched raises where it is read.

    Args:
        files: of the first thing that is read, of the second, and so on. What lies in no mirror is left out, and so are
            folders, which may be large.
    """

    def __init__(self, files: Sequence[Sequence[Path]]) -> None:
        self._files = files if MIRRORS else ()
        self._begun = 0

    def __enter__(self) -> "FetchAhead":
        self._pool = ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch")
        for mirror in MIRRORS.values():
            mirror.recent = max(mirror.recent, 2 * LEAD)  # what is fetched stays until it is read
        self.reached(0)
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def reached(self, number: int) -> None:
        """Say which one is read now: files of the next ones are fetched."""
        for paths in self._files[self._begun : number + LEAD]:
            self._begun += 1
            for path in paths:
                if mirror_of(path) is not None and path.is_file():
                    self._pool.submit(_fetch, path)


def _fetch(path: Path) -> None:
    with here(path):
        pass


def with_urls(text: str) -> str:
    """Return a text in which the folders that stand for URLs are named by these.

    >>> with_urls("data/cells: 3 images")
    'data/cells: 3 images'
    """
    for root, mirror in list(MIRRORS.items()):
        text = text.replace(str(root), mirror.url)
    return text


@contextmanager
def named_by_url() -> Iterator[None]:
    """Within the block, errors name URLs in place of the folders that stand for them."""
    try:
        yield
    except UserError as error:
        if MIRRORS:
            error.args = (with_urls(str(error)), *error.args[1:])
        raise
