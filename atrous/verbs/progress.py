"""Progress of a training for people in front of it: a bar on standard error, or in a notebook."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from atrous.training.settings import Monitor

NAMES = {"miou": "mIoU", "pixel_accuracy": "pixel accuracy"}


def validation_text(step: int, values: Mapping[str, float]) -> str:
    """Return one line for a validation.

    >>> validation_text(80, {"loss": 0.5, "miou": 0.75})
    'step 80: val mIoU 0.7500'
    """
    metrics = ", ".join(f"{NAMES.get(name, name)} {value:.4f}" for name, value in values.items() if name != "loss")
    return f"step {step}: val {metrics}"


@contextmanager
def show_progress(
    shown: bool,
    say: Callable[[str], None] | None,
    monitor: Monitor,
    make: Callable[[Callable[[str], None], Monitor, Callable[[int, int], None]], Any],
) -> Iterator[Any]:
    """Show a training's progress while the block runs.

    A bar for the check of the data disappears when they are checked. The bar of the training appears with its first
    step, so that a mistake that is found before leaves no bar above its line.

    Args:
        shown: whether to show a bar with loss, speed and the time that is left.
        say: called with lines of text; None prints them above the bar, or nowhere without one.
        monitor: the caller's own functions, which are called too.
        make: is given the function for lines, the monitor of the loop, and a function for files checked and files in
            all; what it returns is given to the block.
    """
    if not shown:
        yield make(say or (lambda text: None), monitor, lambda done, total: None)
        return
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

    columns: list[ProgressColumn] = _columns()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        bars = _Bars(bar)

        def on_step(values: dict[str, float]) -> None:
            bars.step(values)
            monitor.on_step(values)

        def on_validation(step: int, values: Mapping[str, float]) -> None:
            bars.tell(validation_text(step, values))
            monitor.on_validation(step, dict(values))

        told = replace(monitor, on_step=on_step, on_validation=on_validation)
        try:
            yield make(say or bars.tell, told, bars.check)
        finally:
            bars.end_check()


def _columns() -> list[Any]:
    from rich.progress import BarColumn, TextColumn

    texts = ("{task.description}", "{task.fields[loss]}", "{task.fields[rate]}", "{task.fields[left]}")
    first, *rest = (TextColumn(text) for text in texts)
    return [first, BarColumn(None), *rest]


class _Bars:
    """The bar of the check and that of the training; at most one of them is shown."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._check, self._training = bar, None, None
        self._first = 0.0, 0

    def tell(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def check(self, done: int, total: int) -> None:
        """Show how many files are checked."""
        if self._check is None:
            self._check = self._bar.add_task("checking", loss="", rate="", left="")
            self._first = time.monotonic(), done
        self._bar.update(self._check, completed=done, total=total, left=self._time_left(done, total))
        if done >= total:
            self.end_check()

    def _time_left(self, done: int, total: int) -> str:
        """How long the check still takes, by what it has taken since the first file."""
        begun, first = self._first
        if done <= first:
            return ""
        seconds = int((time.monotonic() - begun) / (done - first) * (total - done))
        return f"{seconds // 60}:{seconds % 60:02d} left"

    def end_check(self) -> None:
        """Remove the bar of the check."""
        if self._check is not None:
            self._bar.remove_task(self._check)
            self._check = None

    def step(self, values: Mapping[str, float]) -> None:
        """Show how far the training is."""
        if self._training is None:
            self._training = self._bar.add_task("training", total=1.0, loss="", rate="", left="")
        left = f"{int(values['left'] // 60)}:{int(values['left'] % 60):02d} left"
        loss, rate = f"loss {values['loss']:.3f}", f"{values['rate']:.1f} images/s"
        self._bar.update(self._training, completed=values["progress"], loss=loss, rate=rate, left=left)
