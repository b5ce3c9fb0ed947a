"""What is said of an input that could not be predicted, and the log of unexpected errors."""

import datetime
import traceback
from pathlib import Path

from atrous.errors import UserError
from atrous.files import disk_trouble

LOG_NAME = "atrous-errors.log"
"""File in the output folder with the tracebacks of unexpected errors."""


def expected_failure(error: Exception, path: Path) -> str | None:
    """Return the message of an error that the user can fix, None for any other; `path` is what was written."""
    if isinstance(error, UserError):
        return str(error)
    trouble = disk_trouble(error)
    if trouble is not None:
        return f"{getattr(error, 'filename', None) or path}: {trouble}, and start again"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return None


def log_error(folder: Path, source: Path) -> Path:
    """Append the traceback of the current exception to the log file in `folder`, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG_NAME
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{now} {source}\n{traceback.format_exc()}\n")
    return log
