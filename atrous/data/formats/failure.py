"""A file that cannot be used, with what is wrong and what to do, apart."""

import unicodedata
from pathlib import Path

from atrous.errors import UserError


class FileFault(UserError):
    """A `UserError` about one file, in its parts, so that the data doctor can list it.

    >>> print(FileFault(Path("a.png"), "it is empty", "copy it again"))
    a.png: it is empty: copy it again
    """

    def __init__(self, file: Path | str, what: str, mend: str):
        super().__init__(f"{file}: {what}: {mend}")
        self.file, self.what, self.mend = Path(file), what, mend


_TEXT = ("csv", "tsv", "vrt", "hea", "edf", "bdf", "atr")
"""Suffixes of files that are text, or begin with it."""


def explained(path: Path, suffix: str, said: str, error: Exception) -> tuple[str, str]:
    """What is wrong with a file whose reader raised `error`, and the mend."""
    if isinstance(error, UnicodeDecodeError) and suffix in ("csv", "tsv"):
        return f"its text is not UTF-8 ({said})", "save it as UTF-8 (Excel: CSV UTF-8)"
    if suffix not in _TEXT and _is_text(path):
        return f"cannot be read, it is text, not a {suffix} file", "get the file itself, not a page or pointer to it"
    return (
        f"cannot be read, it is damaged, cut short or not a {suffix} file ({said})",
        "copy it again from its source or remove it",
    )


def _is_text(path: Path) -> bool:
    """Whether a file begins with letters alone (a web page, a pointer of Git LFS)."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(256).decode("utf-8", "ignore")
    letters = head.replace("\n", "").replace("\r", "").replace("\t", "")
    return bool(letters) and not any(unicodedata.category(letter) == "Cc" for letter in letters)
