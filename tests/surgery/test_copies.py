"""Copies share nothing with the original, are exact in float32, and go back to the original's types by name."""

import threading

import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.surgery.copies import copied, narrowed, type_remark, widened


def mixed() -> nn.Module:
    """A network with parameters and buffers in three types, and one number that is no float."""
    network = nn.ModuleDict({"narrow": nn.Linear(2, 3).half(), "norm": nn.BatchNorm1d(3), "wide": nn.Linear(3, 1)})
    network["wide"].double()
    network["norm"].running_mean = network["norm"].running_mean.bfloat16() + 1.5
    return network


def types(network: nn.Module) -> dict[str, torch.dtype]:
    return {name: value.dtype for name, value in network.state_dict().items()}


def test_a_copy_shares_nothing():
    network = nn.Linear(2, 2)
    copy = copied(network)
    copy.weight.data.zero_()
    assert network.weight.abs().sum() > 0


def test_what_cannot_be_copied_is_named():
    network = nn.Linear(2, 2)
    network.lock = threading.Lock()
    with pytest.raises(UserError, match=r"^Linear: cannot be copied, and the original is never changed: cannot pickle"):
        copied(network)

    class Silent:
        def __deepcopy__(self, memo):
            raise RuntimeError

    network.lock = Silent()
    with pytest.raises(UserError, match=r"never changed: RuntimeError$"):
        copied(network)


@pytest.mark.parametrize(("wrapped", "path"), [(True, "inner"), (False, "the network")])
def test_a_computed_weight_is_named(wrapped, path):
    layer = nn.Linear(2, 2)
    layer.factor = layer.weight * 2
    with pytest.raises(UserError, match=rf"^{path} .Linear.: its factor is computed from other parameters by a hook"):
        copied(nn.ModuleDict({"inner": layer}) if wrapped else layer)


def test_of_several_computed_weights_the_first_is_named():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    first.factor, first.later, second.other = first.weight * 2, first.weight * 3, second.weight * 4
    with pytest.raises(UserError, match=r"^0 .Linear.: its factor is computed"):
        copied(nn.Sequential(first, second))


def test_only_types_of_few_digits_are_widened_and_exactly():
    network = mixed()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    wide = widened(network)
    assert wide is not network
    assert types(wide) == {
        name: torch.float32 if dtype.itemsize < 4 and dtype.is_floating_point else dtype
        for name, dtype in types(network).items()
    }
    for name, value in wide.state_dict().items():
        assert torch.equal(value, before[name].to(value.dtype))
        assert types(network)[name] == before[name].dtype


def test_nothing_to_widen_is_the_network_itself():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert widened(network) is network
    assert type_remark(network) == ""
    assert type_remark(network.double()) == ""
    assert type_remark(network.bfloat16()) == ", both in float32"


def test_tied_weights_stay_tied_and_gradients_are_left_behind():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).bfloat16()
    network[1].weight = network[0].weight
    network[0].weight.grad = torch.ones(2, 2, dtype=torch.bfloat16)
    wide = widened(network)
    assert wide[0].weight is wide[1].weight
    assert wide[0].weight.dtype == torch.float32
    assert wide[0].weight.grad is None
    assert network[0].weight.grad is not None


def test_types_come_back_by_name_and_new_tensors_keep_theirs():
    network = mixed()
    wide = widened(network)
    wide["added"] = nn.Linear(1, 1)
    back = narrowed(wide, network)
    assert back is wide
    assert types(back) == {**types(network), "added.weight": torch.float32, "added.bias": torch.float32}
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in network.state_dict().items())


def test_every_name_of_a_tied_tensor_counts():
    tied = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2)).bfloat16()
    tied[1].weight, tied[1].running_var = tied[0].weight, tied[0].running_var
    free = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2))
    assert set(types(narrowed(free, tied)).values()) == {torch.bfloat16, torch.int64}
