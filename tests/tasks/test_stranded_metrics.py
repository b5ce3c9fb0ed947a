"""Counts of features on two strands, against a loop over bases and scikit-learn."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from atrous.labels import IGNORE
from atrous.tasks import stranded_metrics
from atrous.tasks.bootstrap import bootstrap_miou
from atrous.tasks.stranded_metrics import StrandedMetrics

CLASSES = ("CDS+", "CDS-", "tRNA+", "tRNA-")


def counts_by_loop(probabilities, target, threshold=0.5):
    """Correct, true and predicted bases of each channel, one base at a time."""
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
    want = counts_by_loop(probabilities, target)
    np.testing.assert_array_equal(scores.counts, want)
    hits, real, given_ = want.sum(1)
    f1 = scores.features["a"]["f1"]
    assert math.isnan(f1) if real + given_ == 0 else f1 == pytest.approx(2 * hits / (real + given_))


def test_metrics_worked_out_by_hand():
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


def sequence(seed, length=60):
    """Probabilities `(4, L)` and labels `(L,)` with some void, the last of the four channels rarely true."""
    rng = np.random.default_rng(seed)
    bits = rng.random((4, length)) < np.array([[0.5], [0.3], [0.4], [0.05]])
    target = (bits * 2 ** np.arange(4)[:, None]).sum(0)
    target[rng.random(length) < 0.1] = IGNORE
    noisy = np.where(rng.random(bits.shape) < 0.2, ~bits, bits)
    return torch.from_numpy(np.where(noisy, 0.8, 0.2)), torch.from_numpy(target)


def measured(sequences):
    metrics = StrandedMetrics(CLASSES)
    for name, (probabilities, target) in sequences.items():
        metrics.update(name, probabilities, target)
    return metrics.result(2.5, tta="reverse complement")


def test_metrics_equal_scikit_learn():
    sequences = {f"s{i}": sequence(i) for i in range(3)}
    scores = measured(sequences)
    target = torch.cat([t for _, t in sequences.values()]).numpy()
    kept = target != IGNORE
    true = (target[kept, None] >> np.arange(4)) & 1
    predicted = (torch.cat([p for p, _ in sequences.values()], 1).numpy() >= 0.5).astype(int).T[kept]
    np.testing.assert_allclose(scores.iou, jaccard_score(true, predicted, average=None))
    np.testing.assert_allclose(scores.precision, precision_score(true, predicted, average=None))
    np.testing.assert_allclose(scores.accuracy, recall_score(true, predicted, average=None))
    np.testing.assert_allclose(scores.dice_per_class, f1_score(true, predicted, average=None))
    assert scores.fwiou == pytest.approx(jaccard_score(true, predicted, average="weighted"))
    assert scores.pixel_accuracy == pytest.approx((true == predicted).all(1).mean())
    np.testing.assert_allclose(scores.frequency, true.mean(0))
    np.testing.assert_array_equal(scores.confusion, true.T @ predicted)
    for feature, rows in (("CDS", [0, 1]), ("tRNA", [2, 3])):
        both = true[:, rows].ravel(), predicted[:, rows].ravel()
        expected = {"precision": precision_score(*both), "recall": recall_score(*both), "f1": f1_score(*both)}
        assert scores.features[feature] == pytest.approx(expected)


def test_the_interval_and_the_miou_of_each_sequence_come_from_its_counts():
    sequences = {f"s{i}": sequence(i) for i in range(4)}
    scores = measured(sequences)
    counts = np.stack([counts_by_loop(*(x.tolist() for x in sequences[name])) for name in sorted(sequences)])
    assert scores.miou_ci95 == pytest.approx(bootstrap_miou(counts))
    for name, (correct, true, predicted) in zip(sorted(sequences), counts, strict=True):
        union = true + predicted - correct
        assert scores.per_image[name] == pytest.approx((correct[true > 0] / union[true > 0]).mean())
    assert (scores.sample, scores.seconds, scores.tta) == ("sequence", 2.5, "reverse complement")
    assert scores.classes == CLASSES
    assert measured(dict(reversed(sequences.items()))).miou_ci95 == scores.miou_ci95


def test_counting_in_pieces_gives_the_same(monkeypatch):
    sequences = {"a": sequence(0), "b": sequence(1, 7)}
    expected = measured(sequences)
    monkeypatch.setattr(stranded_metrics, "PIECE", 7)
    scores = measured(sequences)
    np.testing.assert_array_equal(scores.counts, expected.counts)
    np.testing.assert_array_equal(scores.confusion, expected.confusion)
    assert scores.to_dict() == expected.to_dict()


@pytest.mark.parametrize("threshold", [0.2, 0.6])
def test_logits_have_the_threshold_of_their_probabilities(threshold):
    probabilities = torch.tensor([[0.1, 0.3, 0.5, 0.7, 0.9]] * 2, dtype=torch.float64)
    target = torch.tensor([0, 1, 1, 3, 2])
    results = []
    for logits, output in ((False, probabilities), (True, probabilities.logit())):
        metrics = StrandedMetrics(("a+", "a-"), threshold, logits=logits)
        metrics.update("x", output, target)
        results.append(metrics.result(0.0).counts)
    np.testing.assert_array_equal(results[0], counts_by_loop(probabilities.tolist(), target.tolist(), threshold))
    np.testing.assert_array_equal(*results)


def test_further_channels_are_ignored():
    probabilities, target = sequence(0)
    frames = torch.full((6, probabilities.shape[1]), torch.nan, dtype=probabilities.dtype)
    first, second = StrandedMetrics(CLASSES), StrandedMetrics(CLASSES)
    first.update("x", probabilities, target)
    second.update("x", torch.cat([probabilities, frames]), target)
    assert first.result(0.0).to_dict() == second.result(0.0).to_dict()


def test_metrics_that_are_undefined_are_null():
    metrics = StrandedMetrics(CLASSES)
    metrics.update("x", torch.tensor([[0.9, 0.1], [0.1, 0.1], [0.1, 0.1], [0.1, 0.1]]), torch.tensor([1, IGNORE]))
    scores = metrics.result(0.0)
    content = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert content["precision"] == {"CDS+": 1.0, "CDS-": None, "tRNA+": None, "tRNA-": None}
    assert content["features"]["tRNA"] == {"precision": None, "recall": None, "f1": None}
    assert content["features"]["CDS"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert "pool both strands" in content["conventions"]
    assert list(scores.columns()) == ["F1", "precision", "recall", "IoU", "share"]


def test_only_void_has_no_metrics():
    metrics = StrandedMetrics(("a+", "a-"))
    metrics.update("x", torch.zeros(2, 3), torch.full((3,), IGNORE))
    scores = metrics.result(0.0)
    assert math.isnan(scores.pixel_accuracy)
    assert math.isnan(scores.fwiou)
    assert math.isnan(scores.per_image["x"])
    assert scores.frequency.tolist() == [0, 0]


def test_without_a_sequence_there_is_no_result():
    with pytest.raises(ValueError, match="no sequence was counted"):
        StrandedMetrics(CLASSES).result(0.0)


def test_the_result_does_not_change_with_later_sequences():
    metrics = StrandedMetrics(CLASSES)
    metrics.update("a", *sequence(0))
    scores = metrics.result(0.0)
    before = scores.confusion.copy()
    metrics.update("b", *sequence(1))
    np.testing.assert_array_equal(scores.confusion, before)


def test_too_few_channels_are_refused():
    with pytest.raises(ValueError, match=r"output is \(3, 5\)"):
        StrandedMetrics(CLASSES).update("x", torch.zeros(3, 5), torch.zeros(5, dtype=torch.int64))
