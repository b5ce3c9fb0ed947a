"""Surgery from a line of text to a file, and the file back to a network."""

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

from atrous.errors import UserError
from atrous.files import replacing
from atrous.geometry.graph import exporting
from atrous.surgery import Converted, convolutionalize, dilate, inflate, transplant
from atrous.surgery.certificate import evaluating, example, first_channels
from atrous.training.checkpoint import read_tensors, write_tensors
from atrous.verbs.network import load_network

SURGERIES = {"convolutionalize": convolutionalize, "dilate": dilate, "inflate": inflate, "transplant": transplant}
SUFFIXES = (".safetensors", ".pt2")


def convert(model: str, surgery: str, out: Path, *, shape: tuple[int, ...] | None = None, **options: Any) -> Converted:
    """Convert the network that `model` names (see `load_network`) and write the result to `out`.

    `out.safetensors` holds the weights and how the network was made: `load_converted` builds it again, needing the
    model's own code. `out.pt2` holds an exported program for inputs of `shape` `(C, *S)`: `torch.export.load` runs it
    without that code.

    Args:
        model: the folder of a run, or `package.module:callable(arguments)`.
        surgery: convolutionalize, dilate, inflate or transplant.
        out: the file to write; its folder must exist, and the file must not.
        shape: an input of the result, for .pt2; also what `dilate` compares on.
        options: arguments of the surgery; for transplant `source`, a text as `model` is.

    Raises:
        UserError: the surgery refuses, an option is not one of its own, the result cannot be exported for `shape`, or
            the file cannot be written.
    """
    if out.suffix not in SUFFIXES:
        raise UserError(f"{out}: name a file that ends in one of {', '.join(SUFFIXES)}")
    if out.exists() or not out.parent.is_dir():
        why = "exists already, and nothing is overwritten" if out.exists() else "its folder does not exist"
        raise UserError(f"{out}: {why}: give another -o")
    given = {name: value for name, value in options.items() if value is not None}
    if surgery == "dilate" and shape is not None:
        given["shape"] = shape
    network = load_network(model)
    done = _operate(surgery, network, given)
    if out.suffix == ".safetensors":
        kept = {"model": model, "surgery": surgery, "options": given, "certificate": done.certificate.to_dict()}
        write_tensors(out, {name: value.clone() for name, value in done.network.state_dict().items()}, kept)
    else:
        _export(done.network, out, shape)
    return done


def load_converted(path: Path | str) -> nn.Module:
    """The network in a `.safetensors` file that `atrous convert` wrote, in evaluation mode.

    It is built again from the text that named it, converted (and certified) again, and given the weights of the file.

    Raises:
        UserError: there is no such file, `atrous convert` did not write it, or the model's code has changed.
    """
    tensors, facts = read_tensors(Path(path))
    if not {"model", "surgery", "options"} <= set(facts):
        raise UserError(f"{path}: was not written by atrous convert")
    network = load_network(facts["model"])
    if facts["surgery"] != "transplant":
        network = _operate(facts["surgery"], network, facts["options"]).network
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise UserError(f"{path}: {facts['model']} is not what it was when this file was written: {first}") from error
    return network.eval()


def _operate(surgery: str, network: nn.Module, options: dict[str, Any]) -> Converted:
    if surgery not in SURGERIES:
        raise UserError(f"{surgery!r} is no surgery: choose one of {', '.join(SURGERIES)}")
    known = inspect.signature(SURGERIES[surgery]).parameters
    unknown = [name for name in options if name not in known]
    required = [n for n, p in known.items() if p.default is p.empty and n not in ("network", "classifier", "target")]
    missing = [name for name in required if name not in options]
    if unknown or missing:
        said = [f"does not take --{n.replace('_', '-')}" for n in unknown]
        raise UserError(f"{surgery} " + "; ".join([*said, *(f"needs --{n.replace('_', '-')}" for n in missing)]))
    if surgery == "transplant":
        return transplant(load_network(options["source"]), network)
    return SURGERIES[surgery](network, **options)


def _export(network: nn.Module, out: Path, shape: tuple[int, ...] | None) -> None:
    if shape is None:
        channels, ndim = first_channels(network)
        raise UserError(f"{out}: an exported program is for one input shape: give --shape {channels}" + ",256" * ndim)
    with evaluating(network), exporting(network, shape):
        program = torch.export.export(network, (example(network, shape, 1),))
    with replacing(out) as beside:
        torch.export.save(program, beside)
