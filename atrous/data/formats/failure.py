"""A file that cannot be used, with what is wrong and what to do, apart."""

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
