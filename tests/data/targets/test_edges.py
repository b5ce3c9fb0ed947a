"""Edges as targets: what annotators marked, cut by a view without losing or thickening lines, and what is odd."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from atrous.data.images import ArrayImage
from atrous.data.layouts.memory import LabelArray
from atrous.data.targets.base import Facts
from atrous.data.targets.edge_marks import LabelEdges
from atrous.data.targets.edges import Edges, Marked
from atrous.data.view import View
from atrous.errors import UserError
from atrous.labels import IGNORE

SIZE, CROP = (41, 37), (16, 12)
RNG = np.random.default_rng(0)
MARKS = (RNG.random((3, *SIZE)) < 0.2).astype(np.uint8)
LINES = {0: np.zeros((1, 240, 240), np.uint8), 45: np.eye(240, dtype=np.uint8)[None]}
LINES[0][0, 120] = 1
PALETTE, FACTS = ((0, 0, 0),), Facts(Path())


def turned(angle, zoom, center):
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return View(0, np.array(center), turn / zoom)


def test_a_plain_view_is_the_share_of_the_annotators():
    window = slice(5, 21), slice(9, 21)
    cut = Edges.cut(MARKS, View(0, np.array([13.0, 15.0]), np.eye(2)), CROP)
    np.testing.assert_allclose(cut.numpy(), Edges.crop(MARKS, window).mean(axis=0, keepdims=True), atol=1e-6)
    assert Edges.grid(MARKS) == SIZE
    mirrored = Edges.cut(MARKS, View(0, np.array([13.0, 15.0]), np.diag([1.0, -1.0])), CROP)
    torch.testing.assert_close(mirrored, cut.flip(2))


@pytest.mark.parametrize("slope", [0, 45])
@given(st.floats(0, 2 * math.pi), st.floats(0.3, 1.9), st.floats(-0.5, 0.5))
@settings(max_examples=25, deadline=None)
def test_a_line_stays_a_line_at_every_angle_and_zoom(slope, angle, zoom, shift):
    """It has no gaps, and is one to two pixels wide, of the file or of the crop, whichever is larger."""
    marks, side = LINES[slope], 40
    view = turned(angle, zoom, (120.5 + shift, 120.5))
    seen = Edges.cut(marks, view, (side, side))[0].numpy() > 0
    _, pieces = ndimage.label(seen, np.ones((3, 3)))
    assert pieces == 1
    along = angle + math.radians(slope)
    length = side / max(abs(math.sin(along)), abs(math.cos(along)))
    assert 0.6 <= seen.sum() / (length * max(1, zoom)) <= 2.01


def test_outside_and_where_nothing_is_known_there_is_no_share():
    assert Edges.cut(MARKS, View(0, np.array([-20.0, -20.0]), np.eye(2)), CROP).isnan().all()
    missing = np.zeros(SIZE, bool)
    missing[:10] = True
    known = Edges.without(MARKS, missing)
    cut = Edges.cut(known, View(0, np.array([13.0, 15.0]), np.eye(2)), CROP)
    assert cut[0, :5].isnan().all()
    assert not cut[0, 5:].isnan().any()
    assert Edges.tensor(known)[:, :10].isnan().all()
    torch.testing.assert_close(Edges.tensor(known)[:, 10:], torch.from_numpy(MARKS[:, 10:]).float())
    assert not Edges.counts_for_nothing(known)
    assert Edges.counts_for_nothing(Edges.without(MARKS, ~missing | missing))
    assert Edges.without(MARKS, np.zeros((2, 2), bool)) is MARKS


def test_a_batch_of_whole_targets_keeps_the_annotators():
    assert Edges.batch([Edges.tensor(MARKS)]).shape == (1, 3, *SIZE)


def test_a_picture_shows_the_share():
    drawn = Edges.draw(np.zeros((1, 1, 2)), np.array([[[1, IGNORE]], [[0, IGNORE]]], np.uint8), PALETTE)
    assert drawn[..., 0].tolist() == [[128, 150]]


def test_lines_are_not_brought_to_another_grid():
    with pytest.raises(UserError, match=r"set input\.spacing=\[\]"):
        Edges.resample(MARKS, (10, 10))


class Sample:
    """What the check has of a sample."""

    split = "train"

    def __init__(self, *annotators, remark="", valid=None):
        self.marks, self.remark, self.path = annotators, remark, Path("a.mat")
        self.target = Edges(self)
        self.contents = self.target.scan(valid)
        self.image = self.contents.header

    def marked(self):
        return Marked(self.marks, None, self.remark)


def problems(tmp_path, *annotators, **more):
    one = Sample(*annotators, **more)
    one.path = tmp_path / "a.mat"
    one.image = type("Header", (), {"size": SIZE})()
    return [problem.line() for problem in Edges.problems([one], Facts(tmp_path))]


LINE = np.zeros(SIZE, bool)
LINE[5] = True


def test_odd_edges_are_told(tmp_path):
    empty = np.zeros(SIZE, bool)
    assert problems(tmp_path, LINE, LINE) == []
    assert problems(tmp_path, empty) == ["a.mat: nobody marked an edge: fine if the image shows none"]
    assert "annotator 2 of 2 marked nothing" in problems(tmp_path, LINE, empty)[0]
    assert "93% of its pixels are edges: mark lines" in problems(tmp_path, np.arange(41)[:, None] > empty + 2)[0]
    assert "it is 5 x 6, its image 41 x 37" in problems(tmp_path, LINE[:5, :6])[0]
    assert "nothing is known of any pixel" in problems(tmp_path, LINE, valid=empty)[0]
    assert problems(tmp_path, LINE, remark="odd: mend it") == ["a.mat: odd: mend it"]


def test_the_notes_say_how_many_annotators_there_are():
    one, two = Sample(LINE), Sample(LINE, LINE, LINE)
    share = f"each marked {1 / 41:.2%} of the pixels on average"
    assert list(Edges.notes([two], FACTS)) == [f"edges of 3 annotators an image; {share}"]
    assert list(Edges.notes([one, two], FACTS)) == [f"edges of 1 to 3 annotators an image; {share}"]
    assert list(Edges.notes([], FACTS)) == []


def test_labels_say_edges_by_their_regions_or_lines():
    regions = np.zeros(SIZE, int)
    regions[20:], regions[:, 30:] = 3, 255
    edges = LabelEdges(LabelArray("a", regions), True)
    assert edges.marked().annotators[0][19, :29].all()
    assert edges.marked().annotators[0][:18, 29].all()
    assert edges.marked().unknown is None
    target = Edges(LabelEdges(LabelArray("a", regions), True, ignore=(255,)))
    assert (target.read()[0, :, 29:] == IGNORE).all()
    assert (target.read()[0, :, :29] != IGNORE).all()
    lines = LabelEdges(LabelArray("a", 7 * LINE), False)
    np.testing.assert_array_equal(lines.marked().annotators[0], LINE)
    assert lines.marked().remark == ""
    assert "set task.boundaries=false" in LabelEdges(LabelArray("a", 7 * LINE), True).marked().remark
    with pytest.raises(UserError, match="it shows regions, not boundaries: give --segmentation if"):
        LabelEdges(LabelArray("a", regions > 0), False).marked()
    with pytest.raises(UserError, match="labels with 3 axes: give images"):
        LabelEdges(LabelArray("a", regions[None]), True).marked()


def test_where_the_image_has_no_data_no_edge_is_known():
    class Half(ArrayImage):
        """An image whose upper rows have no data."""

        def valid(self):
            return np.arange(SIZE[0])[:, None] >= np.full(SIZE[1], 10)

    labels = LabelArray("labels", np.tri(*SIZE, dtype=np.uint8))
    marks = Edges(LabelEdges(labels, regions=True), Half(Path("image"), np.zeros((1, *SIZE), np.uint8))).read()
    assert (marks[:, :10] == IGNORE).all()
    np.testing.assert_array_equal(marks[:, 10:], Edges(LabelEdges(labels, regions=True)).read()[:, 10:])
