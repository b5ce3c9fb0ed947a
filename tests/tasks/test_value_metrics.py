"""Metrics of numbers against scikit-learn and SciPy over all positions together."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics

from atrous.tasks.task import NotFinite
from atrous.tasks.value_metrics import ValueMetrics


def images(outputs=1, shift=0.0):
    rng = np.random.default_rng(0)
    for size in ((4, 9), (30, 20), (1, 3)):
        truth = rng.normal(shift, 2, (outputs, *size))
        truth[:, 0, 0] = np.nan
        yield torch.from_numpy(truth + rng.normal(0, 1, truth.shape)), torch.from_numpy(truth)


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_they_are_those_of_all_positions_together(shift):
    gathered = ValueMetrics(["z"])
    found, truth = [], []
    for number, (values, target) in enumerate(images(shift=shift)):
        gathered.update(str(number), values, target)
        known = ~torch.isnan(target)
        found.append(values[known].numpy())
        truth.append(target[known].numpy())
    a, b = np.concatenate(found), np.concatenate(truth)
    result = gathered.result(0.0)
    assert result.values["mae"] == pytest.approx(metrics.mean_absolute_error(b, a))
    assert result.values["rmse"] == pytest.approx(metrics.root_mean_squared_error(b, a))
    assert result.values["r2"] == pytest.approx(metrics.r2_score(b, a), rel=1e-6)
    assert result.values["pearson"] == pytest.approx(stats.pearsonr(a, b)[0], rel=1e-6)
    assert result.values["spearman"] == pytest.approx(stats.spearmanr(a, b)[0])
    assert result.per_image["0"] == pytest.approx(np.abs(found[0] - truth[0]).mean())
    assert not result.higher_is_better


def test_several_outputs_have_their_own_and_a_mean():
    gathered = ValueMetrics(["a", "b"], ranks=False)
    target = torch.stack([torch.zeros(3, 3), torch.ones(3, 3)])
    gathered.update("x", target + torch.tensor([1.0, 3.0]).view(2, 1, 1), target)
    values = gathered.result(0.0).values
    assert (values["mae"], values["mae_a"], values["mae_b"]) == (2.0, 1.0, 3.0)
    assert math.isnan(values["r2"])
    assert "spearman" not in values


def test_an_image_of_which_nothing_is_known_has_no_value():
    gathered = ValueMetrics(["a"])
    gathered.update("x", torch.zeros(1, 3), torch.full((1, 3), torch.nan))
    result = gathered.result(0.0)
    assert math.isnan(result.per_image["x"])
    assert math.isnan(result.values["mae"])


def test_values_that_are_no_numbers_are_named():
    with pytest.raises(NotFinite, match="x"):
        ValueMetrics(["a"]).update("x", torch.tensor([[math.inf]]), torch.zeros(1, 1))


def test_a_constant_has_no_correlation():
    """A network that gives one number has learned nothing, and its correlation does not exist."""
    gathered = ValueMetrics(["a"])
    target = torch.rand(1, 40, 50)
    for number in range(3):
        gathered.update(str(number), torch.full_like(target, 0.3), target)
    values = gathered.result(0.0).values
    assert math.isnan(values["pearson"])
    assert math.isnan(values["spearman"])
    assert values["r2"] < 0


def test_an_output_of_which_nothing_is_known_leaves_the_others_their_mean():
    gathered = ValueMetrics(["a", "b"])
    target = torch.stack([torch.arange(9.0), torch.full((9,), torch.nan)])
    gathered.update("x", torch.arange(9.0).expand(2, 9) + 2, target)
    values = gathered.result(0.0).values
    assert math.isnan(values["mae_b"])
    assert (values["mae"], values["rmse"]) == (2.0, 2.0)
    assert values["pearson"] == pytest.approx(1)
