import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from atrous.labels import IGNORE
from atrous.tasks.stranded import FRAMES, Stranded
from atrous.tasks.stranded_metrics import StrandedMetrics
from atrous.tasks.task import Task

CLASSES = ("CDS+", "CDS-", "tRNA+", "tRNA-")


def test_it_keeps_the_protocol():
    assert isinstance(Stranded(CLASSES), Task)
    assert Stranded(CLASSES).out_channels == 4
    assert Stranded(CLASSES, frames=True).out_channels == 4 + FRAMES
    with pytest.raises(ValueError, match="8 channels"):
        Stranded(tuple(f"{i}{s}" for i in range(4) for s in "+-"))


@given(st.lists(st.integers(0, 15), min_size=1, max_size=40), st.booleans())
@settings(deadline=None)
def test_decode_gives_back_the_sets_that_outputs_say(sets, frames):
    task = Stranded(CLASSES, frames=frames)
    bits = torch.tensor([[value >> k & 1 for value in sets] for k in range(4)])
    output = torch.cat([bits * 8.0 - 4, torch.full((task.out_channels - 4, len(sets)), 9.0)])[None]
    assert task.decode(output).tolist() == [sets]
    assert task.decode(output).dtype == torch.uint8
    assert task.probabilities(output).shape == (1, 4, len(sets))


def test_the_threshold_decides():
    output = torch.logit(torch.tensor([[[0.3, 0.5, 0.7]], [[0.3, 0.5, 0.7]]])).reshape(1, 2, 3)
    assert Stranded(("a+", "a-"), threshold=0.6).decode(output).tolist() == [[0, 0, 3]]
    assert Stranded(("a+", "a-"), threshold=0.2).decode(output).tolist() == [[3, 3, 3]]


def test_cross_entropy_is_that_of_torch_over_the_bases_that_count():
    torch.manual_seed(0)
    target = torch.tensor([[0, 1, 3, IGNORE, 4]])
    output = torch.randn(1, 4, 5)
    kept = [0, 1, 2, 4]
    truth = torch.tensor([[v >> k & 1 for v in (0, 1, 3, 4)] for k in range(4)], dtype=torch.float32)
    want = F.binary_cross_entropy_with_logits(output[0][:, kept], truth, reduction="sum") / 4
    assert Stranded(CLASSES, dice=0).loss(output, target).item() == pytest.approx(want.item(), rel=1e-6)
    moved = output.clone()
    moved[..., 3] += 100
    assert Stranded(CLASSES).loss(moved, target).item() == pytest.approx(Stranded(CLASSES).loss(output, target).item())
    void = torch.full((1, 5), IGNORE)
    assert Stranded(CLASSES).loss(output, void).item() == 0


def test_frames_are_learned_from_the_high_byte():
    task = Stranded(("CDS+", "CDS-"), dice=0, frames=True)
    plus = torch.tensor([0, 1, 2, 3])
    target = ((plus.clamp(max=1)) | plus << 8)[None]
    right = torch.full((1, 8, 4), -20.0)
    right[0, 0, 1:] = 20
    for position, row in ((1, 2), (2, 4), (3, 6)):
        right[0, row, position] = 20
    assert task.loss(right, target).item() < 1e-6
    wrong = right.clone()
    wrong[0, [2, 4]] = right[0, [4, 2]]
    assert task.loss(wrong, target).item() > 5
    minus = target & 0xFF | plus << 10
    assert task.loss(right, minus).item() > 5


def brute(probabilities, target, threshold=0.5):
    counts = np.zeros((3, len(probabilities)), int)
    for k, row in enumerate(probabilities):
        for value, label in zip(row, target, strict=True):
            if label & 255 == IGNORE:
                continue
            real, found = label >> k & 1, value >= threshold
            counts[:, k] += (real and found, real, found)
    return counts


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_counts_are_those_of_a_loop(data):
    length = data.draw(st.integers(1, 30))
    target = data.draw(st.lists(st.sampled_from([0, 1, 2, 3, 255, 0x101, 0xEFF]), min_size=length, max_size=length))
    cells = st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=length, max_size=length)
    probabilities = [data.draw(cells) for _ in range(2)]
    metrics = StrandedMetrics(("a+", "a-"))
    metrics.update("x", torch.tensor(probabilities), torch.tensor(target))
    scores = metrics.result(0.0)
    want = brute(probabilities, target)
    np.testing.assert_array_equal(scores.counts, want)
    hits, real, given_ = want.sum(1)
    f1 = scores.features["a"]["f1"]
    assert math.isnan(f1) if real + given_ == 0 else f1 == pytest.approx(2 * hits / (real + given_))


def test_figures_by_hand():
    metrics = StrandedMetrics(("a+", "a-"), logits=True)
    #  truth          +   +   -   both void none
    target = torch.tensor([1, 1, 2, 3, 255, 0], dtype=torch.int32)
    logits = torch.tensor([[1.0, -1, 1, 1, 9, -1], [-1.0, -1, 1, 1, 9, -1]])
    metrics.update("x", logits, target)
    scores = metrics.result(1.0)
    assert scores.counts.tolist() == [[2, 2], [3, 2], [3, 2]]
    assert scores.pixel_accuracy == pytest.approx(3 / 5)
    assert scores.features["a"] == {"precision": 4 / 5, "recall": 4 / 5, "f1": 4 / 5}
    assert scores.iou.tolist() == [pytest.approx(2 / 4), 1.0]
    assert scores.frequency.tolist() == [3 / 5, 2 / 5]
    found = json.loads(json.dumps(scores.to_dict()))
    assert found["features"]["a"]["f1"] == pytest.approx(0.8)
    assert "stranded, per base: F1 0.8000" in scores.text()


def test_mistakes_are_named():
    metrics = StrandedMetrics(("a+", "a-"))
    with pytest.raises(ValueError, match="truth"):
        metrics.update("x", torch.zeros(2, 4), torch.zeros(5, dtype=torch.int64))
    with pytest.raises(ValueError, match="not finite"):
        metrics.update("x", torch.full((2, 4), torch.nan), torch.zeros(4, dtype=torch.int64))
    metrics.update("x", torch.zeros(2, 4), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match="counted before"):
        metrics.update("x", torch.zeros(2, 4), torch.zeros(4, dtype=torch.int64))
