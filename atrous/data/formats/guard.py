"""What a format's own library raises on a damaged file, told as a fault of that file: when opened and when sliced."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

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


class Guarded:
    """A source `(C, *S)` of a file whose damage may show only when it is sliced."""

    def __init__(self, source: Any, path: Path, suffix: str, errors: Errors) -> None:
        self._source, self._path, self._suffix, self._errors = source, path, suffix, errors
        self.shape, self.dtype = tuple(source.shape), np.dtype(source.dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Values of a key of slices and whole numbers, as numpy would give them."""
        return guarded(self._path, self._suffix, self._errors, lambda: self._source[key])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)  # what a kind of file has beside: frames of a video, rate of a recording
