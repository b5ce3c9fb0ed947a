"""Errors about one file: what is wrong with it, and what to do."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from atrous.errors import UserError

_Result = TypeVar("_Result")
Errors = tuple[type[BaseException], ...]
"""Exceptions that a library raises when it reads a damaged file."""

_TEXT = ("csv", "tsv", "vrt", "hea", "edf", "bdf", "atr")
"""Suffixes of files that are text, or that begin with text."""


class FileFault(UserError):
    """A `UserError` about one file, whose parts `atrous check` lists apart.

    Attributes:
        file: the file.
        what: what is wrong with it.
        mend: what the user can do about it.

    >>> print(FileFault(Path("a.png"), "it is empty", "copy it again"))
    a.png: it is empty: copy it again
    """

    def __init__(self, file: Path | str, what: str, mend: str):
        super().__init__(f"{file}: {what}: {mend}")
        self.file, self.what, self.mend = Path(file), what, mend


def guarded(path: Path, suffix: str, errors: Errors, read: Callable[[], _Result]) -> _Result:
    """Call `read`, which reads the file `path`, and return its result.

    Args:
        path: the file that is named in the message.
        suffix: of the format in which it is read, without the dot.
        errors: exceptions that mean that the file is damaged.
        read: does the reading.

    Raises:
        FileFault: `read` raised one of `errors`.
    """
    try:
        return read()
    except errors as error:
        message = " ".join(str(error).replace(str(path), path.name).split()) or type(error).__name__
        raise FileFault(path, *_explained(path, suffix, message, error)) from error


def _explained(path: Path, suffix: str, message: str, error: BaseException) -> tuple[str, str]:
    """Return what is wrong with a file whose library raised `error`, and what to do about it."""
    if isinstance(error, UnicodeDecodeError) and suffix in ("csv", "tsv"):
        return f"its text is not UTF-8 ({message})", "save it as UTF-8 (Excel: CSV UTF-8)"
    if suffix not in _TEXT and _is_text(path):
        return f"cannot be read, it is text, not a {suffix} file", "get the file itself, not a page or pointer to it"
    return (
        f"cannot be read, it is damaged, cut short or not a {suffix} file ({message})",
        "copy it again from its source or remove it",
    )


def _is_text(path: Path) -> bool:
    """Return whether a file begins with printable text, as a web page or a Git LFS pointer does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(256).decode("utf-8", "ignore")
    letters = head.replace("\n", "").replace("\r", "").replace("\t", "")
    return bool(letters) and not any(unicodedata.category(letter) == "Cc" for letter in letters)
