"""What a format's own library raises on a damaged file, told as a fault of that file: when opened and when sliced."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from atrous.data.formats.failure import FileFault, explained

_Result = TypeVar("_Result")
Errors = tuple[type[Exception], ...]


def guarded(path: Path, suffix: str, errors: Errors, read: Callable[[], _Result]) -> _Result:
    """The result of `read`, which reads `path`, a file of the kind `suffix`.

    Raises:
        FileFault: it raised one of `errors`.
    """
    try:
        return read()
    except errors as error:
        said = " ".join(str(error).replace(str(path), path.name).split()) or type(error).__name__
        raise FileFault(path, *explained(path, suffix, said, error)) from error
