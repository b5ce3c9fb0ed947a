"""Networks that the command line names in a line of text: the folder of a run, or a Python callable with arguments."""

import ast
import importlib
from pathlib import Path
from typing import Any

from torch import nn

from atrous.errors import UserError
from atrous.geometry.exportable import one_line, require_network
from atrous.recipe.run import open_run

SYNTAX = "write package.module:callable(arguments), with numbers, text, lists, None, True or False as arguments"


def load_network(spec: str) -> nn.Module:
    """Return the network that a line of text names, in evaluation mode.

    This is how the command line names a network (`atrous inspect` and `atrous convert`). In Python, pass the network
    itself to the functions of `atrous.geometry`, `atrous.stream` and `atrous.surgery`, and use `atrous.load` for a run.

    Args:
        spec: the folder of a run, the name of a model (`atrous.named_models`), or `package.module:callable(arguments)`.
            The arguments are Python literals (numbers, text, lists, dictionaries, None, True, False), and the callable
            returns an `nn.Module`.

    Raises:
        UserError: there is no such run, module or callable, an argument is not a literal, or the callable does not
            return a module.

    >>> load_network("torch.nn:Conv1d(1, 2, kernel_size=3)")
    Conv1d(1, 2, kernel_size=(3,), stride=(1,))
    """
    if is_run(spec):
        return open_run(spec).network()
    module, _, call = spec.partition(":")
    names, arguments, keywords = _parse(spec, call)
    try:
        target: Any = importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{module}: cannot be imported ({error}): install it, or correct the name") from error
    for name in names:
        if not hasattr(target, name):
            raise UserError(f"{module} has no {'.'.join(names)}: correct the name")
        target = getattr(target, name)
    if isinstance(target, nn.Module):
        require_network(target)
        return target.eval()
    try:
        network = target(*arguments, **keywords)
    except Exception as error:  # the user's callable may raise anything
        raise UserError(f"{spec}: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise UserError(f"{spec}: returns {type(network).__name__}, not a torch.nn.Module")
    require_network(network)
    return network.eval()


def class_names(spec: str) -> tuple[str, ...]:
    """Return the class names of a run in label order; none if `spec` names a callable.

    >>> class_names("torch.nn:Conv1d(1, 2, kernel_size=3)")
    ()
    """
    return tuple(open_run(spec).recipe.task.classes) if is_run(spec) else ()


def parse_shape(text: str) -> tuple[int, ...]:
    """Return the shape `(C, *S)` of an input from text.

    Raises:
        UserError: the text is not channels and one to three sizes.

    >>> parse_shape("3,4096,4096"), parse_shape("1x5000")
    ((3, 4096, 4096), (1, 5000))
    """
    try:
        shape = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if not 2 <= len(shape) <= 4 or min(shape) < 1:
        raise UserError(f"{text!r} is not a shape: write channels and one to three sizes, as in 3,4096,4096")
    return shape


def default_shape(network: nn.Module) -> tuple[int, ...]:
    """Return an input shape `(C, *S)` for a network that has `ndim` and `encoder.in_channels`, as those built here do.

    It has 1024 positions along each axis, 128 in 3-D.

    Raises:
        UserError: the network does not say what it reads.
    """
    ndim, channels = getattr(network, "ndim", None), getattr(getattr(network, "encoder", None), "in_channels", None)
    channels = getattr(network, "in_channels", channels)  # a network for video may give its encoder two frames
    if not isinstance(ndim, int) or not isinstance(channels, int):
        raise UserError("the network does not say which inputs it reads: give --shape, as in --shape 3,1024,1024")
    return (channels, *[1024 if ndim < 3 else 128] * ndim)


def is_run(spec: str) -> bool:
    """Return whether a line of text names a folder, and not a callable."""
    return ":" not in spec or Path(spec).exists()


def _parse(spec: str, call: str) -> tuple[list[str], list[Any], dict[str, Any]]:
    """The dotted name of a callable, its arguments and its keyword arguments, from `name.name(arguments)`."""
    try:
        tree = ast.parse(call, mode="eval").body
        arguments, keywords = [], {}
        if isinstance(tree, ast.Call):
            arguments = [ast.literal_eval(node) for node in tree.args]
            keywords = {node.arg: ast.literal_eval(node.value) for node in tree.keywords if node.arg}
            if len(keywords) < len(tree.keywords):
                raise UserError(f"{spec}: ** is not understood: {SYNTAX}")
            tree = tree.func
    except (SyntaxError, ValueError):
        raise UserError(f"{spec}: cannot be read: {SYNTAX}") from None
    names: list[str] = []
    while isinstance(tree, ast.Attribute):
        names.insert(0, tree.attr)
        tree = tree.value
    if not isinstance(tree, ast.Name):
        raise UserError(f"{spec}: cannot be read: {SYNTAX}")
    return [tree.id, *names], arguments, keywords
