"""`atrous inspect`: what geometry proves of a network, and what measuring it shows."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "inspect"
_WHAT = (
    "certificate (default), receptive-field, equivariance, boundary, sharing, upsampling, attribution, filters: "
    "see docs/inspect.md; motifs: docs/motifs.md."
)


def command(
    model: Annotated[str, typer.Argument(help="Folder of a run, or package.module:callable(arguments).")],
    what: Annotated[str, typer.Argument(help=_WHAT)] = "certificate",
    shape: Annotated[str | None, typer.Option(help="Channels and sizes of an input: 3,4096,4096.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory that a streamed run may take: 1GB.")] = None,
    output: Annotated[str | None, typer.Option(help="Which output, where the network gives several: 1, out.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Write what was measured as .png, .svg or .pdf.")] = None,
    image: Annotated[
        Path | None, typer.Option(help="Input to look at (receptive-field, attribution); also a folder (motifs).")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--class", help="Class, by its number or a run's name for it (attribution, motifs)."),
    ] = None,
    region: Annotated[str | None, typer.Option(help="Output positions (attribution): 10:20,0:64.")] = None,
    method: Annotated[
        str, typer.Option(help="gradients, integrated, grad-cam, occlusion (attribution) or filters (motifs).")
    ] = "integrated",
    layer: Annotated[str | None, typer.Option(help="Module name (filters, grad-cam).")] = None,
    meme: Annotated[Path | None, typer.Option(help="Write the motifs in MEME format (motifs).")] = None,
    known: Annotated[
        str | None, typer.Option(help="Name the nearest of JASPAR2024 (or another release) or of a MEME file (motifs).")
    ] = None,
    antialias: Annotated[bool, typer.Option("--antialias", help="Set an anti-aliased copy beside it.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Say what a network is: stride, receptive field, halo, barriers, work, memory, and whether it streams exactly.

    The certificate needs neither data nor the memory of a run: the largest image is inspected as fast as the smallest.
    With another WHAT the network is measured, on random inputs unless --image gives one.

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
    chosen = AnalysisOptions(wanted, which, image, number, where, method, layer, antialias, known, meme, names)
    found = analyze(network, what, chosen)
    drawn = {} if picture is None else {"picture": str(found.draw(picture))}
    drawn |= {} if meme is None else {"meme": str(meme)}
    show("\n".join([found.text(), *drawn.values()]), {**found.to_dict(), **drawn}, json)
