"""A live session gives, piece by piece, what one forward pass on everything would."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.errors import UserError
from atrous.stream import Refused, Session
from atrous.stream import session as session_module
from tests import toy_models
from tests.toy_models import difference, settled


def play(session: Session, x: torch.Tensor, sizes: list[int], axis: int = 0) -> tuple[torch.Tensor, list[int]]:
    parts, at = [], 0
    for n in sizes:
        parts.append(session.push(x.narrow(1 + axis, at, n).numpy()))
        at += n
    assert at == x.shape[1 + axis]
    parts.append(session.close())
    return torch.from_numpy(np.concatenate(parts, 1 + axis)), [p.shape[1 + axis] for p in parts]


@pytest.mark.parametrize("length", [64, 61, 7])
@pytest.mark.parametrize("open_ended", [True, False])
def test_pieces_join_to_the_whole_answer(length, open_ended):
    network = settled(toy_models.unet(1))
    x = torch.randn(2, length, generator=torch.Generator().manual_seed(3))
    session = Session(network, (2, None if open_ended else length))
    found, _ = play(session, x, [1] * (length % 5) + [5] * (length // 5))
    with torch.inference_mode():
        wanted = network(x[None])[0]
    assert found.shape == wanted.shape
    assert difference(found, wanted) <= 5e-5


def test_latency_is_kept():
    network = settled(toy_models.unet(1))
    session = Session(network, (2, None))
    given = 0
    for pushed in range(1, 200):
        given += session.push(np.zeros((2, 1), np.float32)).shape[1]
        assert given >= pushed - session.latency - 1
        assert len(session._tail[0]) < 120


def test_video_along_time():
    network = settled(nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 3, 3, padding=1)))
    x = torch.randn(2, 9, 6, 5, generator=torch.Generator().manual_seed(3))
    session = Session(network, (2, None, 6, 5), post="argmax")
    parts = [session.push(x[:, t : t + 1].numpy()) for t in range(9)] + [session.close()]
    with torch.inference_mode():
        wanted = network(x[None])[0].argmax(0)
    assert [p.shape[0] for p in parts] == [0, 0, *[1] * 7, 2]
    assert np.array_equal(np.concatenate(parts), wanted.numpy())


def causal() -> nn.Module:
    """Padded on both sides, cropped at the end: what a temporal network does to see the past only."""
    return toy_models.Lambda(
        lambda m, x: m.b(nn.functional.relu(m.a(x)[:, :, 1:-4]))[:, :, :-2],
        a=nn.Conv1d(2, 4, 3, padding=4, dilation=2),
        b=nn.Conv1d(4, 3, 3, padding=2),
    )


@pytest.mark.parametrize("length", [61, 7])
@pytest.mark.parametrize("open_ended", [True, False])
def test_rows_that_a_crop_takes_away_are_not_given_out(length, open_ended):
    network, x = settled(causal()), torch.randn(2, length, generator=torch.Generator().manual_seed(3))
    found, _ = play(Session(network, (2, None if open_ended else length)), x, [1] * length)
    with torch.inference_mode():
        wanted = network(x[None])[0]
    assert found.shape == wanted.shape
    assert difference(found, wanted) <= 5e-5


def centered(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Pads in front by what the length lacks to a multiple of the stride."""
    return m.a(nn.functional.pad(x, (-x.shape[2] % 4, 0)))


def test_networks_that_read_the_length_want_it_told():
    x = torch.randn(2, 24, 5, generator=torch.Generator().manual_seed(3))
    network = settled(toy_models.coordinates())
    with pytest.raises(Refused, match="true length"):
        Session(network, (2, None, 5))
    found, _ = play(Session(network, (2, 24, 5)), x, [5, 5, 5, 9])
    with torch.inference_mode():
        assert difference(found, network(x[None])[0]) <= 5e-5
    session = Session(toy_models.Lambda(centered, a=nn.Conv1d(2, 3, 3, stride=4, padding=1)), (2, None))
    session.push(x[:, :21, 0].numpy())
    with pytest.raises(UserError, match="true length"):
        session.close()


def test_a_session_of_unknown_length_has_no_end():
    session, rows = Session(nn.Conv1d(1, 1, 3, padding=1), (1, None)), np.ones((1, 2**18), np.float32)
    assert sum(session.push(rows).shape[1] for _ in range(5)) == 5 * 2**18 - 1


