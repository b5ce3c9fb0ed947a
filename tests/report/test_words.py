import math

import numpy as np
import pytest
import torch

from atrous.report.words import calibration_words, headline, notable, review_words
from atrous.tasks.calibration import Reliability
from atrous.tasks.confidence import ConfidenceCounter
from atrous.tasks.scores import Scores


def scores(confusion, **changes):
    values = {"classes": ("sky", "road", "car"), "confusion": np.array(confusion), "per_image": {"a": 0.5, "b": 0.6}}
    return Scores(**(values | {"miou_ci95": (0.4, 0.6), "seconds": 1.0} | changes))


USUAL = [[8, 2, 0], [0, 9, 1], [0, 0, 0]]


def test_headline_says_miou_and_interval():
    text = headline(scores(USUAL))
    assert "For an average class (of 3)" in text
    assert "52 %" in text
    assert "2 images" in text
    assert "between 0.400 and 0.600" in text


def test_headline_of_one_image_promises_no_interval():
    text = headline(scores(USUAL, per_image={"a": 0.5}, miou_ci95=(math.nan, math.nan)))
    assert "single image" in text
    assert "nan" not in text


def test_one_sample_is_no_plural():
    text = headline(scores(USUAL, per_image={"a": 0.5}, miou_ci95=(0.4, 0.6)))
    assert "Measured on 1 image: " in text


def test_samples_are_called_what_they_are():
    text = headline(scores(USUAL, sample="recording"))
    assert "2 recordings" in text
    assert "image" not in text


def test_headline_without_labels():
    assert "no labels" in headline(scores(np.zeros((3, 3), int)))
    assert notable(scores(np.zeros((3, 3), int))) == []


def test_notable_names_best_weakest_and_the_confusion():
    text = " ".join(notable(scores(USUAL)))
    assert "Best class: sky (IoU 0.800)" in text
    assert "Weakest: car (IoU 0.000)" in text
    assert "20 % of sky is predicted as road" in text


def test_notable_names_absent_classes_and_no_confusion_where_there_is_none():
    text = " ".join(notable(scores([[8, 0, 0], [0, 9, 0], [0, 0, 0]])))
    assert "not measured: car" in text
    assert "confusion" not in text


@pytest.mark.parametrize(
    ("right", "expected"), [(50, "it is overconfident"), (90, "it is underconfident"), (70, "neither overconfident")]
)
def test_calibration_says_in_which_direction_it_errs(right, expected):
    counts = np.zeros((3, 15))
    counts[:, 10] = 100, 70, right
    assert expected in calibration_words(scores(USUAL, reliability=Reliability.of(counts)))


def test_calibration_that_was_not_measured():
    assert "not measured" in calibration_words(scores(USUAL))


def confidence(temperature, wrong):
    counter = ConfidenceCounter(2, temperature=temperature)
    p = torch.tensor([0.99] * 90 + [0.6] * 10)
    truth = torch.zeros(100, dtype=torch.uint8)
    truth[95:] = int(wrong)
    counter.update("a", torch.stack([p, 1 - p]), truth)
    return counter.result()


def test_what_the_temperature_did_is_said():
    found = confidence(2.0, True)
    text = calibration_words(scores(USUAL, reliability=found.after, confidence=found))
    assert "divided by a temperature of 2.00" in text
    assert f"without it the error would be {100 * found.before.ece:.1f} points" in text
    plain = confidence(1.0, True)
    assert "temperature" not in calibration_words(scores(USUAL, reliability=plain.after, confidence=plain))


def test_how_many_errors_the_most_uncertain_hold_is_said():
    text = review_words(scores(USUAL, confidence=confidence(1.0, True)))
    assert "The most uncertain tenth of the positions holds 100 % of the errors" in text
    assert "in 97 % of the cases" in text  # 5 right ones are as uncertain as the 5 wrong ones
    assert review_words(scores(USUAL, confidence=confidence(1.0, False))) == ""
    assert review_words(scores(USUAL)) == ""
