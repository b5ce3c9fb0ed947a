"""`atrous models [NAME]`: trained networks that work before anything is labelled."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "models"


def command(
    name: Annotated[str | None, typer.Argument(help="Name of a model. [default: list all]")] = None,
    copy: Annotated[
        Path | None, typer.Option(help="Copy the model to this new folder, which is then that of a run.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """List the trained networks that have names, or print the card of one: how good it is, and where it fails.

    Every verb takes such a name where it takes the folder of a run. A run folder of that name goes before it.

    Example: atrous models

    Example: atrous models nuclei

    Example: atrous predict nuclei 'images/*.tif' -o out
    """
    from atrous.cli.output import say, show
    from atrous.errors import UserError
    from atrous.verbs.models import copy_model, describe_model, model_table

    if name is None:
        if copy is not None:
            raise UserError("--copy copies one model: give its name too")
        table = model_table()
        show(table.text(), table.to_dict(), json)
        return
    described = describe_model(name)
    if copy is not None:
        copy_model(name, copy)
        say(f"{name}: copied to {copy}")
    show(described.text(), described.to_dict(), json)
