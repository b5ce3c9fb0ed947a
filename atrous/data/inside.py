"""What lies inside a folder: walks that refuse links out of it, and names in files that may not leave it.

A data set from elsewhere is not trusted: a link or a name in it must not make this package read any other file of the
machine. `ATROUS_ALLOW`, an environment variable, allows what is refused otherwise: words separated by commas or spaces.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from atrous.errors import UserError

ALLOW = "ATROUS_ALLOW"
"""Name of the environment variable: `links` follows links out of a data folder, `vrt` reads `.vrt` files."""


SYSTEM_FOLDERS = ("__MACOSX", "@eaDir")
"""Folders that macOS and Synology put beside a user's files, with previews and attributes in them."""


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is none of the user's data: its name begins with a dot, or is the system's."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def is_allowed(what: str) -> bool:
    """Return whether the environment variable `ATROUS_ALLOW` holds this word."""
    return what in os.environ.get(ALLOW, "").replace(",", " ").split()


def walk(root: Path, wanted: Callable[[str], bool], levels: int) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield every folder under `root` with the names of its folders and of its wanted files, both sorted.

    Hidden ones are left out. Folders whose name ends in `.zarr` are named and not entered.

    Args:
        root: where to begin; it may be a link itself.
        wanted: says of a file's name whether it is wanted.
        levels: how many folders deep.

    Raises:
        UserError: a folder or a wanted file is a link that leads out of `root`.
    """
    yield from _walk(root, root, wanted, levels)


def _walk(
    root: Path, here: Path, wanted: Callable[[str], bool], levels: int
) -> Iterator[tuple[Path, list[str], list[str]]]:
    folders, files = [], []
    try:
        with os.scandir(here) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if is_hidden(entry.name):
                    continue
                is_folder = entry.is_dir()
                if not is_folder and not wanted(entry.name):
                    continue
                if entry.is_symlink():
                    require_inside(root, Path(entry.path))
                    _require_no_circle(Path(entry.path))
                (folders if is_folder else files).append(entry.name)
    except PermissionError as error:
        raise UserError(f"{here}: may not be read ({error.strerror}): allow it, or move the folder away") from error
    yield here, folders, files
    if levels > 0:
        for name in folders:
            if not name.lower().endswith(".zarr"):
                yield from _walk(root, here / name, wanted, levels - 1)


def _require_no_circle(path: Path) -> None:
    """Raise if a link leads to a folder that it lies in: its files would be read again and again."""
    if path.parent.resolve().is_relative_to(path.resolve()):
        raise UserError(f"{path}: is a link to a folder that it lies in: remove it")


def require_inside(root: Path, path: Path) -> None:
    """Raise if a path leads out of a folder, by `..` or by links.

    Raises:
        UserError: it does, and `ATROUS_ALLOW` does not hold `links`.
    """
    target = path.resolve()
    if not target.is_relative_to(root.resolve()) and not is_allowed("links"):
        what = "is a link that leaves" if path.is_symlink() else "is outside of"
        raise UserError(
            f"{path}: {what} the folder {root}: copy the files into it, or set {ALLOW}=links to follow links"
        )


def is_plain_name(name: str) -> bool:
    """Return whether a name in a file stays in the folder of that file, on every system.

    >>> is_plain_name("a/100.dat"), is_plain_name("../100.dat"), is_plain_name("/etc/passwd"), is_plain_name("C:\\\\a")
    (True, False, False, False)
    """
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    rooted = posix.is_absolute() or bool(windows.drive) or bool(windows.root)
    return bool(name) and not rooted and ".." not in windows.parts and "://" not in name and "\x00" not in name
