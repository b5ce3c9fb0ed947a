import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from atrous.tasks.calibration import BINS, Reliability, calibration_counts


def case(seed=0, classes=5, positions=4000):
    generator = torch.Generator().manual_seed(seed)
    probabilities = (2 * torch.randn(positions, classes, generator=generator)).softmax(1)
    target = torch.randint(classes, (positions,), generator=generator)
    confident = torch.rand(positions, generator=generator) < probabilities.amax(1) ** 2
    return probabilities, torch.where(confident, probabilities.argmax(1), target)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("bins", [1, 10, BINS])
def test_ece_equals_torchmetrics(seed, bins):
    probabilities, target = case(seed)
    confidence, prediction = probabilities.max(1)
    ece = Reliability.of(calibration_counts(confidence, prediction == target, bins=bins).numpy()).ece
    expected = multiclass_calibration_error(probabilities.double(), target, num_classes=5, n_bins=bins, norm="l1")
    assert ece == pytest.approx(float(expected), abs=1e-6)
    assert ece > 0.01


def test_positions_that_do_not_count_leave_no_trace():
    probabilities, target = case()
    confidence, prediction = probabilities.max(1)
    counted = torch.arange(len(target)) % 3 > 0
    dirty = confidence.masked_fill(~counted, torch.nan)
    counts = calibration_counts(dirty, prediction == target, counted)
    torch.testing.assert_close(counts, calibration_counts(confidence[counted], (prediction == target)[counted]))


def test_bins_are_open_below_and_closed_above():
    edges = torch.tensor([0.0, 0.25, 0.250001, 0.5, 0.75, 1.0])
    counts = calibration_counts(edges, torch.ones(6, dtype=torch.bool), bins=4)
    assert counts[0].tolist() == [2, 2, 1, 1]


def test_confidence_that_rounding_puts_above_one_is_in_the_last_bin():
    counts = calibration_counts(torch.tensor([1.0000002, 0.0]), torch.tensor([True, False]), bins=4)
    assert counts[0].tolist() == [1, 0, 0, 1]


def test_a_bin_of_one_position_has_its_confidence_and_accuracy():
    reliability = Reliability.of(calibration_counts(torch.tensor([0.3]), torch.tensor([True]), bins=2).numpy())
    assert reliability.confidence[0] == pytest.approx(0.3)
    assert (reliability.accuracy[0], reliability.count.tolist()) == (1, [1, 0])
    assert reliability.ece == pytest.approx(0.7)


def test_a_network_that_is_as_right_as_it_says_has_no_error():
    confidence = torch.full((10,), 0.7)
    right = torch.tensor([True] * 7 + [False] * 3)
    reliability = Reliability.of(calibration_counts(confidence, right).numpy())
    assert reliability.ece == pytest.approx(0, abs=1e-6)
    assert np.isnan(reliability.accuracy).sum() == BINS - 1


def test_without_positions_there_is_no_error_to_speak_of():
    assert np.isnan(Reliability.of(np.zeros((3, BINS))).ece)
