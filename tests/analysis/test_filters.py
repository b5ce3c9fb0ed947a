"""Filters: which layer they come from, which letters they prefer, and that letters of a logo have the right height."""

import json

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from atrous._nd import CONV
from atrous.analysis import filters
from atrous.analysis.filters import BASES, logo
from atrous.errors import UserError


def motif(word: str) -> nn.Module:
    network = nn.Conv1d(4, 2, len(word))
    with torch.no_grad():
        network.weight.zero_()
        for position, letter in enumerate(word):
            network.weight[0, list(BASES).index(letter), position] = 1 + position
    return network


def test_letters_of_a_motif():
    result = filters(motif("TATAAT"))
    assert result.consensus() is not None
    assert result.consensus()[0] == "TATAAT"
    assert result.norms.tolist() == pytest.approx([np.sqrt(sum(i * i for i in range(1, 7))), 0])
    assert "1 nearly zero" in result.text()
    assert json.loads(json.dumps(result.to_dict()))["consensus"][0] == "TATAAT"


def test_letters_are_as_high_as_the_centered_weights():
    weights = np.random.default_rng(0).normal(size=(4, 7))
    axes = Figure().add_subplot()
    logo(axes, weights)
    centered = weights - weights.mean(0)
    heights = {}
    for patch in axes.patches:
        box = patch.get_path().get_extents()
        letter = list(BASES)[[c.lower() for c in BASES.values()].index(_hex(patch.get_facecolor()))]
        sign = 1 if box.y0 + box.y1 > 0 else -1
        heights[letter, round((box.x0 + box.x1) / 2)] = sign * box.height
    for channel, letter in enumerate(BASES):
        for position in range(7):
            assert heights[letter, position] == pytest.approx(centered[channel, position], abs=1e-6)


def _hex(color) -> str:
    return "#" + "".join(f"{round(255 * c):02x}" for c in color[:3])


@pytest.mark.parametrize(("ndim", "channels"), [(1, 4), (1, 2), (2, 3), (2, 1), (3, 1)])
def test_pictures(ndim, channels, tmp_path):
    network = nn.Sequential(nn.BatchNorm1d(1), CONV[ndim](channels, 5, 3))
    result = filters(network)
    assert result.layer == "1"
    assert result.weights.shape == (5, channels, *[3] * ndim)
    assert result.draw(tmp_path / "filters.png").stat().st_size > 1000
    assert (result.consensus() is None) == (channels != 4)


def test_mistakes():
    with pytest.raises(UserError, match="no convolution"):
        filters(nn.Linear(1, 1))
    with pytest.raises(UserError, match="choose from 0"):
        filters(nn.Sequential(nn.Conv1d(1, 1, 1)), "head")
