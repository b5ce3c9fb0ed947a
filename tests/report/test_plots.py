import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from atrous.report import plots
from atrous.report.plots import (
    DARK,
    LIGHT,
    _thinned,
    confusion_chart,
    curve_chart,
    reliability_chart,
    review_chart,
    seconds_and,
)
from atrous.tasks.calibration import Reliability


def letters(svg):
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("ink", [LIGHT, DARK])
def test_charts_are_svg_that_asks_for_nothing_outside(ink):
    charts = [
        curve_chart({"train": ([0, 1], [2, 1]), "val": ([1], [1.5])}, "loss", ink),
        confusion_chart(np.array([[3, 1], [0, 0]]), ["a", "b"], ink),
        reliability_chart(Reliability.of(np.ones((3, 15))), ink),
        review_chart({"positions": (np.array([0, 0.1, 1]), np.array([0, 0.6, 1]))}, ink),
    ]
    for svg in charts:
        assert ET.fromstring(svg).tag.endswith("svg")
        assert not re.search(r'(href|src)="(?!#|data:)', svg)


def test_the_reliability_before_the_temperature_is_drawn_where_there_is_one():
    reliability = Reliability.of(np.ones((3, 15)))
    assert "before its temperature" not in letters(reliability_chart(reliability, LIGHT))
    assert "before its temperature" in letters(reliability_chart(reliability, LIGHT, reliability))


@pytest.mark.parametrize("ink", [LIGHT, DARK])
def test_the_legend_lies_beside_the_curves_whatever_they_are(ink, monkeypatch):
    """A poorly calibrated network's curve passes through the corner above the diagonal."""
    figures: list[Figure] = []
    monkeypatch.setattr(plots, "svg_text", figures.append)
    poor = Reliability.of(np.ones((3, 15)))
    reliability_chart(poor, ink, poor)
    names = ("of positions", "of images")
    review_chart({name: (np.array([0, 0.9, 1]), np.array([0, 0.1, 1])) for name in names}, ink)
    for figure in figures:
        figure.draw_without_rendering()
        legend, chart = figure.legends[0].get_window_extent(), figure.axes[0].get_tightbbox()
        assert not legend.overlaps(chart)
        assert figure.axes[0].get_legend() is None
        assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= legend.y0 < legend.y1 <= figure.bbox.y1


def test_the_same_figure_gives_the_same_bytes():
    draw = [curve_chart({"train": ([0, 1], [2, 1])}, "loss", LIGHT) for _ in range(2)]
    assert draw[0] == draw[1]


def test_drawing_leaves_matplotlib_settings_alone():
    before = {name: value for name, value in matplotlib.rcParams.items() if name != "backend"}
    confusion_chart(np.eye(2), ["a", "b"], LIGHT)
    assert {name: value for name, value in matplotlib.rcParams.items() if name != "backend"} == before


@pytest.mark.parametrize(("end", "unit"), [(100, "seconds"), (3600, "minutes"), (50000, "hours")])
def test_unit_of_time_fits_the_length_of_the_run(end, unit):
    assert unit in letters(curve_chart({"train": ([0, end], [2, 1])}, "loss", LIGHT))


def test_confusion_is_written_in_percent_of_the_rows():
    shown = letters(confusion_chart(np.array([[30, 10, 0], [0, 8, 0], [0, 0, 0]]), ["sky", "road", "car"], LIGHT))
    assert {"75", "25", "100"} <= set(shown)
    assert "0" not in shown
    assert shown.count("sky") == 2
    assert "40" not in shown


def test_thirty_classes_have_figures_and_more_have_none():
    for count, figures in ((30, 30), (31, 0)):
        shown = letters(confusion_chart(np.eye(count, dtype=int), [f"c{i}" for i in range(count)], LIGHT))
        assert shown.count("100") == figures


def test_a_hundred_classes_stay_small():
    svg = confusion_chart(np.ones((100, 100), int), [str(i) for i in range(100)], LIGHT)
    assert len(svg) < 300_000


def test_long_curves_are_thinned_to_their_means():
    x, y = _thinned(np.arange(10_000.0), np.arange(10_000.0) * 2)
    assert len(x) == 300
    np.testing.assert_allclose(y, 2 * x)
    assert y.mean() == pytest.approx(9999, rel=0.01)


def test_rows_of_a_csv_make_curves_and_blanks_are_left_out():
    history = [
        {"seconds": "1.0", "split": "train", "loss": "2.5", "miou": ""},
        {"seconds": 2.0, "split": "train", "loss": 1.5, "miou": None},
        {"seconds": "3.0", "split": "val", "loss": "", "miou": "0.5"},
    ]
    assert seconds_and(history, "loss", "train") == ([1.0, 2.0], [2.5, 1.5])
    assert seconds_and(history, "miou", "val") == ([3.0], [0.5])
    assert seconds_and(history, "loss", "val") == ([], [])
    assert seconds_and(history, "learning_rate", "train") == ([], [])


def test_a_small_confusion_matrix_is_as_wide_as_a_phone_and_says_the_same():
    large, small = (confusion_chart(np.eye(11), [f"digit {i}" for i in range(11)], LIGHT, small=s) for s in (0, 1))
    assert letters(small).count("100") == letters(large).count("100") == 11
    assert float(ET.fromstring(small).get("width").removesuffix("pt")) * 96 / 72 < 390 - 2 * 16
