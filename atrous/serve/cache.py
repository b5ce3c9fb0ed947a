"""A folder for what was computed once and may be wanted again: reduced images and labels, the least used removed."""

import os
import sys
import threading
from pathlib import Path

from atrous.errors import UserError
from atrous.files import remove

LIMIT = 8 * 10**9
"""Bytes on disk that the entries may take together."""


def default_folder() -> Path:
    """Return where this system keeps what programs can compute again, and in it the folder of `atrous serve`.

    >>> default_folder().parts[-2:]
    ('atrous', 'serve')
    """
    home = Path.home()
    if sys.platform == "win32":
        above = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    elif sys.platform == "darwin":
        above = home / "Library" / "Caches"
    else:
        above = Path(os.environ.get("XDG_CACHE_HOME", home / ".cache"))
    return above / "atrous" / "serve"


class CacheFolder:
    """Entries, each a folder of files; those that were not used for the longest time are removed first.

    Entries that this process has asked for stay while it runs.

    Args:
        folder: where they lie; made if it is missing.
        limit: bytes on disk that they may take together.

    Raises:
        UserError: the folder cannot be made.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder, self.limit = folder, limit
        self._used: set[Path] = set()
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise UserError(f"{folder}: cannot be made ({error.strerror}): give another folder with --cache") from error

    def entry(self, key: str) -> Path:
        """Return the folder of an entry, which counts as used now; others are removed if there are too many.

        Args:
            key: letters and digits.
        """
        path = self.folder / key
        with self._lock:
            path.mkdir(exist_ok=True)
            os.utime(path)
            self._used.add(path)
            self._trim()
        return path

    def forget(self, key: str) -> None:
        """Remove an entry that is not wanted again; where it is in use (Windows), it stays until there are too many."""
        with self._lock:
            self._used.discard(self.folder / key)
            try:
                remove(self.folder / key)
            except PermissionError:
                return

    def _trim(self) -> None:
        entries = [path for path in self.folder.iterdir() if path.is_dir() and not path.is_symlink()]
        sizes = {path: bytes_on_disk(path) for path in entries}
        total = sum(sizes.values())
        for path in sorted(entries, key=_last_used):
            if total <= self.limit:
                break
            if path not in self._used:
                remove(path)
                total -= sizes[path]


def bytes_on_disk(folder: Path) -> int:
    """Return the bytes that the files in a folder take on disk; parts that were never written count for nothing.

    Files may come and go meanwhile: others write to the cache too.
    """
    total = 0
    for here, _, names in os.walk(folder):
        for name in names:
            try:
                fact = os.lstat(os.path.join(here, name))
            except FileNotFoundError:
                continue
            total += fact.st_blocks * 512 if hasattr(fact, "st_blocks") else fact.st_size
    return total


def _last_used(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:  # another process has removed it
        return 0.0
