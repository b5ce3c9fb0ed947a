"""Errors are measured by channel, rounding is no error, and certificates say what was measured."""

import copy

import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.nn.blocks import Normalize
from atrous.surgery import dilate
from atrous.surgery.certificate import (
    TOLERANCE,
    Change,
    certified,
    channel_error,
    evaluating,
    example,
    first_channels,
    proven_error,
    relative_error,
    replace_module,
    tensors,
)
from tests.surgery.networks import randomized
from tests.surgery.test_dilate import ByMean


def outputs(network, result):
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x.to(next(network.parameters()).dtype)
    with torch.no_grad():
        return [(result(x), network(x))]


def scaled(large: float) -> nn.Module:
    network = nn.Conv2d(3, 2, 3)
    network.weight.data[0] *= large
    return network


def test_a_small_channel_counts_by_itself():
    network = scaled(1e5)
    wrong = copy.deepcopy(network)
    wrong.weight.data[1] *= 1.5
    ((found, wanted),) = outputs(network, wrong)
    assert relative_error(found, wanted) < TOLERANCE
    assert channel_error(found, wanted) > TOLERANCE
    assert proven_error(network, wrong, outputs) > TOLERANCE
    assert proven_error(network, copy.deepcopy(network), outputs) == 0


def test_rounding_of_a_small_channel_is_no_error():
    network = scaled(1.0)
    network.weight.data[1] *= 1e-3
    network.bias.data[1] = 0

    class Rounded(nn.Conv2d):
        def forward(self, input):
            y = super().forward(input)
            return y if y.dtype == torch.float64 else y + 3e-6 * y.abs().amax()

    rounded = copy.deepcopy(network)
    rounded.__class__ = Rounded
    ((found, wanted),) = outputs(network, rounded)
    assert channel_error(found, wanted) > TOLERANCE
    assert proven_error(network, rounded, outputs) == relative_error(found, wanted) < TOLERANCE


INF = float("inf")


def test_errors_are_relative_to_the_largest_value():
    wanted = torch.tensor([[1.0, -4.0], [2.0, 0.0]])
    assert relative_error(wanted + torch.tensor([[0.0, 0.0], [0.0, 1.0]]), wanted) == 0.25
    assert relative_error(wanted - 2, wanted) == 0.5
    assert relative_error(wanted[:1], wanted) == INF
    assert relative_error(wanted * float("nan"), wanted) == INF
    assert relative_error(wanted[:0], wanted[:0]) == 0
    assert relative_error(torch.zeros(2), torch.zeros(2)) == 0
    assert relative_error(torch.full((2,), 1e-30), torch.zeros(2)) == pytest.approx(1)


def test_channels_are_measured_by_themselves():
    wanted = torch.tensor([[[100.0, 50.0], [2.0, 1.0]], [[10.0, 1.0], [4.0, 3.0]]])  # (N, C, S): maxima 100 and 4
    output = wanted.clone()
    output[0, 1, 1] += 1
    assert channel_error(output, wanted) == 0.25
    output[1, 0, 1] -= 50
    assert channel_error(output, wanted) == 0.5
    assert channel_error(output * float("nan"), wanted) == INF
    assert channel_error(output[:1], wanted) == INF
    assert channel_error(output[:0], wanted[:0]) == 0
    assert channel_error(torch.tensor([1.0, 5.0]), torch.tensor([1.0, 4.0])) == 0.25  # no channels


def test_channels_below_a_hundredth_count_by_a_hundredth_of_the_largest():
    wanted = torch.tensor([[200.0, 0.5]])
    assert channel_error(wanted + torch.tensor([[0.0, 0.5]]), wanted) == 0.25
    assert channel_error(torch.zeros(1, 2), torch.zeros(1, 2)) == 0


def test_only_a_suspicion_is_decided_in_float64():
    network, types = scaled(1e5), []

    def spied(first, second):
        types.append(next(first.parameters()).dtype)
        return outputs(first, second)

    clearly_wrong = copy.deepcopy(network)
    clearly_wrong.weight.data[0] *= 2
    assert proven_error(network, clearly_wrong, spied) > 0.1
    assert proven_error(network, copy.deepcopy(network), spied) == 0
    assert types == [torch.float32] * 2
    slightly_wrong = copy.deepcopy(network)
    slightly_wrong.weight.data[1] *= 1.5
    found = proven_error(network, slightly_wrong, spied)
    assert types[2:] == [torch.float32, torch.float64]
    assert found == channel_error(*outputs(network.double(), slightly_wrong.double())[0])
    assert proven_error(network, network, lambda *_: []) == 0


def test_a_network_that_computes_in_float32_keeps_its_first_error():
    network = scaled(1e5)
    wrong = copy.deepcopy(network)
    wrong.weight.data[1] *= 1.5

    def outputs_in_float32(first, second):
        if next(first.parameters()).dtype == torch.float64:
            raise RuntimeError("expected scalar type Float but found Double")
        return outputs(first, second)

    assert proven_error(network, wrong, outputs_in_float32) == relative_error(*outputs(network, wrong)[0])


