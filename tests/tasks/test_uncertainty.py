"""Entropy as scipy computes it; the ranking of errors as scikit-learn does."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score

from atrous.tasks.uncertainty import OCTAVES, STEPS, ErrorRanking, entropy_of, normalized_entropy, ranking_counts


def case(positions=5000):
    generator = torch.Generator().manual_seed(0)
    probabilities = (3 * torch.randn(6, positions, generator=generator)).softmax(0)
    uncertainty = normalized_entropy(probabilities)
    wrong = torch.rand(positions, generator=generator) < uncertainty
    return probabilities, uncertainty, wrong


def test_entropy_is_that_of_scipy_and_between_0_and_1():
    probabilities, uncertainty, _ = case()
    want = entropy(probabilities.double().numpy(), axis=0, base=6)
    np.testing.assert_allclose(uncertainty.numpy(), want, atol=2e-6)
    assert entropy_of(np.float32([[1, np.nan], [0, np.nan]])).tolist() == pytest.approx([0, np.nan], nan_ok=True)
    assert entropy_of(np.eye(3, dtype=np.float32).reshape(3, 3, 1)).max() == 0


def test_where_classes_overlap_it_is_the_mean_of_theirs():
    p = torch.tensor([0.1, 0.6, 1.0])
    want = np.mean([entropy([v, 1 - v], base=2) for v in p.double().tolist()])
    assert float(normalized_entropy(p[:, None], bits=True)) == pytest.approx(want, abs=1e-6)


def test_the_ranking_is_that_of_scikit_learn():
    _, uncertainty, wrong = case()
    parts = zip(uncertainty.split(999), wrong.split(999), strict=True)
    ranking = ErrorRanking(np.sum([ranking_counts(*part).numpy() for part in parts], axis=0))
    assert ranking.auroc == pytest.approx(roc_auc_score(wrong, uncertainty), abs=1e-3)
    bins = ((uncertainty.double().log2() + OCTAVES) * STEPS).floor().clamp(0, STEPS * OCTAVES - 1)
    assert ranking.auroc == pytest.approx(roc_auc_score(wrong, bins), abs=1e-12)
    assert ranking.counts.sum() == len(wrong)


def test_the_curve_says_how_many_errors_the_most_uncertain_hold():
    _, uncertainty, wrong = case()
    ranking = ErrorRanking(ranking_counts(uncertainty, wrong).numpy())
    order = uncertainty.argsort(descending=True)
    for share in (0.05, 0.1, 0.5):
        want = float(wrong[order[: int(share * len(order))]].sum() / wrong.sum())
        assert ranking.caught(share) == pytest.approx(want, abs=5e-3)
    reviewed, caught = ranking.curve()
    assert (reviewed[0], caught[0]) == (0, 0)
    assert (reviewed[-1], caught[-1]) == (1, 1)
    assert (np.diff(caught) >= 0).all()


def test_without_errors_there_is_no_ranking():
    ranking = ErrorRanking(ranking_counts(torch.tensor([0.0, 1.0]), torch.tensor([False, False])).numpy())
    assert np.isnan(ranking.auroc)
    assert np.isnan(ranking.caught(0.1))
    assert len(ranking.curve()[0]) == 0


def test_zero_and_one_have_bins():
    counts = ranking_counts(torch.tensor([0.0, 1e-12, 1.0]), torch.tensor([False, True, True]))
    assert (counts[0, 0], counts[1, 0], counts[1, -1]) == (1, 1, 1)
