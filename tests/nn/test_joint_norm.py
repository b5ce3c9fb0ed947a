"""Joint batch norm against torch's batch norm on the whole batch, in float64."""

import pytest
import torch
from torch import nn

from atrous.data.feed.batches import share
from atrous.nn.joint_norm import joint_norms
from atrous.ranks import joined
from tests.ranks import play_ranks


def run(norm, x, gradient):
    x = x.clone().requires_grad_()
    y = norm(x)
    y.backward(gradient)
    return y.detach(), x.grad


@pytest.mark.parametrize("options", [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}])
@pytest.mark.parametrize("shape", [(5, 3, 4, 6), (5, 3)])
def test_the_parts_are_normalized_as_the_whole(options, shape, monkeypatch):
    torch.manual_seed(0)
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    x, gradient = (torch.randn(2, *shape, dtype=torch.float64) * 3 + 100).unbind()
    whole = kind(3, **options).double()
    weights = [nn.init.normal_(weight) for weight in whole.parameters()]
    norms = [kind(3, **options).double() for _ in range(2)]
    for norm in norms:
        norm.load_state_dict(whole.state_dict())
    want = [run(whole, part, gradient) for part in (x, x + 1)][-1]

    def work(group):
        numbers = share(len(x), group.rank, group.count)
        place = slice(numbers.start, numbers.stop)
        with joint_norms(), joined(group):
            return [run(norms[group.rank], part[place], gradient[place]) for part in (x, x + 1)][-1]

    got = play_ranks(monkeypatch, 2, work)
    for number in range(2):
        torch.testing.assert_close(torch.cat([part[number] for part in got]), want[number], rtol=1e-9, atol=1e-9)
    for norm in norms:
        for name, value in whole.named_buffers():
            torch.testing.assert_close(norm.get_buffer(name), value, rtol=1e-9, atol=1e-9)
    for number in range(len(weights)):
        parts = [list(norm.parameters())[number].grad for norm in norms]
        torch.testing.assert_close(sum(parts), weights[number].grad, rtol=1e-9, atol=1e-9)


def test_alone_and_in_evaluation_norms_are_torchs(monkeypatch):
    norm, x = nn.BatchNorm2d(3), torch.randn(2, 3, 4, 4)
    with joint_norms():
        alone = nn.BatchNorm2d(3)(x)
    torch.testing.assert_close(alone, nn.BatchNorm2d(3)(x))
    norm.eval()

    def work(group):
        with joint_norms(), joined(group):
            return norm(x)

    assert all(torch.equal(y, norm(x)) for y in play_ranks(monkeypatch, 2, work))
