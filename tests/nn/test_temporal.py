"""Convolutions along time."""

import numpy as np
import pytest
import torch
from torch import nn

from atrous.nn.temporal import AlongTime, factorized, set_frames, to_clip, to_frames


def test_frames_and_clips_undo_each_other():
    x = torch.randn(2, 3, 4, 5, 6)
    assert torch.equal(to_clip(to_frames(x), 4), x)
    assert to_frames(x.contiguous(memory_format=torch.channels_last_3d)).is_contiguous(
        memory_format=torch.channels_last
    )


@pytest.mark.parametrize(("kernel", "causal"), [(3, False), (5, False), (3, True), (4, True)])
def test_it_is_the_sum_over_shifted_frames(kernel, causal):
    layer = AlongTime(3, 4, kernel, causal=causal).double()
    layer.frames = 6
    clips = torch.randn(2, 3, 6, 4, 5, dtype=torch.float64)
    found = to_clip(layer(to_frames(clips)), 6).detach().numpy()
    weight = layer.conv.weight.detach().numpy()[..., 0, 0]
    before = kernel - 1 if causal else kernel // 2
    expected = np.zeros(found.shape)
    for time in range(6):
        for tap in range(kernel):
            if 0 <= time + tap - before < 6:
                expected[:, :, time] += np.einsum("oc,nchw->nohw", weight[:, :, tap], clips[:, :, time + tap - before])
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_causal_one_does_not_see_the_future():
    block = factorized(nn.Conv2d(2, 4, 3, padding=1), causal=True).eval()
    set_frames(block, 5)
    x = torch.randn(1, 2, 5, 6, 6)
    other = x.clone()
    other[:, :, 3:] += 1
    first, second = (to_clip(block(to_frames(clip)), 5) for clip in (x, other))
    assert torch.equal(first[:, :, :3], second[:, :, :3])
    assert not torch.equal(first[:, :, 3], second[:, :, 3])


def test_kernels_without_a_middle_are_refused():
    with pytest.raises(ValueError, match="give an odd one"):
        AlongTime(2, 2, 4)
    with pytest.raises(ValueError, match="cannot be added"):
        AlongTime(2, 3, residual=True)
