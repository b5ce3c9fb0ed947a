"""Every kind of target: what is read, counted, cut by a view and drawn, against plain slicing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from atrous.data.coding import Coding
from atrous.data.formats import FileFault
from atrous.data.images import ArrayImage
from atrous.data.layouts.memory import LabelArray
from atrous.data.targets.base import Facts
from atrous.data.targets.bits import Bits
from atrous.data.targets.boxes import Boxes
from atrous.data.targets.instances import Instances
from atrous.data.targets.labels import Labels
from atrous.data.targets.none import NoTarget
from atrous.data.targets.places import Places
from atrous.data.targets.points import Points
from atrous.data.targets.rotated import RotatedBoxes
from atrous.data.targets.values import ValueArray, Values
from atrous.data.view import View
from atrous.verbs.check import check

SIZE, CROP = (21, 17), (8, 6)
RNG = np.random.default_rng(0)
IMAGE = ArrayImage(Path("image"), RNG.random((1, *SIZE)).astype(np.float32))
PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0))
POINTS = np.array([[0.5, 0.5], [10.2, 7.9], [20.9, 16.1]])
BOXES = np.array([[2.0, 3.0, 6.0, 9.0], [8.0, 8.0, 20.0, 12.0]])


def grids():
    """Values of every kind that is a grid, and the spatial axes' place in them."""
    return {
        Labels: RNG.integers(0, 3, SIZE).astype(np.uint8),
        Bits: RNG.integers(0, 8, SIZE).astype(np.uint16),
        Instances: RNG.integers(0, 99, SIZE).astype(np.uint32),
        Values: RNG.random((2, *SIZE)).astype(np.float32),
        NoTarget: np.empty((0, *SIZE), np.float32),
    }


@pytest.mark.parametrize("kind", [Labels, Bits, Instances, Values, NoTarget])
@given(st.data())
@settings(max_examples=15, deadline=None)
def test_a_plain_view_is_a_slice(kind, data):
    values = grids()[kind]
    start = [data.draw(st.integers(0, n - c)) for n, c in zip(SIZE, CROP, strict=True)]
    window = tuple(slice(s, s + c) for s, c in zip(start, CROP, strict=True))
    view = View(0, np.array([s + c / 2 for s, c in zip(start, CROP, strict=True)]), np.eye(2))
    cut = kind.cut(values, view, CROP)
    want = kind.tensor(kind.crop(values, window))
    torch.testing.assert_close(cut.double(), want.double(), atol=1e-4, rtol=0)
    assert kind.grid(values) == SIZE
    assert kind.grid(kind.crop(values, window)) == CROP


@pytest.mark.parametrize(("kind", "places"), [(Points, POINTS), (Boxes, BOXES)])
@given(st.data())
@settings(max_examples=30, deadline=None)
def test_places_move_with_the_view(kind, places, data):
    values = Places(SIZE, places, np.arange(len(places)))
    start = np.array([data.draw(st.integers(0, n - c)) for n, c in zip(SIZE, CROP, strict=True)])
    view = View(0, start + np.array(CROP) / 2, np.eye(2))
    window = tuple(slice(int(s), int(s) + c) for s, c in zip(start, CROP, strict=True))
    cut = kind.cut(values, view, CROP)
    if kind is Points:  # points a little outside are there as well
        cut = cut[((cut[:, :2] >= 0) & (cut[:, :2] < torch.tensor(CROP))).all(dim=1)][:, [0, 1, 4]]
    torch.testing.assert_close(cut, kind.tensor(kind.crop(values, window)))


def test_a_mirrored_box_is_the_box_of_the_mirrored_object():
    mask = np.zeros((12, 12), np.uint8)
    mask[2:5, 3:9] = 1
    values = Places((12, 12), np.array([[2.0, 3.0, 5.0, 9.0]]), np.array([1]))
    for matrix in (np.diag([-1.0, 1.0]), np.diag([1.0, -1.0]), np.array([[0.0, 1.0], [1.0, 0.0]])):
        view = View(0, np.array([6.0, 6.0]), matrix)
        seen = np.argwhere(Labels.cut(mask, view, (12, 12)).numpy() == 1)
        want = [*seen.min(0), *(seen.max(0) + 1), 1]
        assert Boxes.cut(values, view, (12, 12))[0].tolist() == pytest.approx(want, abs=1e-4)


