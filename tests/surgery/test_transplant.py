"""What fits is copied, by name and then by order; what does not is said."""

import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.surgery import transplant


def conv(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3)


def test_by_name_then_by_order_and_the_rest_is_said():
    source = nn.ModuleDict({"a": conv(3, 4), "b": conv(4, 4), "norm": nn.BatchNorm2d(4), "head": conv(4, 10)})
    target = nn.ModuleDict({"a": conv(3, 4), "second": conv(4, 4), "n2": nn.BatchNorm2d(4), "head": conv(4, 2)})
    source["norm"].running_mean.fill_(3)
    before = {k: v.clone() for k, v in target.state_dict().items()}
    done = transplant(source, target)
    found = done.network.state_dict()
    assert torch.equal(found["a.weight"], source["a"].weight)
    assert torch.equal(found["second.bias"], source["b"].bias)
    assert torch.equal(found["n2.running_mean"], source["norm"].running_mean)
    assert torch.equal(found["head.weight"], before["head.weight"])
    assert all(torch.equal(before[k], v) for k, v in target.state_dict().items())
    said = {c.module: c.what for c in done.certificate.changes}
    assert said["a"] == "weight, bias by name"
    assert said["second"] == "weight, bias from b, by order"
    assert [c.module for c in done.certificate.remarks] == ["head", "head"]
    assert "(2, 4, 3, 3)" in done.certificate.remarks[0].what
    assert "(10, 4, 3, 3)" in done.certificate.remarks[1].what
    assert done.certificate.max_error == 0


def test_order_is_kept_and_types_are_rounded():
    source = nn.Sequential(conv(2, 2), conv(2, 3), conv(3, 2))
    target = nn.Sequential(nn.Sequential(conv(2, 2), conv(2, 5), conv(2, 3), conv(3, 2))).bfloat16()
    done = transplant(source.state_dict(), target)
    assert torch.equal(done.network[0][2].weight, source[1].weight.bfloat16())
    assert torch.equal(done.network[0][3].weight, source[2].weight.bfloat16())
    assert 0 < done.certificate.max_error < done.certificate.tolerance < 0.01


def test_nothing_fits():
    with pytest.raises(UserError, match="none of its 2 tensors"):
        transplant(conv(1, 2), conv(3, 4))


def test_a_checkpoint_around_a_state_dict_is_told_to_be_opened():
    with pytest.raises(UserError, match="'epoch' is of type int: give its 'state_dict'"):
        transplant({"epoch": 3, "state_dict": conv(1, 2).state_dict()}, conv(1, 2))
