"""Printing: progress and messages to standard error; the result, as text or one JSON object, to standard output."""

import json
import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from atrous.errors import without_secrets
from atrous.machine import peak_memory


def say(text: str) -> None:
    """Print a line of text to standard error."""
    print(without_secrets(text), file=sys.stderr, flush=True)


def show(text: str, facts: dict[str, Any], as_json: bool) -> None:
    """Print the result of a verb to standard output, as text or as one JSON object."""
    shown = json.dumps(_printable(facts), allow_nan=False) if as_json else without_secrets(text)
    encoding = sys.stdout.encoding or "utf-8"
    print(shown.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _printable(facts: Any) -> Any:
    """Replace NaN and infinite numbers by None, as JSON cannot represent them; leave secrets in addresses out."""
    if isinstance(facts, dict):
        return {_printable(key): _printable(value) for key, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_printable(value) for value in facts]
    if isinstance(facts, str):
        return without_secrets(facts)
    return None if isinstance(facts, float) and not math.isfinite(facts) else facts


def quiet_libraries() -> None:
    """Silence log messages and warnings of libraries that would disturb the progress bar."""
    import logging

    # lightning_fabric sets the level of its own logger when it is imported, but not those below it
    for name in ("utilities.rank_zero", "utilities.distributed"):
        logging.getLogger(f"lightning_fabric.{name}").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*is already installed.*")


class _Memory(ProgressColumn):
    """A column that shows the peak resident memory of the process."""

    def render(self, task: Task) -> Text:
        used = peak_memory() if task.completed else None  # before the work it says nothing
        return Text("" if used is None else f"{used / (1 << 30):.1f} GB")


@contextmanager
def progress_bar(
    description: str, total: float, *columns: str, time_left: bool = True, **fields: Any
) -> Iterator[tuple[Progress, Any]]:
    """Show a progress bar on standard error, with the time left and the memory; `columns` format the extra `fields`.

    Where an error ends the work before any of it was done, the bar disappears, so that the error stands alone.
    """
    parts: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(None)]
    parts += [TextColumn(column) for column in columns]
    parts += [TimeRemainingColumn(compact=True)] if time_left else []
    with Progress(*parts, _Memory(), console=Console(stderr=True)) as progress:
        task = progress.add_task(description, total=total, **fields)
        try:
            yield progress, task
        except BaseException:
            progress.update(task, visible=progress.tasks[0].completed > 0)
            raise
