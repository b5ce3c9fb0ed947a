"""The shortest intervals of recordings: whole ones of the training split, without the slips of annotators."""

import numpy as np
import pytest

from atrous.data.check.intervals import FEW, complete_intervals
from atrous.data.coding import Coding, label_runs
from atrous.verbs.check import check


def write(root, recordings, rates=(100.0,), text='classes = ["rest", "beat"]\n'):
    for number, label in enumerate(recordings):
        for folder in ("train", "val"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        signal = np.random.default_rng(number).normal(size=len(label))
        folder = "val" if number == len(recordings) - 1 else "train"
        rate = rates[number % len(rates)]
        np.savez(root / folder / f"{number}.npz", signal=signal, label=label, rate=rate)
    (root / "dataset.toml").write_text(text)
    return check(root).fingerprint.shortest


def beats(lengths, rest=30):
    return np.concatenate([[0] * 4, *([1] * length + [0] * rest for length in lengths)])


def test_the_shortest_whole_interval_of_train(tmp_path):
    val = beats([2] * 30, rest=3)  # counts for nothing
    cut = np.concatenate([[1] * 3, [0] * 30, beats([9] * 20), [1] * 2])  # the border cuts intervals of 3 and 2 samples
    assert write(tmp_path, [beats([12, 8, 11] * 10), cut, val]) == (30, 8)


def test_slips_are_left_out(tmp_path):
    lengths = [20] * 398 + [1, 2]  # 0.5 % of 400 are 2
    assert write(tmp_path, [beats(lengths, rest=25), beats([20])]) == (25, 20)


def test_a_class_with_few_intervals_has_no_least_length(tmp_path):
    assert write(tmp_path, [beats([40] * (FEW - 1)), beats([5])]) == (1, 1)


def test_rates_are_brought_to_the_median(tmp_path):
    recordings = [beats([10] * 30), beats([10] * 30), beats([25] * 30, rest=80), beats([4])]
    assert write(tmp_path, recordings, rates=(100.0, 100.0, 250.0, 100.0)) == (30, 10)


def test_a_void_cuts_intervals():
    values = np.array([0, 0, 7, 7, 9, 9, 7, 7, 7, 0, 5, 7, 0, 0])
    runs = label_runs(values, np.arange(14) != 1)
    coding = Coding(("rest", "beat"), values=(0, 7), ignore=(9,))
    labels, counts = complete_intervals(runs, coding)
    assert labels.tolist() == []  # void at 1, 4 to 5 and 10, which is no class
    assert counts.tolist() == []
    labels, counts = complete_intervals(label_runs(np.array([7, 0, 0, 7, 5, 0]), None), Coding(("a", "b"), (0, 7)))
    assert (labels.tolist(), counts.tolist()) == ([0], [2])


@pytest.mark.parametrize("words", [True, False])
def test_other_data_have_none(tmp_path, words, digits):
    assert check(digits).fingerprint.shortest is None
    label = beats([9] * 30)
    named = np.array(["rest", "beat"])[label] if words else label
    assert write(tmp_path, [named, named]) == (30, 9)
