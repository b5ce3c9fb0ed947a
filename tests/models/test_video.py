"""Networks for video: they start as the 2-D network, and stream."""

import numpy as np
import pytest
import torch

from atrous.encoders.lite import efficientnet_lite0
from atrous.encoders.moving import WithMotion
from atrous.encoders.resnet import ResNet
from atrous.models.fcn import fcn
from atrous.models.unet import unet
from atrous.models.video import VideoNetwork
from atrous.nn.temporal import AlongTime
from atrous.stream.prepare import prepare
from atrous.stream.session import Session
from atrous.stream.stream import stream

CLIP = torch.randn(1, 3, 6, 40, 45, generator=torch.Generator().manual_seed(0))


def picture():
    torch.manual_seed(0)
    return fcn(ResNet(2, 3, depth=10, width=8), 2, width=16, mean=[1.0] * 3, std=[2.0] * 3).eval()


def shaken(network):
    """With weights along time that are not zero."""
    for module in network.modules():
        if isinstance(module, AlongTime):
            torch.nn.init.normal_(module.conv.weight, std=0.2)
    return network.eval()


@pytest.mark.parametrize("temporal", ["frames", "levels"])
def test_it_starts_as_the_network_for_pictures(temporal):
    network = VideoNetwork(picture(), temporal).eval()
    each = torch.stack([picture()(CLIP[:, :, time]) for time in range(6)], 2)
    torch.testing.assert_close(network(CLIP), each, atol=1e-5, rtol=1e-4)


def test_pretrained_features_stay_what_they_are():
    torch.manual_seed(0)
    flat = fcn(efficientnet_lite0(pretrained=False), 2, width=16).eval()
    clip = CLIP[:, :, :2, :32, :32]
    each = torch.stack([flat(clip[:, :, time]) for time in range(2)], 2)
    torch.testing.assert_close(VideoNetwork(flat, "levels").eval()(clip), each, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("temporal", ["levels", "blocks"])
@pytest.mark.parametrize("causal", [False, True])
def test_streamed_along_time_equals_whole(temporal, causal):
    network = shaken(VideoNetwork(picture(), temporal, causal=causal))
    whole = network(CLIP)[0].detach().numpy()
    found = stream(network, CLIP[0].numpy(), axis=0, strip=2, strategy="strips")
    assert np.abs(found - whole).max() <= 5e-5 * np.abs(whole).max()


@pytest.mark.slow
def test_a_causal_network_answers_every_frame_at_once():
    network = shaken(VideoNetwork(picture(), "levels", causal=True))
    whole = network(CLIP)[0].detach().numpy()
    session = Session(network, (3, None, 40, 45))
    assert session.latency == 0
    answers = [session.push(CLIP[0, :, time : time + 1].numpy()) for time in range(6)]
    assert [answer.shape[1] for answer in answers] == [1] * 6
    assert session.close().shape[1] == 0
    np.testing.assert_allclose(np.concatenate(answers, 1), whole, atol=5e-5 * np.abs(whole).max())


def test_a_network_that_looks_ahead_waits_so_many_frames():
    network = shaken(VideoNetwork(picture(), "levels", kernel=5))
    assert Session(network, (3, None, 40, 45)).latency == 2


def moving():
    torch.manual_seed(0)
    small = fcn(WithMotion(ResNet(2, 3, depth=10, width=8), width=4), 2, width=16, mean=[1.0] * 3, std=[2.0] * 3)
    return shaken(VideoNetwork(small, "levels", causal=True, motion=True))


def test_a_network_that_sees_motion_is_cut_along_time_alone():
    network, clip = moving(), CLIP[..., :24, :33].contiguous()
    ready = prepare(network, (3, 6, 24, 33))
    assert sorted(ready.axes) == [0]
    assert "whole frames" in str(ready.refused[1])
    whole = network(clip)[0].detach().numpy()
    found = stream(ready, clip[0].numpy(), axis=0, strip=2, strategy="strips")
    assert np.abs(found - whole).max() <= 5e-5 * np.abs(whole).max()


@pytest.mark.slow
def test_a_network_that_sees_motion_answers_every_frame_at_once():
    network, clip = moving(), CLIP[..., :24, :33].contiguous()
    whole = network(clip)[0].detach().numpy()
    session = Session(network, (3, None, 24, 33))
    assert session.latency == 0
    answers = [session.push(clip[0, :, time : time + 1].numpy()) for time in range(6)]
    assert [answer.shape[1] for answer in answers] == [1] * 6
    np.testing.assert_allclose(np.concatenate(answers, 1), whole, atol=5e-5 * np.abs(whole).max())


def test_motion_is_that_between_a_frame_and_the_one_before():
    network, clip = moving(), CLIP[..., :24, :33].contiguous()
    other = clip.clone()
    other[:, :, 3] = other[:, :, 3].flip(-1)
    changed = (network(clip) - network(other)).abs().amax((0, 1, 3, 4)) > 1e-6
    assert changed.tolist()[:4] == [False, False, False, True]  # causal
    assert network(clip[:, :, :1]).shape == (1, 2, 1, 24, 33)
    with pytest.raises(ValueError, match=r"\(N, 3, T, H, W\)"):
        network(torch.zeros(1, 6, 2, 24, 33))


def test_every_decoder_serves_and_supervises():
    network = VideoNetwork(unet(ResNet(2, 3, depth=10, width=8), 3, width=8, deep_supervision=True), "blocks")
    outputs = network.train()(CLIP)
    assert isinstance(outputs, list)
    assert {tuple(output.shape) for output in outputs} == {(1, 3, 6, 40, 45)}
    assert network.ndim == 3


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(N, 3, T, H, W\)"):
        VideoNetwork(picture(), "frames")(CLIP[0])
    with pytest.raises(ValueError, match="made of one for pictures"):
        VideoNetwork(fcn(ResNet(3, 3, depth=10, width=8), 2, width=16), "frames")
