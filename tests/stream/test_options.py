"""Options: one object, the same choices by name, and mistakes refused by name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.stream import Options, plan, stream
from atrous.stream.options import choose_options


def test_choices_go_before_options():
    options = choose_options(Options(strip=8, post="argmax"), {"strip": 16})
    assert (options.strip, options.post, options.engine) == (16, "argmax", "torch")
    assert choose_options(None, {}) == Options()
    assert Options().resume is False


def test_unknown_names_are_refused_with_the_nearest_one():
    with pytest.raises(UserError, match=r"unknown option 'stirp': did you mean 'strip'\? the options are axis, memory"):
        choose_options(None, {"stirp": 4})
    with pytest.raises(UserError, match=r"unknown option 'xyz': the options are"):
        stream(nn.Conv1d(1, 1, 3), np.zeros((1, 9), np.float32), xyz=1)
    with pytest.raises(UserError, match="unknown option 'blcoks': did you mean 'blocks'"):
        plan(nn.Conv1d(1, 1, 3), (1, 9), blcoks=1)


@pytest.mark.parametrize("choices", [{"strip": 0}, {"blocks": 0}, {"strip": -3, "blocks": 1}])
def test_counts_are_at_least_one(choices):
    with pytest.raises(UserError, match="both must be at least 1"):
        Options(**choices)
    assert Options(strip=1, blocks=1).blocks == 1


def test_strategies_are_known_and_fit():
    with pytest.raises(UserError, match="strategy='tiles' is not known: give one of strips, windows"):
        Options(strategy="tiles")
    with pytest.raises(UserError, match="resume=True works with strips only"):
        Options(strategy="windows", resume=True)
    assert Options(strategy="windows").strategy == "windows"
    assert Options(strategy="strips", resume=True).resume


def test_the_spool_is_a_folder():
    assert Options(spool="values").folder == Path("values")
    assert Options().folder is None


def test_an_object_and_its_choices_run_alike():
    network, signal = nn.Conv1d(1, 2, 5, padding=2), np.random.default_rng(0).normal(size=(1, 40)).astype(np.float32)
    options = Options(strip=7, post="argmax", dtype=torch.float64)
    assert np.array_equal(
        stream(network, signal, options=options), stream(network, signal, strip=7, post="argmax", dtype=torch.float64)
    )
    assert plan(network, (1, 40), options).text() == plan(network, (1, 40), strip=7, dtype=torch.float64).text()
    assert plan(network, (1, 40), options, strip=9).strip == 9
