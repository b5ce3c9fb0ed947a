"""`atrous check DATA`: the data doctor."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "check"


def command(
    data: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    dataset: Annotated[Path | None, typer.Option(help="A dataset.toml that lies elsewhere.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Say what a data set holds, and every fault in it with its mend.

    Exits with 2 when there is a fault that training cannot live with.

    Example: atrous check data/cells
    """
    from atrous.cli.output import progress_bar, show
    from atrous.verbs.check import check

    with progress_bar("checking", 1) as (bar, task):
        found = check(data, dataset, lambda done, of: bar.update(task, completed=done, total=of))
    show(found.text(), found.to_dict(), json)
    if not found.ok:
        raise typer.Exit(2)
