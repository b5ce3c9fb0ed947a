"""Copies of a network that surgery works on.

Surgery is tried and measured in float32, and its result gets the original's types. In bfloat16 two different operations
can give the same digits. So a network in such a type is first copied to float32, which is exact, and the result's
tensors are converted back at the end, by name.
"""

import copy

from torch import Tensor, nn

from atrous.errors import UserError


def copied(network: nn.Module) -> nn.Module:
    """Return a deep copy of the network.

    Raises:
        UserError: the network holds something that cannot be copied; the message names the module if it is known.
    """
    try:
        return copy.deepcopy(network)
    except Exception as error:  # copying runs the code of whatever the network holds
        computed = [
            (path, name)
            for path, module in network.named_modules()
            for name, value in vars(module).items()
            if _is_computed(value)
        ]
        if computed:
            path, name = computed[0]
            raise UserError(
                f"{path or 'the network'} ({type(network.get_submodule(path)).__name__}): its {name} is computed from "
                "other parameters by a hook (torch.nn.utils.weight_norm, spectral_norm), so the network cannot be "
                "copied: remove it first, with torch.nn.utils.remove_weight_norm or remove_spectral_norm"
            ) from error
        lines = str(error).strip().splitlines()
        raise UserError(
            f"{type(network).__name__}: cannot be copied, and the original is never changed: "
            f"{lines[0] if lines else type(error).__name__}"
        ) from error


def widened(network: nn.Module) -> nn.Module:
    """Return a float32 copy of a network with tensors in bfloat16 or float16, or the network itself if it has none.

    >>> half = nn.Linear(2, 2).bfloat16()
    >>> widened(half).weight.dtype, half.weight.dtype
    (torch.float32, torch.bfloat16)
    """
    if not any(_is_narrow(value) for value in _named_tensors(network).values()):
        return network
    wide = copied(network)
    for value in _named_tensors(wide).values():
        if _is_narrow(value):
            value.grad = None
            value.data = value.data.float()  # the tensor object stays, so that tied weights stay tied
    return wide


def narrowed(result: nn.Module, original: nn.Module) -> nn.Module:
    """Convert the result's parameters and buffers to the types of those with the same names in the original.

    In place; returns `result`.
    """
    types = {name: value.dtype for name, value in _named_tensors(original).items()}
    for name, value in _named_tensors(result).items():
        if value.is_floating_point() and value.dtype != types.get(name, value.dtype):
            value.data = value.data.to(types[name])
    return result


def type_remark(network: nn.Module) -> str:
    """Return what a certificate says about the type of the comparison: nothing, if it is the network's own type."""
    return ", both in float32" if any(_is_narrow(value) for value in _named_tensors(network).values()) else ""


def _named_tensors(network: nn.Module) -> dict[str, Tensor]:
    parameters = dict(network.named_parameters(remove_duplicate=False))
    return {**parameters, **dict(network.named_buffers(remove_duplicate=False))}


def _is_narrow(value: Tensor) -> bool:
    """Whether the values have fewer digits than float32."""
    return value.is_floating_point() and value.dtype.itemsize < 4


def _is_computed(value: object) -> bool:
    """Whether the value is a tensor that was computed from parameters; such a tensor cannot be copied."""
    return isinstance(value, Tensor) and not value.is_leaf
