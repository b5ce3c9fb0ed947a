"""Clips made of one labelled frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.data.feed.dreams import Dreaming, Still, dream, painted_over
from atrous.labels import IGNORE

HOW = Dreaming((48, 64), (1.0, 1.0), rotate=0.0, flip=False)


@pytest.fixture
def still():
    """A bright square on a dark slope."""
    frame = np.broadcast_to(np.linspace(10, 60, 64, dtype=np.float32), (3, 48, 64)).copy()
    labels = np.zeros((48, 64), np.uint8)
    labels[16:32, 24:40] = 1
    frame[:, labels > 0] = 200
    return Still.of(frame, labels)


def test_the_background_is_painted_over_by_what_surrounds_the_object(still):
    slope = np.linspace(10, 60, 64)
    np.testing.assert_allclose(still.background[:, :, :20], still.frame[:, :, :20])
    assert np.abs(still.background - slope).max() < 15
    whole = painted_over(still.frame, np.ones((48, 64), bool))
    assert np.ptp(whole) == 0


def test_labels_lie_where_the_object_is_drawn(still):
    seen = []
    for seed in range(12):
        clip, labels = dream(np.random.default_rng(seed), still, replace(HOW, scale=(0.8, 1.4), rotate=20.0, flip=True))
        assert clip.shape == (3, 2, 48, 64)
        assert labels.shape == (2, 48, 64)
        assert labels.dtype == torch.int64
        bright = clip[0] > 130
        assert (bright != (labels == 1)).float().mean() < 0.02
        seen.append(labels)
    areas = torch.stack(seen).sum((2, 3)).float()
    assert (areas[:, 0] != areas[:, 1]).any()  # it moves between the frames
    assert areas.std() > 10


def test_a_seed_says_everything(still):
    one, other = (dream(np.random.default_rng(5), still, HOW) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])


def test_true_motion_is_used_where_another_frame_is_known(still):
    known = replace(still, before=np.full((3, 48, 64), 77, np.float32))
    clips = [dream(np.random.default_rng(seed), known, HOW) for seed in range(20)]
    true = [(clip, labels) for clip, labels in clips if (clip[:, 0] == 77).all()]
    assert 4 < len(true) < 16
    for clip, labels in true:
        assert (labels[0] == IGNORE).all()
        assert ((clip[0, 1] > 130) == (labels[1] == 1)).float().mean() > 0.98


def test_what_nobody_knows_stays_void_and_a_frame_without_object_is_refused(still):
    labels = still.labels.copy()
    labels[:, :6] = IGNORE
    _, dreamed = dream(np.random.default_rng(1), Still.of(still.frame, labels), replace(HOW, crop=(48, 64)))
    assert (dreamed == IGNORE).any()
    with pytest.raises(ValueError, match="no pixel"):
        Still.of(still.frame, np.where(labels == 1, 0, labels))
