"""`atrous demo`: check, train, evaluate and predict on built-in data."""

import sys
from pathlib import Path
from typing import Annotated

import typer

NAME = "demo"

OWN_DATA = """
Do the same with your own data, for example a folder with cells/images/*.png and cells/masks/*.png:
  atrous check cells
  atrous train cells --minutes 30
  atrous evaluate runs/cells cells --split val
  atrous predict runs/cells new-images/ -o labels --overlay"""


def command(
    out: Annotated[Path, typer.Option(help="Folder for the data set (demo-data) and the run (demo).")] = Path("runs"),
    minutes: Annotated[
        float, typer.Option(help="Training time in minutes; up to four times as long on a busy machine.")
    ] = 3.2,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Create a data set of digit scenes, check it, train, evaluate, and label a scene of 4096 x 4096 pixels.

    Example: atrous demo
    """
    from atrous.cli.output import quiet_libraries, say, show
    from atrous.demo.run import demo

    quiet_libraries()

    made = demo(out, minutes=minutes, say=say, command=sys.argv)
    took = sum(made.seconds.values())
    text = (
        f"\nmean IoU {made.miou:.3f} on test scenes, {made.large_miou:.3f} on the large one; {took:.0f} s in all\n"
        f"report: {made.run / 'report.html'}\n{OWN_DATA}"
    )
    show(text, made.to_dict(), json)
