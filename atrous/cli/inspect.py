"""`atrous inspect`: properties of a network that follow from its layers, and properties that are measured."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "inspect"
_WHAT = (
    "Analysis: certificate, receptive-field, equivariance, boundary, sharing, upsampling, transfer, attribution or "
    "filters (see docs/inspect.md), or motifs (see docs/motifs.md)."
)


def command(
    model: Annotated[str, typer.Argument(help="Run folder, name of a model, or package.module:callable(arguments).")],
    what: Annotated[str, typer.Argument(help=_WHAT)] = "certificate",
    shape: Annotated[str | None, typer.Option(help="Channels and sizes of an input, such as 3,4096,4096.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory limit of a streamed run, such as 1GB.")] = None,
    output: Annotated[str | None, typer.Option(help="Index or name of the output, if there are several.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the result to a .png, .svg or .pdf file.")] = None,
    image: Annotated[
        Path | None, typer.Option(help="Input (receptive-field, attribution), or file or folder of sequences (motifs).")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--class", help="Class number, or class name of a run (attribution, motifs)."),
    ] = None,
    region: Annotated[str | None, typer.Option(help="Region of the output, such as 10:20,0:64 (attribution).")] = None,
    method: Annotated[
        str, typer.Option(help="gradients, integrated, grad-cam or occlusion (attribution); filters (motifs).")
    ] = "integrated",
    layer: Annotated[str | None, typer.Option(help="Module name (filters, transfer, grad-cam).")] = None,
    at: Annotated[
        float | None, typer.Option(help="Linearize around an input of this value everywhere (transfer).")
    ] = None,
    meme: Annotated[Path | None, typer.Option(help="Write the motifs to a file in MEME format (motifs).")] = None,
    known: Annotated[
        str | None, typer.Option(help="Compare with JASPAR2024, another release of JASPAR, or a MEME file (motifs).")
    ] = None,
    antialias: Annotated[bool, typer.Option("--antialias", help="Compare with an anti-aliased copy.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Report a network's stride, receptive field, halo, barriers, work and memory, and whether it streams exactly.

    The certificate is computed from the layers alone: it needs no data, and a large input takes no more time or memory
    than a small one. Most other analyses run the network, on random inputs unless --image gives one.

    Example: atrous inspect "torchvision.models.segmentation:fcn_resnet50(weights_backbone=None)" --shape 3,4096,4096

    Example: atrous inspect runs/cells equivariance --antialias --picture shifts.png

    Example: atrous inspect runs/sites motifs --image sequences/val --known JASPAR2024 --meme found.meme
    """
    from atrous.cli.output import quiet_libraries, show
    from atrous.geometry.field import certify
    from atrous.verbs.network import class_names, default_shape, load_network, parse_shape

    quiet_libraries()
    network = load_network(model)
    wanted = parse_shape(shape) if shape else None
    which = int(output) if output and output.lstrip("-").isdigit() else output
    if what == "certificate":
        certificate = certify(network, wanted or default_shape(network), output=which, memory=memory)
        show(certificate.text(), certificate.to_dict(), json)
        return
    from atrous.verbs.inspect import AnalysisOptions, analyze, parse_class, parse_region

    where = parse_region(region) if region else None
    names = class_names(model)
    number = parse_class(target, names) if target else None
    chosen = AnalysisOptions(wanted, which, image, number, where, method, layer, antialias, known, meme, names, at)
    result = analyze(network, what, chosen)
    drawn = {} if picture is None else {"picture": str(result.draw(picture))}
    drawn |= {} if meme is None else {"meme": str(meme)}
    show("\n".join([result.text(), *drawn.values()]), {**result.to_dict(), **drawn}, json)
