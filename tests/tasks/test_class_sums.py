"""Sums over positions against sums that are written down plainly, and their gradient against numeric ones."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.labels import IGNORE
from atrous.tasks import class_sums as module
from atrous.tasks.class_sums import class_sums
from atrous.tasks.cross_entropy import CrossEntropyOptions, border_weights

OPTIONS = [
    CrossEntropyOptions(),
    CrossEntropyOptions(smoothing=0.2),
    CrossEntropyOptions(focal=2.0),
    CrossEntropyOptions(0.1, 0.5, 1.5),
]


def drawn(seed, size, classes=4, samples=2):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(3 * rng.normal(size=(samples, classes, *size)))
    target = torch.from_numpy(rng.integers(0, classes, (samples, *size)))
    target[torch.from_numpy(rng.random((samples, *size)) < 0.2)] = IGNORE
    return logits, target


def plain_sums(logits, target, class_weights, options, *, dice):
    """The sums by their definitions, one class after the other, for autograd to differentiate."""
    p, counted = logits.softmax(1), (target != IGNORE).double()
    classes = p.shape[1]
    hot = torch.stack([(target == k).double() for k in range(classes)], 1)
    weight = counted if options.boundary == 0 else border_weights(target, options.boundary).double()
    if class_weights is not None:
        weight = weight * sum(hot[:, k] * class_weights[k] for k in range(classes))
    true = (hot * p).sum(1) + (1 - counted)
    loss = -(1 - options.smoothing) * true.log() - options.smoothing * p.log().mean(1)
    loss = (1 - true + (1 - counted)) ** options.focal * loss
    entropy = torch.stack([(weight * loss).sum(), weight.sum()])
    if not dice:
        return entropy
    axes = [0, *range(2, p.ndim)]
    kept = p * counted[:, None]
    return torch.cat([entropy, (kept * hot).sum(axes), kept.sum(axes), hot.sum(axes)])


@pytest.mark.parametrize("size", [(11,), (5, 6), (3, 4, 5)])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dice", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_and_their_gradient_are_those_of_the_definition(size, options, dice, weighted):
    logits, target = drawn(0, size)
    logits.requires_grad_()
    weights = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64) if weighted else None
    found = class_sums(logits, target, weights, options, dice=dice)
    wanted = plain_sums(logits, target, weights, options, dice=dice)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    by = torch.from_numpy(np.random.default_rng(1).normal(size=len(found)))
    got, true = (torch.autograd.grad(sums, logits, by)[0] for sums in (found, wanted))
    torch.testing.assert_close(got, true, rtol=1e-9, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 3), st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_blocks_of_any_size_give_the_same(seed, block, samples, size):
    logits, target = drawn(seed, size, samples=samples)
    logits.requires_grad_()
    results = []
    for limit in (module.BLOCK, block):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(module, "BLOCK", limit)
            sums = class_sums(logits, target, None, OPTIONS[3], dice=True)
            results.append((sums, torch.autograd.grad(sums[:6].sum(), logits)[0]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)


def test_every_position_lies_in_one_block():
    logits = torch.zeros(3, 2, 7, 5)
    for limit in (1, 20, 70, 150, 10**6):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(module, "BLOCK", limit)
            seen = torch.zeros(3, 7, 5)
            for whole, place in module._blocks(logits):
                seen[place] += 1
                assert logits[whole].shape[2:] == seen[place].shape[1:]
        assert torch.equal(seen, torch.ones(3, 7, 5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_short_types_are_summed_in_float32_and_get_a_gradient_of_their_own_type_and_order(dtype):
    logits, target = drawn(2, (8, 9))
    short = logits.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    sums = class_sums(short, target, None, OPTIONS[0], dice=True)
    wanted = plain_sums(short.detach().double(), target, None, OPTIONS[0], dice=True)
    assert sums.dtype == torch.float32
    torch.testing.assert_close(sums.double(), wanted, rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(sums.sum(), short)
    assert gradient.dtype == dtype
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_no_positions_have_sums_of_zero():
    logits = torch.zeros(0, 3, 4, 4, requires_grad=True)
    sums = class_sums(logits, torch.zeros(0, 4, 4, dtype=torch.int64), None, OPTIONS[0], dice=True)
    assert sums.tolist() == [0.0] * 11
