"""What the report says of tasks without classes: each metric in words, a comparison, what fails, and what helps."""

import math

import pytest

from atrous.report.measure_words import failings, meaning, metric_name, remedies
from atrous.tasks.measures import Measures

IMAGES = {f"{number}": 0.5 for number in range(12)}


def measures(values, images=IMAGES):
    return Measures(values, images, 1.0)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("psnr", "signal to noise in dB (psnr)"),
        ("ap65", "objects that match at IoU 0.65 (ap65)"),
        ("ap50_small", "objects that match, small (ap50_small)"),
        ("mask_map50_cell", "average precision of masks at IoU 0.5, cell (mask_map50_cell)"),
        ("ods_threshold", "strength from which it is an edge (ods_threshold)"),
        ("my_own", "my_own"),
        ("miou", "mean IoU"),
    ],
)
def test_every_metric_has_words_and_its_key(key, words):
    assert metric_name(key) == words


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"ap50": 0.8, "count_mae": 2.0}, ["80 % are both", "off by 2 on average"]),
        ({"ap50": 0.0}, ["No: no object that it found overlaps a true one by half"]),
        ({"map": 0.4, "map50": 0.7, "f1": 0.6, "f1_score": 0.3}, ["(IoU 0.5) it is 0.700", "score 0.300 or more"]),
        ({"map": 0.0, "map50": 0.0}, ["No: no box"]),
        ({"count_mae": 3.0, "count_relative": 0.25, "count_bias": -2.0}, ["off by 3 ", "25 % of", "2 too few"]),
        ({"pck": 0.9, "distance": 4.0, "offset": 1.5}, ["90 % of the true points are found within 4 positions", "1.5"]),
        ({"ods": 0.7, "ods_precision": 0.8, "ods_recall": 0.6}, ["80 % of the edges", "60 % of the true ones"]),
        ({"mae": 2.0, "r2": 0.75}, ["explains 75 %"]),
        ({"mae": 2.0, "r2": -0.5}, ["No: it is no better than always answering the mean of the truth (R2 -0.500)"]),
        ({"psnr": 20.0}, ["off by 10 % of the largest possible value"]),  # 20 dB: a tenth of the peak
        ({"perceptual_loss": 3.0}, ["Judge by the pictures"]),
        ({"log_loss": 0.4, "accuracy": 0.8, "auroc": 0.9}, ["80 % of the images", "An image of a class", "in 90 % of"]),
        ({"log_loss": 0.7, "accuracy": 0.9, "auroc": 0.4}, ["No: it tells classes apart no better than guessing"]),
    ],
)
def test_the_first_metric_is_compared_with_something(values, said):
    text = " ".join(meaning(measures(values)))
    assert all(part in text for part in said), text
    assert "nan" not in text


def test_nothing_is_said_of_what_is_unknown_or_was_not_measured():
    assert meaning(measures({"mine": 0.5})) == []
    assert meaning(measures({"map": math.nan})) == []
    assert failings(measures({"map": 0.5, "map_small": math.nan, "map_car": 0.5})) == []
    assert remedies(measures({"mine": 0.5})) == []


def test_the_worst_sizes_and_classes_are_named():
    sizes = {"map_small": 0.2, "map_medium": 0.6, "map_large": math.nan}
    found = failings(measures({"map": 0.5, **sizes, "map_car": 0.7, "map_bus": 0.3}))
    assert found == [
        "Small boxes are found worst: map 0.200, against medium 0.600.",
        "Boxes of bus are found worst: map 0.300, against car 0.700.",
    ]
    counted = failings(measures({"count_mae": 2.0, "count_mae_a": 1.0, "count_mae_b": 3.0}))
    assert counted == ["Points of b are found worst: count_mae 3, against a 1.000."]


def test_classes_of_whole_inputs_are_told_apart_by_their_f1():
    found = measures({"log_loss": 0.4, "f1": 0.6, "auroc_a": 0.9, "f1_a": 0.9, "auroc_b": 0.7, "f1_b": 0.3})
    assert failings(found) == ["Inputs of b are found worst: f1 0.300, against a 0.900."]
    assert remedies(found) == ["Label more of b: it is found less well than the others."]


def test_misses_are_told_from_inventions():
    misses = failings(measures({"pck": 0.5, "precision": 0.9, "recall": 0.5}))
    assert misses == ["It misses more than it invents: 50 % of the true are found, 90 % of the found are true."]
    assert failings(measures({"ods": 0.5, "ods_precision": 0.4, "ods_recall": 0.7}))[0].startswith("It invents more")
    assert failings(measures({"pck": 0.5, "precision": 0.55, "recall": 0.5})) == []


def test_the_steps_follow_from_the_metrics():
    assert remedies(measures({"map": 0.5, "map_car": 0.8, "map_bus": 0.3})) == [
        "Label more of bus: it is found less well than the others."
    ]
    assert remedies(measures({"map": 0.5, "map_car": 0.8, "map_bus": 0.7})) == []
    assert "too low" in remedies(measures({"count_mae": 3.0, "count_bias": -2.0}))[0]
    assert "too high" in remedies(measures({"count_mae": 3.0, "count_bias": 2.0}))[0]
    assert remedies(measures({"count_mae": 3.0, "count_bias": 1.0})) == []
    assert remedies(measures({"psnr": 30.0}, {"a": 1.0})) == ["Measure on more images: 1 image says little."]