@given(st.floats(0, 360), st.floats(0.5, 2))
@settings(max_examples=30, deadline=None)
def test_the_box_of_a_turned_ellipse_is_exact(angle, zoom):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    around = np.linspace(0, 2 * np.pi, 4000)
    outline = np.array([50.0, 40]) + np.stack([9 * np.sin(around), 4 * np.cos(around)], axis=1)
    view = View(0, np.array([50.0, 40]), turn)
    seen = view.to_crop(outline, (64, 64))
    cut = Boxes.cut(Places((100, 80), np.array([[41.0, 36, 59, 44]]), np.array([1])), view, (64, 64))
    np.testing.assert_allclose(cut[0].numpy(), [*seen.min(0), *seen.max(0), 1], atol=1e-2)


def test_boxes_are_cut_at_the_border_and_slivers_count_for_nothing():
    boxes = np.array([[-4.0, 0, 6, 4], [-8, 0, 2, 4], [-9, 0, 0, 4], [0, 0, 4, 4]])
    view = View(0, np.array(CROP) / 2, np.eye(2))
    cut = Boxes.cut(Places(SIZE, boxes, np.array([0, 1, 1, -1])), view, CROP)
    assert cut.tolist() == [[0, 0, 6, 4, 0], [0, 0, 2, 4, -1], [0, 0, 4, 4, -1]]


def test_boxes_without_extent_are_left_out_and_classes_are_checked():
    corners = np.array([[2.0, 3, 6, 9], [4, 4, 4, 8], [30, 0, 40, 5], [15, 10, 26, 22]])
    target = Boxes(Path("a"), IMAGE, corners, np.array([0, 0, 0, 2]))
    assert target.read().places.tolist() == [[2, 3, 6, 9], [15, 10, 21, 17]]
    found = target.scan(None)
    assert found.counts == {0: 1, 2: 1}
    assert found.sides[2].tolist() == [[6, 7]]
    with pytest.raises(FileFault, match="class 2, but 2 classes"):
        target.with_coding(Coding(("a", "b")))
    with pytest.raises(FileFault, match="3 axes, but image has 2"):
        Boxes(Path("a"), IMAGE, np.zeros((1, 6)), np.zeros(1, int)).read()


def test_objects_of_a_batch_are_numbered_by_crop():
    cuts = [
        Points.tensor(Places(SIZE, POINTS, np.array([0, 1, 2]))),
        Points.tensor(Places(SIZE, POINTS[:1], np.array([1]))),
    ]
    assert Points.batch(cuts)[:, 0].tolist() == [0, 0, 0, 1]
    assert Points.batch(cuts).shape == (4, 4)


@pytest.mark.parametrize("kind", [Labels, Bits, Instances, Values])
def test_outside_the_sample_nothing_is_known(kind):
    cut = kind.cut(grids()[kind], View(0, np.array([-20.0, -20.0]), np.eye(2)), CROP)
    if kind is Values:
        assert cut.isnan().all()
    else:
        assert set(cut.unique().tolist()) == {0 if kind is Instances else 255}


@pytest.mark.parametrize("kind", [Labels, Bits, Instances, Values, NoTarget])
def test_doubling_the_grid_repeats_the_nearest(kind):
    values = grids()[kind]
    shape = (2 * SIZE[0], 2 * SIZE[1])
    larger = kind.resample(values, shape)
    assert kind.grid(larger) == shape
    if kind not in (Values, NoTarget):
        np.testing.assert_array_equal(larger[::2, ::2], values)


def test_values_that_are_not_finite_are_unknown():
    array = np.array([[[1.0, np.inf], [np.nan, 3.0]]])
    target = Values(ValueArray(Path("heights"), array))
    np.testing.assert_array_equal(np.isnan(target.read()), [[[False, True], [True, False]]])
    assert target.scan(None).outside == 2
    assert target.scan(np.array([[False, True], [True, True]])).outside == 3
    assert not Values.counts_for_nothing(target.read())
    assert Values.counts_for_nothing(np.full((1, 2, 2), np.nan))


def test_instances_are_read_counted_and_centered(tmp_path):
    numbers = np.zeros(SIZE, np.uint16)
    numbers[2:6, 3:7], numbers[10:13, 10:13] = 300, 7
    Image.fromarray(numbers).save(tmp_path / "a.png")
    target = Instances(tmp_path / "a.png")
    np.testing.assert_array_equal(target.read(), numbers)
    assert target.scan(None).counts == {7: 9, 300: 16}
    assert sorted(Instances.places(target.read(), 0)[1].tolist()) == [[4, 4], [11, 11]]
    assert list(Instances.problems([], Facts(tmp_path))) == []


