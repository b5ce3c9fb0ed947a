"""`atrous convert`: certified surgery on a trained network."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "convert"


def command(
    model: Annotated[str, typer.Argument(help="Folder of a run, or package.module:callable(arguments).")],
    what: Annotated[str, typer.Argument(help="convolutionalize, dilate, inflate or transplant.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="File to write: weights (.safetensors) or a program (.pt2).")
    ],
    input_size: Annotated[int | None, typer.Option(help="convolutionalize: positions per axis of its input.")] = None,
    output_stride: Annotated[int | None, typer.Option(help="dilate: input positions per output position.")] = None,
    axis: Annotated[int | None, typer.Option(help="inflate: where the new axis stands, 0 is the first.")] = None,
    kernel: Annotated[int | None, typer.Option(help="inflate: 1 for kernels of one along the new axis.")] = None,
    weights: Annotated[str | None, typer.Option(help="inflate: mean or center.")] = None,
    source: Annotated[str | None, typer.Option(help="transplant: the network to take weights from.")] = None,
    shape: Annotated[str | None, typer.Option(help="Channels and sizes of an input: 3,256,256.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Convert a network, measure that the result is the same function, and write it; or refuse, naming the layer.

    A classifier becomes fully convolutional, strides become dilation, 2-D becomes 3-D, weights move to another network.

    Example: atrous convert "torchvision.models:resnet18(weights='DEFAULT')" dilate --output-stride 8 -o a.safetensors
    """
    from atrous.cli.output import quiet_libraries, show
    from atrous.verbs.convert import convert
    from atrous.verbs.network import parse_shape

    quiet_libraries()
    done = convert(
        model,
        what,
        out,
        shape=parse_shape(shape) if shape else None,
        input_size=input_size,
        output_stride=output_stride,
        axis=axis,
        kernel=kernel,
        weights=weights,
        source=source,
    )
    show(f"{done.certificate.text()}\nwrote {out}", {**done.certificate.to_dict(), "file": str(out)}, json)
