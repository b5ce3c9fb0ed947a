"""Weights from one network into another: what fits is copied, and what does not is reported."""

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import cast

import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.surgery.certificate import TOLERANCE, Change, Converted, certified, relative_error
from atrous.surgery.copies import copied

Signature = tuple[tuple[str, tuple[int, ...]], ...]
"""The names and shapes of a module's own tensors."""


def transplant(source: nn.Module | Mapping[str, Tensor], target: nn.Module) -> Converted:
    """Return a copy of `target` with the weights of `source` wherever they fit.

    Tensors are matched in two steps. First by name: tensors with the same name and shape. Then by order: of the modules
    that are left over on both sides, the longest runs of neighbors whose tensors have the same names and shapes, as a
    text comparison finds common lines. The certificate marks what was matched by order. Its remarks list what fits
    nowhere, with shapes: such a tensor keeps its value in `target`.

    Args:
        source: a network or a state dict.
        target: a network; it is not changed.

    Raises:
        UserError: nothing fits, or the source holds something else than tensors.

    >>> old = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1))
    >>> new = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 5, 1))
    >>> print(transplant(old, new).certificate.text())
    transplant of Sequential: relative error 0 (allowed 0.0001)
    compared: 2 of 4 tensors with those of the source, on (no input)
      0: weight, bias by name
      kept 1: weight (5, 8, 1, 1), bias (5,) as before: nothing in the source fits
      kept 2: weight (2, 8, 1, 1), bias (2,) of the source not used
    """
    available = _source_tensors(source)
    wanted = {name: value for name, value in target.state_dict().items() if isinstance(value, Tensor)}
    # `pairs` maps names in the target to names in the source.
    pairs = {name: name for name, value in wanted.items() if name in available and available[name].shape == value.shape}
    by_name = set(pairs)
    pairs |= _match_by_order(
        {name: value for name, value in available.items() if name not in by_name},
        {name: value for name, value in wanted.items() if name not in by_name},
    )
    if not pairs:
        raise UserError(f"{type(target).__name__}: none of its {len(wanted)} tensors has its like in the source")
    result = copied(target)
    result.load_state_dict({**target.state_dict(), **{name: available[old] for name, old in pairs.items()}})
    loaded = result.state_dict()
    used = set(pairs.values())
    roundings = [torch.finfo(loaded[name].dtype).eps for name in pairs if loaded[name].is_floating_point()]
    return certified(
        "transplant",
        target,
        result,
        tolerance=max(TOLERANCE, *roundings, 0.0),  # a copy is rounded once
        max_error=max(
            relative_error(loaded[name], available[old].to(loaded[name].device)) for name, old in pairs.items()
        ),
        compared=f"{len(pairs)} of {len(wanted)} tensors with those of the source",
        shapes=(),
        changes=_changes(pairs),
        remarks=(
            *_remarks({n: v for n, v in wanted.items() if n not in pairs}, "as before: nothing in the source fits"),
            *_remarks({n: v for n, v in available.items() if n not in used}, "of the source not used"),
        ),
    )


def _source_tensors(source: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a network or state dict by name."""
    state: Mapping[str, object] = source.state_dict() if isinstance(source, nn.Module) else source
    entries = {name: value for name, value in state.items() if not name.endswith("_extra_state")}
    for name, value in entries.items():
        if not isinstance(value, Tensor):
            nested = [key for key, inner in entries.items() if isinstance(inner, Mapping)]
            advice = f"give its {nested[0]!r}" if nested else "leave it out"
            raise UserError(f"the source is no state dict: {name!r} is of type {type(value).__name__}: {advice}")
    return cast(dict[str, Tensor], entries)


def _by_module(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Group tensors by the module that holds them."""
    modules: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        module, _, leaf = name.rpartition(".")
        modules.setdefault(module, {})[leaf] = value
    return modules


def _match_by_order(available: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, str]:
    """Match runs of modules with equal signatures; return source names by target name."""
    sources, targets = _by_module(available), _by_module(wanted)
    signatures: list[list[Signature]] = [
        [tuple((leaf, tuple(value.shape)) for leaf, value in module.items()) for module in side.values()]
        for side in (sources, targets)
    ]
    source_paths, target_paths = list(sources), list(targets)
    pairs = {}
    for block in SequenceMatcher(None, *signatures, autojunk=False).get_matching_blocks():
        for i in range(block.size):
            old, new = source_paths[block.a + i], target_paths[block.b + i]
            pairs |= {f"{new}.{leaf}".removeprefix("."): f"{old}.{leaf}".removeprefix(".") for leaf in targets[new]}
    return pairs


def _changes(pairs: dict[str, str]) -> tuple[Change, ...]:
    """Return for each module of the target which tensors it got from where."""
    leaves_of: dict[tuple[str, str], list[str]] = {}
    for name, old in pairs.items():
        module, _, leaf = name.rpartition(".")
        leaves_of.setdefault((module, old.rpartition(".")[0]), []).append(leaf)
    return tuple(
        Change(new, f"{', '.join(leaves)} " + ("by name" if new == old else f"from {old or 'the network'}, by order"))
        for (new, old), leaves in leaves_of.items()
    )


def _remarks(tensors: Mapping[str, Tensor], what: str) -> tuple[Change, ...]:
    """Return a remark for each module with the shapes of its tensors."""
    return tuple(
        Change(module, ", ".join(f"{leaf} {tuple(value.shape)}" for leaf, value in leaves.items()) + f" {what}")
        for module, leaves in _by_module(tensors).items()
    )
