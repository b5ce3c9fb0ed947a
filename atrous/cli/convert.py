"""`atrous convert`: turn a trained network into another one that computes the same function."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "convert"


def command(
    model: Annotated[str, typer.Argument(help="Run folder, name of a model, or package.module:callable(arguments).")],
    what: Annotated[str, typer.Argument(help="Conversion: convolutionalize, dilate, inflate or transplant.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Output file: .safetensors (weights) or .pt2 (exported program).")
    ],
    input_size: Annotated[int | None, typer.Option(help="convolutionalize: input size of the classifier.")] = None,
    output_stride: Annotated[int | None, typer.Option(help="dilate: largest output stride of the result.")] = None,
    axis: Annotated[int | None, typer.Option(help="inflate: index of the new axis; 0 is the first.")] = None,
    kernel: Annotated[int | None, typer.Option(help="inflate: 1 for kernels of size 1 along the new axis.")] = None,
    weights: Annotated[str | None, typer.Option(help="inflate: mean (repeated kernel) or center (one slice).")] = None,
    source: Annotated[str | None, typer.Option(help="transplant: network to copy the weights from.")] = None,
    shape: Annotated[str | None, typer.Option(help="Channels and sizes of an input, such as 3,256,256.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Convert a network, check numerically that the result computes the same function, and write it to a file.

    A classifier becomes fully convolutional (convolutionalize), strides become dilation (dilate), a 2-D network becomes
    3-D (inflate), or weights are copied into another network (transplant). If a conversion cannot be exact, the command
    stops and names the layer.

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
