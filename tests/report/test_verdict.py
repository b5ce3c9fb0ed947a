"""The questions at the top of the report."""

import math

import numpy as np

from atrous.report.verdict import verdict
from atrous.tasks.measures import Measures
from atrous.tasks.scores import Scores
from atrous.tasks.stranded_metrics import StrandedScores


def scores(confusion, **changes):
    values = {"classes": ("sky", "road", "car"), "confusion": np.array(confusion)}
    values |= {"per_image": {"a": 0.5, "b": 0.9, "c": 0.7, "d": 0.8}, "miou_ci95": (0.7, 0.75), "seconds": 1.0}
    return Scores(**(values | changes))


GOOD = [[600, 0, 0], [20, 370, 0], [2, 4, 4]]


def test_it_is_compared_with_a_program_that_guesses():
    first = verdict(scores(GOOD)).good[0]
    assert first.startswith("97 % of the positions get the right class")
    assert "always answers 'sky' would get 60 %" in first


def test_a_network_that_always_answers_one_class_has_not_learned():
    first = verdict(scores([[600, 0, 0], [390, 0, 0], [10, 0, 0]])).good[0]
    assert first.startswith("No: it is no better than always answering 'sky'")
    assert not verdict(scores(GOOD)).good[0].startswith("No")


def test_weak_classes_and_the_worst_samples_are_named():
    fails = " ".join(verdict(scores(GOOD)).fails)
    assert "Weakest: car" in fails
    assert "40 % of car is predicted as road" in fails
    assert "Worst images: a (0.500), c (0.700)." in fails


def test_the_steps_follow_from_the_metrics():
    steps = verdict(scores(GOOD), ["Train longer."]).further
    assert steps[0] == "Train longer."
    assert any(step.startswith("Label more of car: it is rare (1 % of the positions)") for step in steps)
    assert any("OTHER-DATA" in step for step in steps)
    assert not any("Measure on more" in step for step in steps)
    assert not any("OTHER-DATA" in step for step in verdict(scores(GOOD), further=True).further)
    wide = verdict(scores(GOOD, miou_ci95=(0.5, 0.9))).further
    assert any("4 images leave mean IoU open between 0.50 and 0.90" in step for step in wide)


def test_nothing_is_said_of_what_was_not_measured():
    nothing = verdict(scores(np.zeros((3, 3), int), per_image={"a": math.nan}, miou_ci95=(math.nan, math.nan)))
    assert "no labels" in nothing.good[0]
    assert nothing.fails == []
    alone = verdict(scores(GOOD, per_image={"a": 0.5}, miou_ci95=(math.nan, math.nan)))
    assert not any("Worst" in sentence for sentence in alone.fails)
    assert "nan" not in " ".join([*alone.good, *alone.fails, *alone.further])


def test_a_metric_without_classes_says_which_way_is_better():
    found = verdict(Measures({"mae": 2.0}, {"a": 1.0, "b": 4.0, "c": 3.0}, 1.0, higher_is_better=False))
    assert found.good == ["mae is 2 over 3 images; lower is better. The median is 3, the best 1.000."]
    assert found.fails == ["Worst image: b (4)."]
    assert "higher is better" in verdict(Measures({"map": 0.5}, {"a": 0.2, "b": 0.8}, 1.0)).good[0]
    assert verdict(Measures({"map": math.nan}, {"a": math.nan}, 1.0)).good == ["Nothing could be measured."]


def test_genes_are_compared_with_marking_every_base():
    """Channels overlap, so no class is a guess: of 1000 bases, 200 are coding on each strand."""

    def found(right, marked):
        values = {"classes": ("CDS+", "CDS-"), "confusion": np.zeros((2, 2), np.int64), "per_image": {"a": 0.5}}
        counts = np.array([[right, right], [200, 200], [marked, marked]])
        margins = {"counts": counts, "right": 700, "counted": 1000}
        return verdict(StrandedScores(**values, miou_ci95=(math.nan, math.nan), seconds=1.0, **margins)).good

    assert found(180, 225)[0] == (
        "90 % of the bases of CDS are found on their strand, and 80 % of the bases that are marked as CDS are."
    )
    assert found(190, 1000)[0] == "No: marking every base as CDS on both strands would be as good (F1 0.333)."
    assert "always answers" not in " ".join(found(180, 225))


def test_equal_samples_have_no_worst_one():
    assert verdict(Measures({"mine": 1.0}, {"a": 1.0, "b": 1.0}, 1.0)).fails == []
    assert verdict(Measures({"mine": 1.0}, {"a": 0.9, "b": 1.0}, 1.0)).fails == ["Worst image: a (0.900)."]