def test_modes_come_back_and_gradients_are_off():
    network = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU(), nn.ReLU()))
    network[1].eval()
    network[1][1].train()
    other = nn.Linear(1, 1).train()
    modes = [m.training for m in network.modules()]
    with evaluating(network, other):
        assert not any(m.training for m in (*network.modules(), other))
        assert not network(torch.ones(1, 1)).requires_grad
    assert [m.training for m in network.modules()] == modes
    assert other.training
    with pytest.raises(KeyError), evaluating(network):
        raise KeyError
    assert [m.training for m in network.modules()] == modes
    assert torch.is_grad_enabled()


def test_examples_are_noise_behind_a_normalization():
    noise = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(example(nn.ReLU(), (3, 4)), noise)
    narrow = nn.Linear(1, 1).bfloat16()
    assert torch.equal(example(narrow, (3, 4)), noise.bfloat16())
    assert not torch.equal(example(narrow, (3, 4), seed=1), noise.bfloat16())
    assert example(narrow, (3, 4), 5).shape == (5, 3, 4)
    normalize = Normalize([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], 1)
    raw = example(nn.Sequential(nn.Identity(), normalize), (3, 4))
    torch.testing.assert_close(normalize(raw), noise)
    assert torch.equal(example(normalize, (2, 4)), example(nn.ReLU(), (2, 4)))  # two channels are not its input


def test_tensors_of_any_output_come_in_order():
    a, b, c = (torch.tensor(i) for i in range(3))
    assert [int(t) for t in tensors({"x": [a, 7, (b,)], "y": c, "z": None})] == [0, 1, 2]
    assert [int(t) for t in tensors(b)] == [1]


def facts(error: float) -> dict:
    changes = (Change("", "stride 2 -> 1"), Change("a.b", "left out"))
    return {"max_error": error, "compared": "all", "shapes": ((3, 8, 9),), "changes": changes}


def test_certificates_say_what_was_measured():
    certificate = certified("melt", nn.ReLU(), nn.Tanh(), remarks=(Change("c", "stays"),), **facts(1e-4)).certificate
    assert certificate.text().splitlines() == [
        "melt of ReLU: relative error 0.0001 (allowed 0.0001)",
        "compared: all, on 3x8x9",
        "  the network: stride 2 -> 1",
        "  a.b: left out",
        "  kept c: stays",
    ]
    assert certificate.to_dict() == {
        "surgery": "melt",
        "network": "ReLU",
        "max_error": 1e-4,
        "tolerance": 1e-4,
        "compared": "all",
        "shapes": [[3, 8, 9]],
        "changes": [{"module": "", "what": "stride 2 -> 1"}, {"module": "a.b", "what": "left out"}],
        "remarks": [{"module": "c", "what": "stays"}],
    }


@pytest.mark.parametrize("error", [1.1e-4, INF, float("nan")])
def test_an_error_that_is_too_large_is_refused(error):
    with pytest.raises(UserError, match=r"^ReLU: melt was tried and differs .* of the largest output there \(allowed"):
        certified("melt", nn.ReLU(), nn.ReLU(), where=" there", **facts(error))
    assert certified("melt", nn.ReLU(), nn.ReLU(), tolerance=1e-3, **facts(1e-3)).certificate.tolerance == 1e-3


def test_channels_are_those_of_the_first_convolution():
    assert first_channels(nn.Sequential(nn.ReLU(), nn.Conv1d(5, 1, 1), nn.Conv2d(3, 2, 1))) == (5, 1)
    assert first_channels(nn.Conv3d(2, 4, 1)) == (2, 3)
    with pytest.raises(UserError, match=r"^ReLU: .* no convolution .* give shape="):
        first_channels(nn.ReLU())


def test_a_replaced_module_has_the_mode_of_the_old_one():
    network = nn.ModuleDict({"a": nn.Sequential(nn.ReLU(), nn.ReLU()), "b": nn.ReLU()})
    network["a"][1].eval()
    new, other = nn.Tanh(), nn.Tanh().eval()
    replace_module(network, "a.1", new)
    replace_module(network, "b", other)
    assert network["a"][1] is new
    assert network["b"] is other
    assert (new.training, other.training) == (False, True)


def test_a_conversion_that_is_wrong_in_a_small_channel_is_refused():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.gate = nn.Conv2d(3, 8, 3, 2, 1), ByMean()
            self.large, self.small = nn.Conv2d(8, 1, 1), nn.Conv2d(8, 1, 1)

        def forward(self, x):
            x = self.stem(x)
            return torch.cat([1000 * self.large(x), self.small(self.gate(x))], 1)

    with pytest.raises(UserError, match="differs from the original"):
        dilate(randomized(Two()), 1, shape=(3, 32, 32))
