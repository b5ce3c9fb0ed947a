"""Problems of points, each in one line."""

import runpy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from atrous.data.coding import Coding
from atrous.data.images import ArrayImage
from atrous.data.targets.base import Facts
from atrous.data.targets.point_problems import nearest, point_notes, point_problems
from atrous.data.targets.points import Points

ROOT = Path("data")


@dataclass
class Looked:
    target: Points
    split: str = "train"
    image: None = None
    colored: bool = False
    contents: object = field(init=False)

    def __post_init__(self):
        self.contents = self.target.scan(None)
        self.counts = self.contents.counts


def look(places, classes=None, size=(20, 40)):
    places = np.array(places, float).reshape(-1, len(size))
    classes = np.zeros(len(places), int) if classes is None else np.array(classes)
    return Looked(Points(ROOT / "a.csv", ArrayImage(Path("a"), np.zeros((1, *size), np.float32)), places, classes))


def problems(*looked, names=("cell",)):
    return list(point_problems(looked, Facts(ROOT, Coding(names))))


def test_good_points_have_no_problem():
    one = look([[3, 4], [8, 8], [19.9, 39.9]])
    assert problems(one) == []
    assert next(point_notes([one], Facts(ROOT))).startswith("3 points, 3 to 3 in an image; the nearest")


@pytest.mark.parametrize(
    ("places", "kind", "severity", "words"),
    [
        ([[3, 30], [38, 4], [25, 19]], "outside", "error", "2 of 3 points lie outside of the image (20 x 40)"),
        ([[38, 4], [25, 19]], "swapped", "error", "x and y swapped"),
        ([[3, 4], [5, np.nan]], "not finite", "error", "no number"),
        ([[i, 4] for i in range(19)] + [[4, 40.5]], "outside", "warning", "1 of 20 points lies"),
        ([[3, 4], [3, 4], [8, 8]], "twice", "warning", "1 point lies exactly where another"),
    ],
)
def test_each_problem_is_one_line(places, kind, severity, words):
    found = [problem for problem in problems(look(places)) if problem.kind == kind]
    assert len(found) == 1
    assert found[0].severity == severity
    assert words in found[0].line()
    assert "\n" not in found[0].line()


def test_images_without_points():
    assert [p.kind for p in problems(look([]), look([[3, 4]]))] == ["empty"]
    assert [(p.kind, p.severity) for p in problems(look([]), look([]))] == [("none", "error")]


def test_classes_without_points_and_without_names():
    found = problems(look([[3, 4], [5, 6]], [0, 2]), names=("a", "b"))
    assert [(p.kind, p.severity) for p in found] == [("class", "error"), ("rare", "warning")]


def test_nearest_neighbors_are_those_of_all_pairs():
    points = np.random.default_rng(0).uniform(0, 9, (30, 3))
    apart = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1)) + np.diag([np.inf] * 30)
    np.testing.assert_allclose(nearest(points), apart.min(1))
    assert nearest(points[:1]).tolist() == []


BENCHMARK = runpy.run_path(str(Path(__file__).resolve().parents[3] / "benchmarks" / "bad_points.py"))
ACCEPTED = {
    "no dot in one image", "blobs that touch", "dots missing", "a class without a dot",
    "one point outside of the image", "points that are there twice",
}  # fmt: skip


@pytest.mark.parametrize("name", [*BENCHMARK["BAD"], *BENCHMARK["COORDINATES"]])
def test_every_fault_is_reported_in_lines(name):
    own = name in BENCHMARK["BAD"]
    report = BENCHMARK["report_of" if own else "problems_of"](BENCHMARK["BAD" if own else "COORDINATES"][name])
    assert report[0] == ("accepted" if name in ACCEPTED else "refused")
    assert report[1]
    assert all("\n" not in line and ": " in line for line in report[1])
