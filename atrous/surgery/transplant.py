"""Weights from one network into another: what fits is copied, what does not is said."""

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import cast

import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.surgery.certificate import TOLERANCE, Change, Converted, certified, relative_error
from atrous.surgery.copies import copied

Token = tuple[tuple[str, tuple[int, ...]], ...]


def transplant(source: nn.Module | Mapping[str, Tensor], target: nn.Module) -> Converted:
    """A copy of `target` that holds the weights of `source` wherever they fit.

    First by name: a tensor of the same name and shape. Then by order: of the modules left over on both sides, runs of
    neighbors whose parameters have the same names and shapes, in the same order (the longest common ones, as in a
    text comparison). What was found by order is marked as such, and what fits nowhere is in the remarks with its
    shape: it keeps the value that it had in `target`.

    Args:
        source: a network or a state dict.
        target: a network; not changed.

    Raises:
        UserError: nothing fits, or the source holds what is no tensor.

    >>> old = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1))
    >>> new = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 5, 1))
    >>> print(transplant(old, new).certificate.text())
    transplant of Sequential: relative error 0 (allowed 0.0001)
    compared: 2 of 4 tensors with those of the source, on (no input)
      0: weight, bias by name
      kept 1: weight (5, 8, 1, 1), bias (5,) as before: nothing in the source fits
      kept 2: weight (2, 8, 1, 1), bias (2,) of the source not used
    """
    given = _tensors_of(source)
    wanted = {name: value for name, value in target.state_dict().items() if isinstance(value, Tensor)}
    pairs = {name: name for name, value in wanted.items() if name in given and given[name].shape == value.shape}
    named = set(pairs)
    pairs |= _by_order(
        {n: v for n, v in given.items() if n not in named}, {n: v for n, v in wanted.items() if n not in named}
    )
    if not pairs:
        raise UserError(f"{type(target).__name__}: none of its {len(wanted)} tensors has its like in the source")
    result = copied(target)
    result.load_state_dict({**target.state_dict(), **{name: given[old] for name, old in pairs.items()}})
    held = result.state_dict()
    used = set(pairs.values())
    roundings = [torch.finfo(held[name].dtype).eps for name in pairs if held[name].is_floating_point()]
    return certified(
        "transplant",
        target,
        result,
        tolerance=max(TOLERANCE, *roundings, 0.0),  # a copy is rounded once
        max_error=max(relative_error(held[name], given[old].to(held[name].device)) for name, old in pairs.items()),
        compared=f"{len(pairs)} of {len(wanted)} tensors with those of the source",
        shapes=(),
        changes=_said_of(pairs),
        remarks=(
            *_left({n: v for n, v in wanted.items() if n not in pairs}, "as before: nothing in the source fits"),
            *_left({n: v for n, v in given.items() if n not in used}, "of the source not used"),
        ),
    )


def _tensors_of(source: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    held: Mapping[str, object] = source.state_dict() if isinstance(source, nn.Module) else source
    given = {name: value for name, value in held.items() if not name.endswith("_extra_state")}
    for name, value in given.items():
        if not isinstance(value, Tensor):
            nested = [key for key, inner in given.items() if isinstance(inner, Mapping)]
            mend = f"give its {nested[0]!r}" if nested else "leave it out"
            raise UserError(f"the source is no state dict: {name!r} is of type {type(value).__name__}: {mend}")
    return cast(dict[str, Tensor], given)


def _by_module(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        module, _, leaf = name.rpartition(".")
        found.setdefault(module, {})[leaf] = value
    return found


def _by_order(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, str]:
    """For names wanted the names given, by runs of modules with tensors of the same names and shapes."""
    old, new = _by_module(given), _by_module(wanted)
    tokens: list[list[Token]] = [
        [tuple((leaf, tuple(value.shape)) for leaf, value in module.items()) for module in side.values()]
        for side in (old, new)
    ]
    pairs = {}
    for block in SequenceMatcher(None, *tokens, autojunk=False).get_matching_blocks():
        for i in range(block.size):
            a, b = list(old)[block.a + i], list(new)[block.b + i]
            pairs |= {f"{b}.{leaf}".removeprefix("."): f"{a}.{leaf}".removeprefix(".") for leaf in new[b]}
    return pairs


def _said_of(pairs: dict[str, str]) -> tuple[Change, ...]:
    found: dict[tuple[str, str], list[str]] = {}
    for name, old in pairs.items():
        module, _, leaf = name.rpartition(".")
        found.setdefault((module, old.rpartition(".")[0]), []).append(leaf)
    how = {(a, b): "by name" if a == b else f"from {b or 'the network'}, by order" for a, b in found}
    return tuple(Change(key[0], f"{', '.join(leaves)} {how[key]}") for key, leaves in found.items())


def _left(tensors: Mapping[str, Tensor], what: str) -> tuple[Change, ...]:
    return tuple(
        Change(module, ", ".join(f"{leaf} {tuple(value.shape)}" for leaf, value in leaves.items()) + f" {what}")
        for module, leaves in _by_module(tensors).items()
    )
