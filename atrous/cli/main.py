"""`atrous VERB DATA-or-RUN [options]`: the list of verbs, and the exit codes."""

import re
import sys
from typing import Annotated

import typer

from atrous.cli import (
    calibrate,
    check,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    inspect,
    models,
    predict,
    restore,
    score_edges,
    search,
    serve,
    train,
)
from atrous.cli.grouped import GroupedCommand
from atrous.errors import UserError, without_secrets
from atrous.files import disk_trouble

app = typer.Typer(
    name="atrous",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

HIDDEN = re.compile(r"(?<=/)\.\d+\.part\.|^\.\d+\.part\.")
"""What `atrous.files.replacing` writes before the name of a file that is not complete."""


def _print_version(asked: bool) -> None:
    if asked:
        from atrous import __version__

        print(f"atrous {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Segmentation with fully convolutional networks: train, evaluate, predict, inspect, convert and export."""


VERBS = (
    demo, check, train, search, evaluate, calibrate, predict, models, restore, inspect, convert, export, score_edges,
    serve, doctor,
)  # fmt: skip
for verb in VERBS:
    app.command(verb.NAME, cls=GroupedCommand)(verb.command)


def run() -> None:
    """Run a verb. Exit code: 0 on success, 2 for a mistake of the user, 1 for a bug, 130 for Ctrl-C."""
    try:
        app()
    except UserError as error:
        print(f"atrous: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        trouble = disk_trouble(error)
        if error.filename is None and trouble is None:  # no file of the user's
            raise
        name = None if error.filename is None else HIDDEN.sub("", str(error.filename))
        said = ": ".join(part for part in (name, trouble or error.strerror) if part is not None)
        print(f"atrous: {without_secrets(said)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("atrous: interrupted", file=sys.stderr)
        sys.exit(130)
