"""Progress of a training for people in front of it: a bar on standard error, or in a notebook."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from atrous.training.loop import Monitor

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
    make: Callable[[Callable[[str], None], Monitor], Any],
) -> Iterator[Any]:
    """Show a training's progress while the block runs.

    Args:
        shown: whether to show a bar with loss, speed and the time that is left.
        say: called with lines of text; None prints them above the bar, or nowhere without one.
        monitor: the caller's own functions, which are called too.
        make: is given the function for lines and the monitor of the loop; what it returns is given to the block.
    """
    if not shown:
        yield make(say or (lambda text: None), monitor)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(None), TextColumn("loss {task.fields[loss]:.3f}"),
        TextColumn("{task.fields[rate]:.1f} images/s"), TextColumn("{task.fields[left]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=1.0, loss=float("nan"), rate=0.0, left="")

        def tell(text: str) -> None:
            bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

        def on_step(values: dict[str, float]) -> None:
            left = f"{int(values['left'] // 60)}:{int(values['left'] % 60):02d} left"
            bar.update(task, completed=values["progress"], loss=values["loss"], rate=values["rate"], left=left)
            monitor.on_step(values)

        def on_validation(step: int, values: Mapping[str, float]) -> None:
            tell(validation_text(step, values))
            monitor.on_validation(step, dict(values))

        yield make(say or tell, replace(monitor, on_step=on_step, on_validation=on_validation))
