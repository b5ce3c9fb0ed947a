"""The autoencoder of points: points come back, and the latent space has neighbors near each other."""

import numpy as np
import torch

from atrous.searching.latent import LATENT, autoencoder_of
from tests.searching.made import SPACE


def test_points_come_back():
    coder, generator = autoencoder_of(SPACE, 0), np.random.default_rng(5)
    points = [SPACE.random(generator) for _ in range(100)]
    kept = [SPACE.distance(coder.decode(coder.encode(point)), point) for point in points]
    assert np.mean(kept) < 0.3  # of six labels
    assert coder.encode(points[0]).shape == coder.spread.shape == (LATENT,)


def test_small_steps_change_fewer_labels_than_large_ones():
    coder, generator = autoencoder_of(SPACE, 0), np.random.default_rng(6)
    changed = {0.3: 0, 3.0: 0}
    for _ in range(60):
        point, direction = SPACE.random(generator), generator.standard_normal(LATENT)
        for width in changed:
            reached = coder.decode(coder.encode(point) + width * coder.spread * direction)
            changed[width] += SPACE.distance(reached, point)
    assert changed[0.3] < 0.5 * changed[3.0]


def test_it_leaves_torchs_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    autoencoder_of(SPACE.only(["v0"]), 9)
    assert torch.equal(torch.rand(2), expected)