def test_pictures_show_the_classes():
    labels = np.array([[0, 1], [2, 255]], np.uint8)
    assert Labels.draw(np.zeros((1, 2, 2)), labels, PALETTE)[0, 1].tolist() == [255, 0, 0]
    bits = Bits.draw(np.zeros((1, 2, 2)), np.array([[1, 2], [4, 255]]), PALETTE)
    assert bits[1, 0].tolist() == [0, 255, 0]
    dots = Points.draw(IMAGE.values, Places(SIZE, POINTS, np.array([1, 2, 1])), PALETTE)
    assert dots[10, 7].tolist() == [0, 255, 0]
    boxes = Boxes.draw(IMAGE.values, Places(SIZE, BOXES, np.array([1, 2])), PALETTE)
    assert boxes[2, 3].tolist() == [255, 0, 0]
    assert boxes[4, 5].tolist() == [0, 0, 0]
    heights = Values.draw(IMAGE.values, np.array([[[0.0, 2.0], [1.0, np.nan]]]), PALETTE)
    assert heights[..., 0].tolist() == [[0, 255], [128, 150]]
    assert not Instances.draw(IMAGE.values, np.zeros(SIZE, np.uint32), PALETTE).any()
    nothing = NoTarget.draw(IMAGE.values, np.zeros((0, *SIZE)), PALETTE)
    assert nothing.shape == (*SIZE, 3)
    assert not nothing.any()


def test_a_dot_at_the_border_is_cut_there():
    dots = Points.draw(IMAGE.values, Places(SIZE, np.array([[0.0, 0.0]]), np.array([1])), PALETTE)
    assert dots[0, 0].tolist() == [255, 0, 0]
    assert dots[-1, -1].tolist() == [0, 0, 0]


def test_labels_in_memory_need_their_classes():
    target = Labels(LabelArray("labels", np.zeros(SIZE, np.uint8)), IMAGE)
    with pytest.raises(ValueError, match="open the data set first"):
        target.read()


def test_an_image_without_objects_is_named_and_no_other(flat):
    numbers = np.zeros((24, 30), np.uint8)
    numbers[2:9, 3:9], numbers[12:20, 12:22] = 1, 2
    found = check(flat(lambda i: numbers * (i > 0), toml='task = "instances"'))
    assert [fault.line() for fault in found.faults] == ["masks/0.png: it has no object: fine if the image shows none"]


def test_two_objects_of_which_one_is_in_pieces_are_no_single_number(flat):
    numbers = np.zeros((24, 30), np.uint8)
    numbers[2:9, 3:9] = numbers[2:9, 20:25] = 1
    numbers[12:20, 12:22] = 2
    found = check(flat(lambda i: numbers, toml='task = "instances"'))
    assert {fault.kind for fault in found.faults} == {"pieces"}
    found = check(flat(lambda i: np.where(numbers == 1, 1, 0).astype(np.uint8), toml='task = "instances"'))
    assert {fault.kind for fault in found.faults} == {"one number"}


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_any_number_of_values_is_cut(outputs):
    values = RNG.random((outputs, *SIZE)).astype(np.float32)
    cut = Values.cut(values, View(0, np.array([4.0, 3.0]), np.eye(2)), CROP)
    torch.testing.assert_close(cut, torch.from_numpy(values[:, :8, :6]))


def test_a_point_on_the_far_border_lies_outside():
    places = np.array([[20.9, 16.9], [21.0, 3.0], [3.0, 17.0], [0.0, 0.0]])
    target = Points(Path("a"), IMAGE, places, np.zeros(4, int))
    assert target.read().places.tolist() == [[20.9, 16.9], [0.0, 0.0]]


def test_nothing_lies_where_there_are_no_data():
    missing = np.zeros(SIZE, bool)
    missing[8:] = True
    numbers = grids()[Instances]
    np.testing.assert_array_equal(Instances.without(numbers, missing), np.where(missing, 0, numbers))
    assert Instances.without(numbers, missing[1:]) is numbers
    assert Points.without(Places(SIZE, POINTS, np.array([2, 1, 0])), missing).classes.tolist() == [2]
    assert Boxes.without(Places(SIZE, BOXES, np.array([2, 1])), missing).classes.tolist() == [2, -1]
    corners = BOXES[:, [0, 1, 0, 3, 2, 3, 2, 1]]
    assert RotatedBoxes.without(Places(SIZE, corners, np.array([2, 1])), missing).classes.tolist() == [2, -1]
    none = Places(SIZE, np.zeros((0, 4)), np.zeros(0, int))
    assert len(Boxes.without(none, missing).classes) == 0
