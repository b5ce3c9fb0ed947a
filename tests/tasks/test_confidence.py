"""Metrics of probabilities, as scikit-learn and torchmetrics compute them on the same numbers."""

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from atrous.labels import IGNORE
from atrous.tasks import confidence
from atrous.tasks.calibration import BINS
from atrous.tasks.confidence import ConfidenceCounter
from atrous.tasks.conformal import LEVELS
from atrous.tasks.uncertainty import normalized_entropy

T = 1.6


def case(seed=0, size=(40, 50), classes=4):
    """Outputs, their calibrated probabilities, and labels of one image, some of them void."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(classes, *size, generator=generator)
    labels = torch.multinomial((logits / 2).softmax(0).flatten(1).T, 1, generator=generator).view(size).to(torch.uint8)
    labels[0] = IGNORE
    return logits, (logits / T).softmax(0), labels


@pytest.mark.parametrize("piece", [1 << 18, 333])
def test_they_are_those_of_scikit_learn_and_torchmetrics(piece, monkeypatch):
    monkeypatch.setattr(confidence, "PIECE", piece)
    cases = [case(0), case(1, (2000,)), case(2, (6, 10, 20))]
    counter = ConfidenceCounter(4, temperature=T)
    for number, (_, p, labels) in enumerate(cases):
        counter.update(str(number), p, labels)
    found = counter.result()
    kept = [labels.flatten() != IGNORE for _, _, labels in cases]
    logits = torch.cat([z.flatten(1)[:, keep].T for (z, _, _), keep in zip(cases, kept, strict=True)])
    y = torch.cat([labels.flatten()[keep] for (_, _, labels), keep in zip(cases, kept, strict=True)]).long()
    p = (logits / T).softmax(1)
    assert found.nll == pytest.approx(log_loss(y, (logits.double() / T).softmax(1)), rel=1e-5)
    one_hot = torch.nn.functional.one_hot(y, 4)
    assert found.brier == pytest.approx(float(((p - one_hot) ** 2).sum(1).mean()), rel=1e-5)
    for reliability, values in ((found.after, p), (found.before, logits.softmax(1))):
        want = multiclass_calibration_error(values.double(), y, num_classes=4, n_bins=BINS, norm="l1")
        assert reliability.ece == pytest.approx(float(want), abs=1e-5)
    assert found.before.ece > found.after.ece
    wrong = p.argmax(1) != y
    assert found.ranking.auroc == pytest.approx(roc_auc_score(wrong, normalized_entropy(p.T)), abs=1e-3)
    assert sum(doubt.errors for doubt in found.doubts.values()) == int(wrong.sum())
    assert found.doubts["1"].positions == int(kept[1].sum())
    assert found.doubts["1"].uncertainty == pytest.approx(
        float(normalized_entropy(cases[1][1])[kept[1]].mean()), rel=1e-5
    )
    assert set(found.to_dict()) >= {"ece_before", "nll", "brier", "auroc_error", "coverage", "set_size", "temperature"}
    assert found.to_dict()["coverage"] is None


def test_many_classes_at_the_hottest_temperature_are_calibrated_back():
    output = 0.1 * torch.randn(250, 50, generator=torch.Generator().manual_seed(0))
    counter = ConfidenceCounter(250, temperature=20.0)
    counter.update("a", (output / 20).softmax(0), torch.zeros(50, dtype=torch.long))
    confidence = counter.result().before.confidence[0]  # of the first bin, in which all positions are
    np.testing.assert_allclose(confidence, output.softmax(0).amax(0).mean(), rtol=1e-4)


def test_of_two_classes_brier_is_twice_that_of_scikit_learn():
    _, p, labels = case(classes=2)
    counter = ConfidenceCounter(2)
    counter.update("a", p, labels)
    keep = labels != IGNORE
    want = brier_score_loss(labels[keep].numpy(), p[1][keep].double().numpy())
    assert counter.result().brier == pytest.approx(2 * want, rel=1e-5)


def test_sets_of_classes_are_counted_class_by_class():
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(3, 900, generator=generator)
    truth = torch.bernoulli((logits / 2).sigmoid(), generator=generator).long()
    labels = (truth << torch.arange(3)[:, None]).sum(0).to(torch.int32) | 0x500  # frames in the high byte
    labels[:10] = IGNORE
    p = (logits / T).sigmoid()
    counter = ConfidenceCounter(3, bits=True, temperature=T, level=0.4)
    counter.update("a", torch.cat([p, torch.rand(6, 900)]), labels)
    found, p, truth = counter.result(), p[:, 10:], truth[:, 10:]
    assert found.nll == pytest.approx(
        np.mean([log_loss(t, q.double()) for t, q in zip(truth, p, strict=True)]), rel=1e-5
    )
    assert found.brier == pytest.approx(float(((p - truth) ** 2).mean()), rel=1e-5)
    for reliability, values in ((found.after, p), (found.before, logits[:, 10:].sigmoid())):
        top = torch.maximum(values, 1 - values).flatten().double()
        right = ((values >= 0.5) == truth.bool()).flatten().long()
        assert reliability.ece == pytest.approx(float(binary_calibration_error(top, right, n_bins=BINS)), abs=1e-5)
    wrong = ((p >= 0.4) != truth.bool()).any(0)
    assert found.doubts["a"].errors == int(wrong.sum())
    want = roc_auc_score(wrong, normalized_entropy(p, bits=True))
    assert found.ranking.auroc == pytest.approx(want, abs=1e-3)
    assert found.misses == ()


def test_coverage_is_the_mean_over_images_and_over_groups():
    threshold = float(LEVELS[1100])
    cases = {"a": case(0), "b": case(1, (300,)), "c": case(2)}
    groups = {"a": "p", "b": "p", "c": "q"}
    counters = {unit: ConfidenceCounter(4, coverage=0.9, threshold=threshold, unit=unit) for unit in ("image", "group")}
    for counter in counters.values():
        for name, (_, p, labels) in cases.items():
            counter.update(name, p, labels, groups[name])
    covered, sizes = {}, []
    for name, (_, p, labels) in cases.items():
        keep = labels != IGNORE
        true = p.gather(0, labels.long().clamp(max=3)[None])[0][keep]
        covered[name] = float((true >= threshold).double().mean())
        sizes.append((p[:, keep] >= threshold).sum(0))
    images, grouped = (counter.result() for counter in counters.values())
    assert images.coverage == pytest.approx(np.mean(list(covered.values())))
    assert grouped.coverage == pytest.approx(((covered["a"] + covered["b"]) / 2 + covered["c"]) / 2)
    assert images.set_size == pytest.approx(float(torch.cat(sizes).double().mean()))
    assert (images.unit, grouped.unit) == ("image", "group")
    assert [(curve.unit, curve.count) for curve in images.misses] == [("group", 2), ("image", 3)]
    assert images.misses[1].misses[1100] == pytest.approx(1 - images.coverage)
    assert grouped.to_dict()["coverage_asked"] == 0.9


def test_images_without_a_label_count_nowhere():
    counter = ConfidenceCounter(2)
    counter.update("void", torch.full((2, 9), torch.nan), torch.full((9,), IGNORE))
    found = counter.result()
    assert np.isnan(found.nll)
    assert found.review_order() == []
    assert found.misses == ()
    assert found.to_dict()["brier"] is None
    assert found.lines()


def test_the_most_uncertain_images_come_first():
    counter = ConfidenceCounter(2)
    counter.update("sure", torch.tensor([[0.99, 0.98], [0.01, 0.02]]), torch.tensor([0, 0]))
    counter.update("unsure", torch.tensor([[0.6, 0.5], [0.4, 0.5]]), torch.tensor([1, 0]))
    found = counter.result()
    assert found.review_order() == ["unsure", "sure"]
    reviewed, caught = found.review_curve()
    assert (reviewed.tolist(), caught.tolist()) == ([0, 0.5, 1], [0, 1, 1])