@pytest.mark.parametrize("length", [400, 403])
def test_rows_counted_anew_are_the_same(length, monkeypatch):
    monkeypatch.setattr(session_module, "RENUMBER_AT", 100)
    monkeypatch.setattr(session_module, "RENUMBERED", 70)
    network, x = settled(toy_models.unet(1)), torch.randn(2, length, generator=torch.Generator().manual_seed(3))
    session = Session(network, (2, None))
    found, _ = play(session, x, [5] * (length // 5) + [1] * (length % 5))
    assert session._pushed <= 105
    with torch.inference_mode():
        assert difference(found, network(x[None])[0]) <= 5e-5


@pytest.mark.parametrize("factor", [3, 1.3, 0.4])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resizes_by_a_factor_need_no_length(mode, factor):
    network = toy_models.chain(1, lambda x: F.interpolate(x, scale_factor=factor, mode=mode)).eval()
    x = torch.randn(2, 90, generator=torch.Generator().manual_seed(3))
    found, _ = play(Session(network, (2, None)), x, [9] * 10)
    assert difference(found, network(x[None])[0].detach()) <= 5e-5


@pytest.mark.parametrize(
    "resize",
    [
        lambda x: F.interpolate(x, scale_factor=2, mode="linear", align_corners=True),
        lambda x: F.interpolate(x, size=x.shape[2] * 3 // 7),
        lambda x: x + F.interpolate(torch.ones(1, 4, 5) * 2, size=x.shape[2], mode="linear"),
    ],
)
def test_resizes_that_follow_from_the_length_want_it_told(resize):
    network = toy_models.chain(1, resize)
    with pytest.raises(Refused, match="true length"):
        Session(network, (2, None))
    assert Session(network, (2, 40)).latency


def test_causal_networks_wait_for_their_crops():
    session = Session(causal(), (2, None))
    given = session.push([[1.0], [2.0]]).shape[1]  # a list, or a tensor that requires a gradient
    for pushed in range(2, 60):
        given += session.push(torch.ones(2, 1, requires_grad=True)).shape[1]
        assert given == max(0, pushed - session.latency)


def test_a_network_without_multiplications_closes():
    session = Session(nn.AvgPool1d(5, 1, 2), (1, None), axis=-1)
    x = torch.randn(1, 3000, generator=torch.Generator().manual_seed(3))
    found, _ = play(session, x, [100] * 30)
    assert difference(found, F.avg_pool1d(x, 5, 1, 2)) <= 5e-5
    with pytest.raises(UserError, match="axis=1: the input has 1"):
        Session(nn.AvgPool1d(5, 1, 2), (1, None), axis=1)


def test_mistakes_are_named():
    with pytest.raises(Refused, match="live session"):
        Session(nn.Sequential(nn.Conv1d(2, 4, 3), nn.GroupNorm(2, 4)), (2, None))
    session = Session(nn.Conv1d(2, 4, 3), (2, 10))
    with pytest.raises(UserError, match="do not fit"):
        session.push(np.zeros((3, 4), np.float32))
    with pytest.raises(UserError, match="longer shape"):
        session.push(np.zeros((2, 11), np.float32))
    session.push(np.zeros((2, 10), np.float32))
    session.close()
    with pytest.raises(UserError, match="closed"):
        session.push(np.zeros((2, 1), np.float32))


@pytest.mark.parametrize("mode", ["replicate", "reflect"])
@pytest.mark.parametrize("padding", [(2, 0), (1, 1)])
def test_padding_that_copies_rows_does_not_wait_for_the_end(mode, padding):
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(2, 3, 3)

        def forward(self, x):
            return self.conv(F.pad(x, padding, mode=mode))

    network, signal = Padded().eval(), torch.randn(2, 23)
    session = Session(network, (2, None))
    found = [session.push(signal[:, i : i + 5].numpy()) for i in range(0, 23, 5)]
    assert [rows.shape[1] for rows in found] == [5 - padding[1], 5, 5, 5, 3]
    found.append(session.close())
    whole = network(signal[None])[0].detach().numpy()
    np.testing.assert_allclose(np.concatenate(found, 1), whole, atol=1e-5)
