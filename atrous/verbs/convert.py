"""`atrous convert`: convert a network, prove the result on it, and write it to a file that can be loaded again."""

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

from atrous.errors import UserError
from atrous.files import replacing
from atrous.geometry.exportable import exporting
from atrous.surgery import Converted, convolutionalize, dilate, inflate, transplant
from atrous.surgery.certificate import evaluating, example, first_channels
from atrous.training.checkpoint import read_tensors, write_tensors
from atrous.verbs.network import load_network

SURGERIES = {"convolutionalize": convolutionalize, "dilate": dilate, "inflate": inflate, "transplant": transplant}
"""The conversions by name."""
SUFFIXES = (".safetensors", ".pt2")
"""Suffixes of the files that can be written."""
NETWORKS = ("network", "classifier", "target")
"""Names of the parameter of a conversion that takes the network to convert."""


def convert(model: str, surgery: str, out: Path, *, shape: tuple[int, ...] | None = None, **options: Any) -> Converted:
    """Convert a network and write the result to a file.

    A `.safetensors` file holds the weights, and how the network was made. `load_converted` builds the network again,
    for which it needs the model's own code. A `.pt2` file holds an exported program for inputs of one shape, which
    `torch.export.load` runs without that code.

    Args:
        model: the network, as `load_network` reads it: the folder of a run, or `package.module:callable(arguments)`.
        surgery: convolutionalize, dilate, inflate or transplant.
        out: the file to write. Its folder must exist, and the file must not.
        shape: shape `(C, *S)` of an input of the converted network. A `.pt2` file needs it; `dilate` compares on it.
        options: arguments of the conversion. For transplant `source` is the network that gives its weights, written as
            `model` is. Options that are None are left out.

    Returns:
        The converted network and its certificate.

    Raises:
        UserError: the network cannot be converted, an option does not belong to this conversion, the result cannot be
            exported for `shape`, or the file cannot be written.
    """
    if out.suffix not in SUFFIXES:
        raise UserError(f"{out}: name a file that ends in one of {', '.join(SUFFIXES)}")
    if out.exists() or not out.parent.is_dir():
        problem = "exists already, and nothing is overwritten" if out.exists() else "its folder does not exist"
        raise UserError(f"{out}: {problem}: give another -o")
    arguments = {name: value for name, value in options.items() if value is not None}
    if surgery == "dilate" and shape is not None:
        arguments["shape"] = shape
    converted = _apply(surgery, load_network(model), arguments)
    if out.suffix == ".safetensors":
        facts = {
            "model": model,
            "surgery": surgery,
            "options": arguments,
            "certificate": converted.certificate.to_dict(),
        }
        write_tensors(out, {name: value.clone() for name, value in converted.network.state_dict().items()}, facts)
    else:
        _export(converted.network, out, shape)
    return converted


def load_converted(path: Path | str) -> nn.Module:
    """Load the network from a `.safetensors` file that `atrous convert` wrote, in evaluation mode.

    The file names the original network. It is built and converted again, with all the checks of the conversion, and
    then gets the weights of the file.

    Raises:
        UserError: there is no such file, `atrous convert` did not write it, or the model's code has changed since then.
    """
    tensors, facts = read_tensors(Path(path))
    if not {"model", "surgery", "options"} <= set(facts):
        raise UserError(f"{path}: was not written by atrous convert")
    network = load_network(facts["model"])
    if facts["surgery"] != "transplant":  # which changes weights only
        network = _apply(facts["surgery"], network, facts["options"]).network
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        first_line = str(error).splitlines()[1].strip()
        raise UserError(
            f"{path}: {facts['model']} is not the network that it was when this file was written: {first_line}"
        ) from error
    return network.eval()


def _apply(surgery: str, network: nn.Module, arguments: dict[str, Any]) -> Converted:
    """Check the arguments against the parameters of the conversion, and convert the network."""
    if surgery not in SURGERIES:
        raise UserError(f"{surgery!r} is not a conversion: choose one of {', '.join(SURGERIES)}")
    parameters = inspect.signature(SURGERIES[surgery]).parameters
    required = [name for name, p in parameters.items() if p.default is p.empty and name not in NETWORKS]
    problems = [f"does not take {_option(name)}" for name in arguments if name not in parameters]
    problems += [f"needs {_option(name)}" for name in required if name not in arguments]
    if problems:
        raise UserError(f"{surgery} {'; '.join(problems)}")
    if surgery == "transplant":
        return transplant(load_network(arguments["source"]), network)
    return SURGERIES[surgery](network, **arguments)


def _option(name: str) -> str:
    """The option of the command line for a parameter."""
    return f"--{name.replace('_', '-')}"


def _export(network: nn.Module, out: Path, shape: tuple[int, ...] | None) -> None:
    """Write the network as an exported program for inputs `(C, *S)` of one shape."""
    if shape is None:
        channels, ndim = first_channels(network)
        raise UserError(f"{out}: an exported program is for one input shape: give --shape {channels}" + ",256" * ndim)
    with evaluating(network), exporting(network, shape):
        program = torch.export.export(network, (example(network, shape, 1),))
    with replacing(out) as beside:
        torch.export.save(program, beside)
