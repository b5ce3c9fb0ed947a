"""A lowered graph computes what the network computes, with the operators that have rules."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.geometry.graph import Graph, Op, Ref, export_graph
from atrous.geometry.lower import filled, lower, moments, per_channel, prune, scale_and_shift
from tests.geometry.truth import graphs_of, network_of, run_graph
from tests.toy_models import Lambda, computed_norms, settled, weight_norms

SHAPE = (4, 6, 5)


def normed(layer, channels=4):
    return settled(nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU()))


def masked_behind(x):
    x = x.clone()
    x[:, torch.ones(SHAPE).tril() > 0] = 0.5
    return x


NETWORKS = {
    "conv": (normed(nn.Conv2d(4, 6, 3, padding=1, groups=2), 6), {"conv2d", "relu"}),
    "conv without bias": (normed(nn.Conv2d(4, 4, 3, bias=False)), {"conv2d", "relu"}),
    "transposed": (normed(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), 6), {"conv_transpose2d", "relu"}),
    "transposed without bias": (normed(nn.ConvTranspose2d(4, 4, 3, bias=False)), {"conv_transpose2d", "relu"}),
    "alone": (settled(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4))), {"relu", "affine"}),
    "without weights": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, affine=False)).eval(), {"conv2d"}),
    "group": (nn.GroupNorm(2, 4), {"moments", "row", "affine"}),
    "instance": (nn.InstanceNorm2d(4, affine=True), {"moments", "row", "affine"}),
    "stored instance": (settled(nn.InstanceNorm2d(4, track_running_stats=True)), {"affine"}),
    "unstored batch": (nn.BatchNorm2d(4, track_running_stats=False), {"moments", "row", "affine"}),
    "whole layer": (nn.LayerNorm(SHAPE), {"moments", "row", "affine", "mul", "add"}),
    "whole layer without weights": (nn.LayerNorm(SHAPE, elementwise_affine=False), {"moments", "row", "affine"}),
    "layer of a vector": (lambda x: F.layer_norm(x.mean((2, 3)), (4,)), {"mean", "layer_norm"}),
    "layer of channels": (lambda x: F.layer_norm(x.movedim(1, 3), (4,)), {"permute", "layer_norm"}),
    "identities": (lambda x: F.dropout(x.clone().detach().contiguous().float(), 0.5, False) + 1, {"add"}),
    "conversion": (lambda x: x.double() * 2, {"_to_copy", "mul"}),
    "pairs": (lambda x: sum(torch.var_mean(x, 1)) + sum(torch.std_mean(x, (1,), correction=0)), None),
    "deviation": (lambda x: x.std(1, unbiased=False) + x.var((1,), keepdim=True, correction=2)[:, 0], None),
    "least and most": (lambda x: sum(torch.aminmax(x, dim=1, keepdim=True)), {"amin", "amax", "add"}),
    "of two": (lambda x: torch.max(x, x * 2) + torch.min(x, x * 3), {"maximum", "minimum", "mul", "add"}),
    "filled": (lambda x: x + torch.zeros(4, 6, 5) + torch.ones_like(x) + torch.full((5,), 3.0), None),
    "reshaped": (lambda x: x.permute(0, 2, 3, 1).reshape(1, 30, 4) * 2, None),
    "two readers": (
        Lambda(lambda m, x: m.n(m.c(x)) + m.c(x), c=nn.Conv2d(4, 4, 1), n=settled(nn.BatchNorm2d(4))),
        None,
    ),
    "a value where a mask is true": (lambda x: x.index_put((x > 0,), torch.tensor(0.25)), None),
    "a vector where a mask without channels is true": (
        lambda x: x.movedim(1, 3).index_put((x[:, 0] > 0,), torch.arange(4.0)),
        None,
    ),
    "a mask behind the batch": (masked_behind, None),
    "weight norm": (settled(weight_norms()), None),
}


@cache
def graphs():
    networks = {name: network for name, (network, _) in NETWORKS.items() if name != "weight norm"}
    for network in networks.values():
        if isinstance(network, nn.Module):
            for parameter in network.parameters():  # norms begin as identities, which would hide a lost weight
                parameter.data += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    return graphs_of(networks, SHAPE)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "weight norm"])
def test_the_same_function_in_fewer_kinds_of_operators(name):
    graph, (network, kinds) = graphs()[name], NETWORKS[name]
    network = network.eval() if isinstance(network, nn.Module) else network_of(network)
    x = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(run_graph(graph, x)[graph.output], network(x), atol=1e-5, rtol=1e-4)
    assert [op.index for op in graph.ops] == list(range(len(graph.ops)))
    used = {op.kind for op in graph.ops} - {"input", "constant"}
    assert kinds is None or used == kinds


def test_kinds_after_lowering():
    def kinds(name):
        return {op.kind for op in graphs()[name].ops} - {"input", "constant"}

    assert kinds("pairs") == {"var", "std", "mean", "add"}
    assert "filled" in kinds("filled")
    assert "view" in kinds("reshaped")
    assert not kinds("reshaped") & {"reshape", "_unsafe_view"}
    assert all(op.item is None for name in ("pairs", "least and most") for op in graphs()[name].ops)


@pytest.mark.parametrize("build", [weight_norms, computed_norms])
def test_computed_weights_are_not_folded(build):
    network = settled(build())
    graph = lower(export_graph(network, (2, 8, 8)))
    x = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(run_graph(graph, x)[graph.output], network(x), atol=1e-5, rtol=1e-4)


def test_without_folding_the_convolution_keeps_its_weight():
    network = normed(nn.Conv2d(4, 4, 1))
    graph = lower(export_graph(network, SHAPE), fold=False)
    assert {op.kind for op in graph.ops} - {"input", "constant"} == {"conv2d", "affine", "relu"}
    x = torch.randn(1, *SHAPE)
    torch.testing.assert_close(run_graph(graph, x)[graph.output], network(x), atol=1e-5, rtol=1e-4)


def read_twice(m, x):
    x = m.c(x)
    return m.n(x) + x


def test_a_convolution_with_two_readers_is_not_folded():
    network = Lambda(read_twice, c=nn.Conv2d(4, 4, 1), n=settled(nn.BatchNorm2d(4)))
    assert "affine" in {op.kind for op in lower(export_graph(network, SHAPE)).ops}


def test_a_batch_of_several_images_keeps_its_norm():
    graph = lower(export_graph(network_of(lambda x: F.group_norm(x.repeat(2, 1, 1, 1), 2)), SHAPE))
    assert "moments" not in {op.kind for op in graph.ops}


def test_what_the_output_does_not_need_is_left_out():
    def op(index, *inputs, kind="add"):
        return Op(
            index, kind, "", (1,), torch.float32, None, tuple(Ref(i) for i in inputs), {"w": [Ref(i) for i in inputs]}
        )

    graph = Graph((op(0, kind="input"), op(1, 0), op(2), op(3, 2), op(4, 0, 3), op(5, 4)), 4, "net")
    pruned = prune(graph)
    assert [o.inputs for o in pruned.ops] == [(), (), (1,), (0, 2)]
    assert [o.index for o in pruned.ops] == [0, 1, 2, 3]
    assert pruned.output == 3
    assert [o.kwargs["w"] for o in pruned.ops][3] == [Ref(0), Ref(2)]
    alone = prune(Graph(graph.ops, 3, "net"))
    assert alone.ops[0].kind == "input"
    assert alone.output == 2


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_moments_are_those_of_group_norm(groups):
    x, weight, bias = torch.randn(1, 4, 6, 5), torch.randn(4), torch.randn(4)
    scale, shift = moments(x, groups, weight, bias, 1e-5)
    expected = F.group_norm(x, groups, weight, bias)
    torch.testing.assert_close(x * per_channel(scale, x) + per_channel(shift, x), expected, atol=1e-5, rtol=1e-4)


def test_scale_and_shift_by_hand():
    table = scale_and_shift(torch.tensor([2.0, 3.0]), torch.tensor([3.0, 15.0]), 4, torch.full((4,), 5.0), None, 1.0)
    assert table.tolist() == [[2.5, 2.5, 1.25, 1.25], [-5.0, -5.0, -3.75, -3.75]]
    shifted = scale_and_shift(torch.zeros(1), torch.ones(1), 1, None, torch.ones(1), 0.0)
    assert shifted.tolist() == [[1.0], [1.0]]


def test_a_filled_value_takes_one_number():
    value = filled((3, 4), 2.0, torch.float32, torch.device("cpu"))
    assert value.untyped_storage().nbytes() == 4
    assert value.tolist() == [[2.0] * 4] * 3
