"""`atrous check DATA`: what a data set contains, and the problems in it."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "check"


def command(
    data: Annotated[str, typer.Argument(help="Folder or URL of the data set.")],
    dataset: Annotated[Path | None, typer.Option(help="Path of a dataset.toml outside the data folder.")] = None,
    task: Annotated[
        str | None,
        typer.Option(help="What is learned, such as semantic, detection or counting. [default: from dataset.toml]"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Report what a data set contains, every problem in it, and how to fix each one.

    Reads every file once. The exit code is 2 if the data set has an error, that is, a problem that prevents training.

    Example: atrous check data/cells
    """
    from atrous.cli.output import progress_bar, show
    from atrous.verbs.check import check

    with progress_bar("checking", 1) as (bar, row):
        result = check(data, dataset, lambda done, of: bar.update(row, completed=done, total=of), task)
    show(result.text(), result.to_dict(), json)
    if not result.ok:
        raise typer.Exit(2)
