"""A network from one line of text: a run's folder, or a Python callable with its arguments."""

import ast
import importlib
from pathlib import Path
from typing import Any

from torch import nn

from atrous.errors import UserError
from atrous.recipe.run import open_run


def load_network(spec: str) -> nn.Module:
    """The network that `spec` names, in evaluation mode.

    Args:
        spec: the folder of a run, or `package.module:callable(arguments)`; arguments are Python literals (numbers,
            text, lists, dictionaries, None, True, False), and the callable returns an `nn.Module`.

    Raises:
        UserError: there is no such run, module or callable, an argument is no literal, or what comes back is no module.

    >>> load_network("torch.nn:Conv1d(1, 2, kernel_size=3)")
    Conv1d(1, 2, kernel_size=(3,), stride=(1,))
    """
    if ":" not in spec or Path(spec).exists():
        return open_run(spec).network()
    module, _, call = spec.partition(":")
    names, arguments, keywords = _parse(spec, call)
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{module}: cannot be imported ({error}): install it, or correct the name") from error
    for name in names:
        if not hasattr(found, name):
            raise UserError(f"{module} has no {'.'.join(names)}")
        found = getattr(found, name)
    if not isinstance(found, nn.Module):
        try:
            found = found(*arguments, **keywords)
        except Exception as error:  # the user's callable may raise anything
            raise UserError(f"{spec}: {type(error).__name__}: {error}") from error
    if not isinstance(found, nn.Module):
        raise UserError(f"{spec}: gives {type(found).__name__}, not a torch.nn.Module")
    return found.eval()


def class_names(spec: str) -> tuple[str, ...]:
    """The names of a run's classes in label order; none where `spec` is a callable.

    >>> class_names("torch.nn:Conv1d(1, 2, kernel_size=3)")
    ()
    """
    return tuple(open_run(spec).recipe.task.classes) if ":" not in spec or Path(spec).exists() else ()


def parse_shape(text: str) -> tuple[int, ...]:
    """An input's shape `(C, *S)` from text.

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


def _parse(spec: str, call: str) -> tuple[list[str], list[Any], dict[str, Any]]:
    example = "write package.module:callable(arguments), with numbers, text, lists, None, True or False as arguments"
    try:
        tree = ast.parse(call, mode="eval").body
        arguments, keywords = [], {}
        if isinstance(tree, ast.Call):
            arguments = [ast.literal_eval(each) for each in tree.args]
            keywords = {each.arg: ast.literal_eval(each.value) for each in tree.keywords if each.arg}
            if len(keywords) < len(tree.keywords):
                raise UserError(f"{spec}: ** is not understood: {example}")
            tree = tree.func
    except (SyntaxError, ValueError):
        raise UserError(f"{spec}: cannot be read: {example}") from None
    names: list[str] = []
    while isinstance(tree, ast.Attribute):
        names.insert(0, tree.attr)
        tree = tree.value
    if not isinstance(tree, ast.Name):
        raise UserError(f"{spec}: cannot be read: {example}")
    return [tree.id, *names], arguments, keywords


def default_shape(network: nn.Module) -> tuple[int, ...]:
    """An input's shape for a network that says what it reads, as ours do: 1024 positions along each axis, fewer in 3-D.

    Raises:
        UserError: it does not say.
    """
    ndim, channels = getattr(network, "ndim", None), getattr(getattr(network, "encoder", None), "in_channels", None)
    if not isinstance(ndim, int) or not isinstance(channels, int):
        raise UserError("the network does not say what it reads: give --shape, as in --shape 3,1024,1024")
    return (channels, *[1024 if ndim < 3 else 128] * ndim)
