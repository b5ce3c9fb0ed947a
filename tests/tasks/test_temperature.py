"""The temperature is the one of least likelihood, and no label depends on it."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from atrous.labels import IGNORE
from atrous.tasks.custom import CustomTask
from atrous.tasks.measures import Measures
from atrous.tasks.semantic import Semantic
from atrous.tasks.stranded import Stranded
from atrous.tasks.stranded_metrics import StrandedMetrics
from atrous.tasks.temperature import (
    COLDEST,
    POSITIONS,
    LogitSample,
    calibrated,
    class_task,
    fit_temperature,
    mean_nll,
    temperatures,
)


def drawn(seed, factor, classes=5, positions=6000):
    """Outputs whose labels are drawn from their own softmax, then multiplied: too sure by that factor."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(classes, positions, generator=generator)
    labels = torch.multinomial(logits.softmax(0).T, 1, generator=generator)[:, 0]
    return factor * logits, labels.to(torch.uint8)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_it_is_that_of_scipy_and_near_the_one_that_was_put_in(factor):
    logits, labels = drawn(0, factor)
    sample = LogitSample(images=1)
    sample.add(logits.view(5, 60, 100), labels.view(60, 100))
    z, y = logits.double().numpy(), labels.numpy()

    def nll(log_t):
        scaled = z / np.exp(log_t)
        return float(np.mean(np.logaddexp.reduce(scaled, axis=0) - scaled[y, np.arange(len(y))]))

    best = minimize_scalar(nll, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9})
    found = fit_temperature(sample)
    assert found == pytest.approx(np.exp(best.x), rel=1e-4)
    assert found == pytest.approx(factor, rel=0.05)
    assert mean_nll(sample, found) == pytest.approx(best.fun, rel=1e-6)
    assert mean_nll(sample, found) < min(mean_nll(sample, 1.1 * found), mean_nll(sample, found / 1.1))


def test_where_classes_overlap_every_class_counts_by_itself():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3, 8000, generator=generator)
    truth = torch.bernoulli(logits.sigmoid(), generator=generator).long()
    labels = (truth << torch.arange(3)[:, None]).sum(0)
    sample = LogitSample(images=1, bits=True)
    sample.add(2.5 * logits, labels | 0x300)  # the high byte, with the frames of codons, has no part in it
    z, y = 2.5 * logits.double(), truth.double()

    def nll(log_t):
        return float(torch.nn.functional.binary_cross_entropy_with_logits(z / np.exp(log_t), y))

    best = minimize_scalar(nll, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(sample) == pytest.approx(np.exp(best.x), rel=1e-4)
    assert fit_temperature(sample) == pytest.approx(2.5, rel=0.05)


def test_a_large_image_is_sampled_and_weighs_what_it_counts():
    logits, labels = drawn(1, 2.0, classes=2, positions=3 * POSITIONS)
    labels[::3] = IGNORE
    sample = LogitSample(images=2)
    sample.add(logits, labels)
    sample.add(logits[:, :300], labels[:300])
    rows, weights = sample.joined()
    assert len(rows) <= POSITIONS
    assert (rows == 0).any(1).all()  # what the truth differs from itself by
    assert float(sample.weights[0].sum()) == pytest.approx(2 * POSITIONS, rel=0.02)
    assert float(weights[-200:].sum()) == 200
    assert fit_temperature(sample) == pytest.approx(2, rel=0.03)


def test_nothing_to_fit_on_changes_nothing_and_no_error_is_not_endlessly_sure():
    sample = LogitSample(images=1)
    sample.add(torch.randn(3, 9), torch.full((9,), IGNORE, dtype=torch.uint8))
    assert fit_temperature(sample) == 1
    sample = LogitSample(images=1)
    sample.add(torch.tensor([[2.0, -2.0], [-2.0, 2.0]]), torch.tensor([0, 1]))
    assert fit_temperature(sample) == pytest.approx(COLDEST)
    sample.add(torch.tensor([[torch.nan], [1.0]]), torch.tensor([0]))
    assert torch.isfinite(sample.joined()[0]).all()


def test_labels_do_not_depend_on_it():
    output = torch.randn(2, 4, 200, generator=torch.Generator().manual_seed(0))
    plain, warm = Semantic(("a", "b", "c", "d")), Semantic(("a", "b", "c", "d"), temperature=1.7)
    assert torch.equal(plain.decode(output), warm.decode(output))
    torch.testing.assert_close(warm.probabilities(output), (output / 1.7).softmax(1))
    assert torch.equal(warm.probabilities(output).argmax(1), warm.decode(output))


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.85])
@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_sets_of_classes_do_not_depend_on_it_whatever_their_threshold(threshold, temperature):
    output = 2 * torch.randn(1, 4, 500, generator=torch.Generator().manual_seed(1))
    names = ("a+", "a-", "b+", "b-")
    plain, warm = (Stranded(names, threshold=threshold, temperature=t) for t in (1.0, temperature))
    sets = plain.decode(output)
    assert torch.equal(warm.decode(output), sets)
    p = warm.probabilities(output)[0]
    assert torch.equal(((p >= warm.level).long() << torch.arange(4)[:, None]).sum(0), sets[0].long())
    metrics = warm.metrics()
    assert isinstance(metrics, StrandedMetrics)
    metrics.update("x", p, sets[0])
    assert metrics.result(0.0).pixel_accuracy == 1


def test_a_task_with_metrics_of_ones_own_has_that_of_its_task():
    own = CustomTask(Semantic(("a", "b")), None, {"ones": lambda p, t: 1.0})
    assert temperatures(calibrated(own, 3.0)) == (3.0,)
    inner = class_task(own)
    assert inner is not None
    assert inner.temperature == 1
    other = Measures({"mae": 1.0}, {}, 0.0)
    assert calibrated(other, 3.0) is other
    assert temperatures(other) == ()
