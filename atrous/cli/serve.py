"""`atrous serve [INPUT...]`: a page in the browser that shows files of any size, and labels them on demand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atrous.serve.server import Started

NAME = "serve"


def command(
    inputs: Annotated[list[str] | None, typer.Argument(help="Files, folders or globs. [default: this folder]")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the run, or name of the model, that labels the inputs.")
    ] = None,
    paint: Annotated[Path | None, typer.Option(help="Folder of the data set to paint; a new one is made.")] = None,
    objects: Annotated[
        Path | None, typer.Option(help="Folder of the data set of single objects to correct; a new one is made.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the link, and open no browser.")] = False,
    port: Annotated[int | None, typer.Option(help="Port; 0 for any. [default: the first free from 8765 on]")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 is this machine alone.")] = "127.0.0.1",
    token: Annotated[str | None, typer.Option(help="Token of the link. [default: a random one]")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of what was computed once.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or mps.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print the link as one JSON object on standard output.")] = False,
) -> None:
    """Look at images of any size in the browser, and at what a network says of them.

    Only the named files are reachable, from this machine alone, and only with the link that is printed. With --run,
    what is in view is labelled first, exactly as atrous predict would label the whole image, then the rest. With
    --paint, strokes on the images become the masks of a data set, and a network learns from them while you paint. With
    --objects, single objects are counted, merged, split, deleted and outlined.
    Ctrl-C stops it.

    Example: atrous serve slides --run runs/cells
    """
    from atrous.cli.output import quiet_libraries, say, show
    from atrous.serve.server import ServeOptions, open_browser, serve

    quiet_libraries()

    def started(facts: "Started") -> None:
        count = "1 input" if facts.inputs == 1 else f"{facts.inputs} inputs"
        show(f"{count}: {facts.link}", vars(facts), json)
        if not no_browser:
            open_browser(facts.link)

    options = ServeOptions(run, host, port, token, cache, device, paint, objects)
    serve(inputs or ["."], options, started=started, tell=say)
    say("atrous: stopped")
