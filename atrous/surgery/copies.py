"""Copies of a network to operate on: surgery is tried and measured in float32, the result has the original's types.

With the few digits of bfloat16 one operation can pass for another, so what has fewer digits is widened first, which
is exact, and the result is narrowed by name at the end.
"""

import copy

from torch import Tensor, nn

from atrous.errors import UserError


def copied(network: nn.Module) -> nn.Module:
    """A copy that shares nothing with the network.

    Raises:
        UserError: it holds what cannot be copied, naming the module where that is known.
    """
    try:
        return copy.deepcopy(network)
    except Exception as error:  # copying runs the code of whatever the network holds
        computed = [(path, name) for path, m in network.named_modules() for name, v in vars(m).items() if _computed(v)]
        said = str(error).strip().splitlines()
        if computed:
            path, name = computed[0]
            raise UserError(
                f"{path or 'the network'} ({type(network.get_submodule(path)).__name__}): its {name} is computed from "
                "other parameters by a hook (torch.nn.utils.weight_norm, spectral_norm), so the network cannot be "
                "copied: remove it first, with torch.nn.utils.remove_weight_norm or remove_spectral_norm"
            ) from error
        raise UserError(
            f"{type(network).__name__}: cannot be copied, and the original is never changed: "
            f"{said[0] if said else type(error).__name__}"
        ) from error


def widened(network: nn.Module) -> nn.Module:
    """The network in float32 where its numbers have fewer digits; the network itself where none has.

    >>> half = nn.Linear(2, 2).bfloat16()
    >>> widened(half).weight.dtype, half.weight.dtype
    (torch.float32, torch.bfloat16)
    """
    if not any(_narrow(value) for value in _named(network).values()):
        return network
    wide = copied(network)
    for value in _named(wide).values():
        if _narrow(value):
            value.grad = None
            value.data = value.data.float()  # in place: what is tied stays tied
    return wide


def narrowed(result: nn.Module, original: nn.Module) -> nn.Module:
    """The result, its parameters and buffers in the types that those of the same names have in the original."""
    types = {name: value.dtype for name, value in _named(original).items()}
    for name, value in _named(result).items():
        if value.is_floating_point() and value.dtype != types.get(name, value.dtype):
            value.data = value.data.to(types[name])
    return result


def in_what(network: nn.Module) -> str:
    """What a certificate says of the type in which was compared, where that is not the network's own."""
    return ", both in float32" if any(_narrow(value) for value in _named(network).values()) else ""


def _named(network: nn.Module) -> dict[str, Tensor]:
    found = dict(network.named_parameters(remove_duplicate=False))
    return {**found, **dict(network.named_buffers(remove_duplicate=False))}


def _narrow(value: Tensor) -> bool:
    return value.is_floating_point() and value.dtype.itemsize < 4


def _computed(value: object) -> bool:
    return isinstance(value, Tensor) and not value.is_leaf
