"""Attention: what it computes, against the formula in loops, and that it streams exactly."""

import itertools

import pytest
import torch
from torch import nn

from atrous.nn.attention import LocalAttention, SelectiveKernel, attention
from atrous.stream import prepare, stream
from tests.toy_models import difference

KINDS = ["se", "eca", "spatial", "cbam", "scse", "sk", "local"]
SIZES = {1: (41,), 2: (23, 9), 3: (13, 5, 6)}


def random(module: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.eval()


@pytest.mark.parametrize(("kind", "ndim"), list(itertools.product(KINDS, [1, 2, 3])))
def test_keeps_the_shape_and_streams_exactly(kind, ndim):
    module = random(attention(kind, ndim, 8))
    x = torch.randn(8, *SIZES[ndim])
    with torch.no_grad():
        want = module(x[None])[0]
    assert want.shape == x.shape
    ready = prepare(module, tuple(x.shape))
    found = torch.from_numpy(stream(ready, x.numpy(), axis=0, strip=5))
    assert difference(found, want) <= 5e-5


@pytest.mark.parametrize("kind", KINDS)
def test_only_those_that_see_the_whole_extent_take_a_second_pass(kind):
    from atrous.geometry import certify

    passes = certify(random(attention(kind, 2, 8)), (8, 64, 32)).passes
    assert passes == (1 if kind in ("spatial", "local") else 2)


@pytest.mark.parametrize("heads", [1, 2])
def test_local_attention_is_softmax_over_the_window(heads):
    """Against the definition, position by position, in float64."""
    module = random(LocalAttention(2, 4, window=3, heads=heads)).double()
    x = torch.randn(1, 4, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        found = module(x)
        query, key, value = (part(x)[0] for part in (module.query, module.key, module.value))
        mixed, width = torch.zeros_like(x), 4 // heads
        for head, row, column in itertools.product(range(heads), range(5), range(4)):
            of = slice(head * width, (head + 1) * width)
            scores, values = [], []
            for place, (i, j) in enumerate(itertools.product((-1, 0, 1), repeat=2)):
                if 0 <= row + i < 5 and 0 <= column + j < 4:
                    product = (query[of, row, column] * key[of, row + i, column + j]).sum() / width**0.5
                    scores.append(product + module.bias[head, place])
                    values.append(value[of, row + i, column + j])
            weights = torch.stack(scores).softmax(0)
            mixed[0, of, row, column] = (weights[:, None] * torch.stack(values)).sum(0)
        torch.testing.assert_close(found, x + module.project(mixed))


def test_selective_kernels_are_a_softmax_over_two_branches():
    """Against the definition, in float64: the softmax of two scores, one of which is the reference of zero."""
    module = random(SelectiveKernel(2, 8)).double()
    x = torch.randn(2, 8, 7, 6, dtype=torch.float64)
    with torch.no_grad():
        narrow, wide = module.narrow(x), module.wide(x)
        pooled = (narrow + wide).mean((2, 3), keepdim=True)
        score = module.select.expand(torch.relu(module.select.reduce(pooled)))
        weights = torch.stack([score, torch.zeros_like(score)]).softmax(0)
        torch.testing.assert_close(module(x), weights[0] * narrow + weights[1] * wide)


def test_the_branches_of_selective_kernels_see_three_and_five_positions():
    module, x = random(SelectiveKernel(1, 4)), torch.randn(1, 4, 21, requires_grad=True)
    for branch, seen in ((module.narrow[0], [9, 10, 11]), (module.wide[0], [8, 10, 12])):
        (gradient,) = torch.autograd.grad(branch(x)[0, :, 10].sum(), x)
        assert gradient[0].abs().sum(0).nonzero().flatten().tolist() == seen


def test_local_attention_begins_as_the_identity():
    x = torch.randn(2, 32, 6, 7)
    torch.testing.assert_close(attention("local", 2, 32)(x), x)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="'sea' is not one of"):
        attention("sea", 2, 8)
    with pytest.raises(ValueError, match="window 4 is even"):
        LocalAttention(1, 8, window=4)
    with pytest.raises(ValueError, match="6 channels do not divide into 4 heads"):
        LocalAttention(1, 6, heads=4)
