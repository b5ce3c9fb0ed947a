"""`atrous export`: a trained network as a file that runs without this package."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "export"


def command(
    model: Annotated[str, typer.Argument(help="Run folder, name of a model, or package.module:callable(arguments).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Output file: .onnx, .xml, .pt2 or .zip.")],
    to: Annotated[
        str | None,
        typer.Option(help="Format: onnx, openvino, torch or bioimageio; default: by the suffix of the file."),
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option(help="File, folder or glob to prove the file on; may be repeated.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(help="Channels and sizes of an input, for other networks: 3,256,256.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Export for inputs of this size only, such as 512,512.")] = None,
    half: Annotated[bool, typer.Option("--half", help="Store the weights in float16.")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Compute with 8-bit numbers, calibrated on training images (openvino).")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            help="Folder or URL of the data set to calibrate and to prove on. Default: the data set of the training."
        ),
    ] = None,
    dataset: Annotated[Path | None, typer.Option(help="Path of a dataset.toml outside the data folder.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Write a network as a file that runs without atrous, with its preprocessing, its labels and their names in it.

    The file is run by its own runtime (ONNX Runtime, OpenVINO, torch) on three inputs of odd sizes and compared with
    the network. What differs is printed, and stands in the file; a file over the tolerance is not written.

    Example: atrous export runs/cells -o cells.onnx

    Example: atrous export "torchvision.models.segmentation:lraspp_mobilenet_v3_large()" --shape 3,256,256 -o a.onnx
    """
    from atrous.cli.output import quiet_libraries, show
    from atrous.verbs.export import ExportOptions, export, parse_size
    from atrous.verbs.network import parse_shape

    quiet_libraries()
    options = ExportOptions(
        to, tuple(inputs or ()), parse_shape(shape) if shape else None, parse_size(size) if size else None, half, int8,
        data, dataset,
    )  # fmt: skip
    done = export(model, out, options)
    show(done.text(), done.to_dict(), json)
