"""Two encoders side by side: of the frame, and of its motion."""

import pytest
import torch

from atrous.encoders.encoder import Plain
from atrous.encoders.lite import efficientnet_lite0
from atrous.encoders.moving import WithMotion
from atrous.encoders.resnet import ResNet
from atrous.encoders.shrunk import Shrunk


@pytest.mark.parametrize(
    "encoder",
    [
        lambda: ResNet(2, 3, depth=10, width=8),
        lambda: efficientnet_lite0(pretrained=False),
        lambda: Plain(2, 3, width=8),
    ],
)
def test_every_level_has_the_features_of_both(encoder):
    frame = encoder()
    both = WithMotion(frame, width=8).eval()
    assert both.strides == frame.strides
    assert both.channels[0] == frame.channels[0] + 8
    x = torch.rand(2, 6, 64, 96)
    levels = both(x)
    assert [level.shape[1] for level in levels] == list(both.channels)
    assert [tuple(level.shape[2:]) for level in levels] == [(64 // s, 96 // s) for s, _ in both.strides]
    alone = frame.eval()(x[:, :3])[-1]  # comes first
    torch.testing.assert_close(levels[-1][:, : frame.channels[-1]], alone)


def test_without_a_frame_before_the_motion_is_that_of_a_still_frame():
    both, frame = WithMotion(ResNet(2, 3, depth=10, width=8), width=8).eval(), torch.rand(1, 3, 64, 64)
    unknown, still = both(torch.cat([frame, torch.zeros_like(frame)], 1)), both(torch.cat([frame, frame], 1))
    for one, other in zip(unknown, still, strict=True):
        torch.testing.assert_close(one, other, atol=0.05, rtol=0.05)


def test_in_training_either_is_hidden_at_times():
    torch.manual_seed(0)
    both, x = WithMotion(ResNet(2, 3, depth=10, width=8), width=8).train(), torch.rand(64, 6, 32, 32)
    finest = both(x)[0]
    frame, motion = (part.flatten(1).abs().amax(1) == 0 for part in finest.split([8, 8], 1))
    assert 5 < frame.sum() < 30
    assert 0 < motion.sum() < 20
    assert not torch.equal(frame, motion)


def test_what_cannot_be_joined_is_refused():
    with pytest.raises(ValueError, match="2-D frames"):
        WithMotion(ResNet(3, 3, depth=10, width=8))


def test_shrunk_frames_are_compared_shrunk():
    both = Shrunk(WithMotion(ResNet(2, 3, depth=10, width=8), width=8), 2).eval()
    assert both.in_channels == 6
    assert both(torch.rand(1, 6, 64, 64))[0].shape == (1, 16, 32, 32)
