"""`atrous inspect`: what geometry proves of a network."""

from typing import Annotated

import typer

NAME = "inspect"


def command(
    model: Annotated[str, typer.Argument(help="Folder of a run, or package.module:callable(arguments).")],
    shape: Annotated[str | None, typer.Option(help="Channels and sizes of an input: 3,4096,4096.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory that a streamed run may take: 1GB.")] = None,
    output: Annotated[str | None, typer.Option(help="Which output, where the network gives several: 1, out.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Say what a network is: stride, receptive field, halo, barriers, work, memory, and whether it streams exactly.

    Needs neither data nor the memory of a run: the largest image is inspected as fast as the smallest.

    Example: atrous inspect "torchvision.models.segmentation:fcn_resnet50(weights_backbone=None)" --shape 3,4096,4096
    """
    from atrous.cli.output import quiet_libraries, show
    from atrous.geometry.field import certify
    from atrous.networks import default_shape, load_network, parse_shape

    quiet_libraries()
    network = load_network(model)
    wanted = parse_shape(shape) if shape else default_shape(network)
    which = int(output) if output and output.lstrip("-").isdigit() else output
    found = certify(network, wanted, output=which, memory=memory)
    show(found.text(), found.to_dict(), json)
