"""Write a file or a folder beside its place, then rename it, so that a crash never leaves half of it.

A rename within one folder is atomic: other programs see the old content or the new content, and nothing between.
"""

import os
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
        """Rename what was written to `path`."""
        os.replace(self.beside, self.path)

    def discard(self) -> None:
        """Remove what was written; `path` stays as it was."""
        remove(self.beside)


def remove(path: Path) -> None:
    """Remove a file, or a folder with everything in it; do nothing if there is neither."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
