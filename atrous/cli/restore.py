"""`atrous restore INPUT... -o OUT`: deconvolution without a network."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "restore"


def command(
    inputs: Annotated[list[str], typer.Argument(help="Files, folders or globs.")],
    psf: Annotated[
        str,
        typer.Option(help="Standard deviation of a Gaussian blur in pixels, or a file: a point spread function."),
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Output folder.")] = None,
    method: Annotated[str, typer.Option(help="wiener or richardson-lucy.")] = "wiener",
    balance: Annotated[
        float | None, typer.Option(help="wiener: greater for more noise. [default: 0.01, or the best]")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(help="richardson-lucy: fewer for more noise. [default: 50, or the best]")
    ] = None,
    compare: Annotated[
        str | None, typer.Option(help="Clean images of the same names: measure the results, and find the best value.")
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(help="The inputs are clean: blur them, add noise of this standard deviation, and compare."),
    ] = None,
    gray: Annotated[bool, typer.Option("--gray", help="Take 8-bit color images as gray ones.")] = False,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also draw before and after side by side.")] = False,
    probabilities: Annotated[
        str | None, typer.Option(help="Write numbers of 8-bit pictures in place of PNG: zarr or tiff.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Memory that an image may take: 4GB. [default: what this process may use]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Undo a known blur by a Wiener filter or by Richardson-Lucy iterations (scikit-image), without a network.

    Images and volumes of any type are written as `atrous predict` writes those of a restoration: 8-bit pictures as PNG,
    all others as float32 in their units. Color is restored channel by channel. Borders are mirrored.

    With --compare or --noise the PSNR at each value of a grid is printed, and the best value is used.

    Example: atrous restore 'blurred/*.tif' -o sharp --psf 1.6 --method richardson-lucy --iterations 20

    Example: atrous restore photos --psf 1.6 --noise 2
    """
    from atrous.cli.output import progress_bar, quiet_libraries, say, show
    from atrous.verbs.restore import RestoreOptions, restore

    quiet_libraries()
    options = RestoreOptions(method, psf, balance, iterations, compare, noise, gray, overlay, probabilities, memory)
    with progress_bar("restoring", 1) as (bar, task):
        result = restore(
            inputs, out, options,
            begin=lambda count: bar.update(task, total=count),
            progress=lambda done: bar.update(task, completed=done),
            tell=bar.console.print,
        )  # fmt: skip
    show(result.text(), result.to_dict(), json)
    failed = () if result.written is None else result.written.failed
    for _, reason in failed:
        say(f"atrous: {reason}")
    if failed and result.written is not None:
        raise typer.Exit(1 if result.written.log is not None else 2)
