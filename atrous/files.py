"""Write a file or a folder beside its place, then rename it, so that a crash never leaves half of it.

A rename within one folder is atomic: other programs see the old content or the new content, and nothing between. What
is renamed lies on the disk already, so that a power cut does not leave an empty file under the new name either.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a path to write to, and rename what was written there to `path`.

    The path to write to lies in the folder of `path`, so that both are on one file system. Its name is hidden, holds
    the number of this process, and ends with the name of `path`: libraries that choose a format by the suffix choose
    the same one. If the block raises, what it has written is removed, and `path` stays as it was.

    A file takes the place of an older file. A folder takes the place of nothing or of an empty folder.

    Args:
        path: the file or folder to write. Its own folder must exist.

    Raises:
        OSError: the block wrote nothing, or `path` is a folder that is not empty.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "labels.txt") as beside:
    ...         _ = beside.write_text("0 1 1")
    ...     [file.name for file in Path(folder).iterdir()]
    ['labels.txt']
    """
    replacement = Replacement(path)
    try:
        yield replacement.beside
        replacement.finish()
    except BaseException:
        replacement.discard()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) that is never half-written."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


class Replacement:
    """The two steps of `replacing`, for writers that begin a file in one method and finish it in another.

    Attributes:
        path: the file or folder that is to be replaced.
        beside: the path to write to.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.beside = self.path.with_name(f".{os.getpid()}.part.{self.path.name}")
        self.discard()  # a killed process of the same number may have left something

    def finish(self) -> None:
        """Rename what was written to `path`, once it lies on the disk."""
        rename(self.beside, self.path)

    def discard(self) -> None:
        """Remove what was written; `path` stays as it was."""
        remove(self.beside)


def remove(path: Path) -> None:
    """Remove a file, or a folder with everything in it; do nothing if there is neither."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


MANY_FILES = 64
"""Of folders with more files, the whole file system is written to disk at once: that is faster."""


def rename(source: Path, target: Path) -> None:
    """Write a file or folder to disk, then give it another name in the same folder, which is on disk afterwards."""
    settle(source)
    os.replace(source, target)
    _settle_folder(target.parent)


def settle(path: Path) -> None:
    """Return when a file, or a folder with everything in it, lies on the disk."""
    if not path.is_dir():
        _settle_file(path)
        return
    inside = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    if len(inside) > MANY_FILES and hasattr(os, "sync"):
        os.sync()
        return
    for file in inside:
        _settle_file(file)
    for folder, _, _ in os.walk(path):
        _settle_folder(Path(folder))


def _settle_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))  # Windows writes only what may be written
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _settle_folder(folder: Path) -> None:
    """Return when the names in a folder lie on the disk; Windows does that by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


DISK_TROUBLE = {
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "your disk quota is used up: make room",
    errno.EFBIG: "files may not become that large here (ulimit -f, or the file system): allow it",
    errno.EROFS: "the file system is read-only: give another folder",
    errno.EIO: "the disk reports an error: give a folder on another disk",
    errno.ENODEV: "the disk is gone: connect it again",
}
"""What the user can do when a disk does not take what is written, by the number of the error."""


def disk_trouble(error: BaseException) -> str | None:
    """Return what is wrong with the disk and what to do, None if the error is of another kind.

    >>> disk_trouble(OSError(errno.ENOSPC, "No space left on device"))
    'the disk is full: make room'
    """
    number = getattr(error, "errno", None)
    # safetensors, GDAL and numpy tell it in words alone
    code = re.search(r"code: (\d+)|os error (\d+)", str(error))
    if number is None and code is not None:
        number = int(code[1] or code[2])
    if number is None and re.search(r"\d+ requested and \d+ written|No space left on device", str(error)):
        number = errno.ENOSPC
    return None if number is None else DISK_TROUBLE.get(number)
