"""Problems of points, each in one line."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from atrous.data.coding import Coding
from atrous.data.images import ArrayImage
from atrous.data.targets.base import Facts
from atrous.data.targets.point_problems import dot_problems, nearest, point_notes, point_problems
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


def test_images_without_dots():
    facts = Facts(ROOT, Coding(("cell",)))
    assert [p.kind for p in dot_problems([look([]), look([[3, 4]])], facts)] == ["empty"]
    assert list(dot_problems([look([]), look([])], facts)) == []
    assert [(p.kind, p.severity) for p in problems(look([]), look([]))] == [("none", "error")]


def test_classes_without_points_and_without_names():
    found = problems(look([[3, 4], [5, 6]], [0, 2]), names=("a", "b"))
    assert [(p.kind, p.severity) for p in found] == [("class", "error"), ("rare", "warning")]


def test_nearest_neighbors_are_those_of_all_pairs():
    points = np.random.default_rng(0).uniform(0, 9, (30, 3))
    apart = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1)) + np.diag([np.inf] * 30)
    np.testing.assert_allclose(nearest(points), apart.min(1))
    assert nearest(points[:1]).tolist() == []
