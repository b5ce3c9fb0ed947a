"""Rotated boxes of every format that has them, and only where files or somebody say so."""

import json

import numpy as np
import pytest

from atrous.data.dataset import resolve
from atrous.data.description import Description
from atrous.data.layouts.table import find_layout
from atrous.data.object_files.base import RunLengths, runs_corners
from atrous.data.object_files.runs import mask_of, runs_of
from atrous.data.targets.boxes import Boxes
from atrous.data.targets.rotated import RotatedBoxes
from atrous.errors import UserError
from atrous.objects.rotated import boxes_of, convex_hull, corners_of, rotated_iou
from atrous.verbs.opened import open_data
from tests.object_folders import COUNT, SIZE, write_coco, write_images, write_voc, write_yolo

TRUE = np.array([[14, 20, 18, 6, 0.4], [22, 40, 12, 5, 2.2]])
NAMES = ("boat", "car")


def polygons():
    """The corners x, y of the objects of every image."""
    return corners_of(TRUE)[:, :, ::-1]


def write_dota(root):
    for path in write_images(root / "images"):
        (root / "labelTxt").mkdir(exist_ok=True)
        lines = [f"{' '.join(map(str, ring.ravel()))} {name} 0" for ring, name in zip(polygons(), NAMES, strict=True)]
        (root / "labelTxt" / f"{path.stem}.txt").write_text("\n".join(lines))
    return root


def write_yolo_obb(root):
    for path in write_images(root / "images"):
        (root / "labels").mkdir(exist_ok=True)
        rings = polygons() / [SIZE[1], SIZE[0]]
        lines = [f"{kind} {' '.join(map(str, ring.ravel()))}" for kind, ring in enumerate(rings)]
        (root / "labels" / f"{path.stem}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text(f"names: [{', '.join(NAMES)}]\n")
    return root


def write_labelme(root, kind):
    for path in write_images(root):
        shapes = [
            {"label": name, "points": ring.tolist(), "shape_type": kind}
            for ring, name in zip(polygons(), NAMES, strict=True)
        ]
        about = {"shapes": shapes, "imagePath": path.name, "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        path.with_suffix(".json").write_text(json.dumps(about))
    return root


FORMATS = {
    "DOTA": write_dota,
    "YOLO-OBB": write_yolo_obb,
    "labelme rotation": lambda root: write_labelme(root, "rotation"),
    "labelme polygons": lambda root: write_labelme(root, "polygon"),
}


def opened(root, **more):
    description = Description(**more)
    layout = find_layout(root, description)
    return layout, resolve(root, description, layout, list)[0]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rotated_boxes(tmp_path, name):
    layout, dataset = opened(FORMATS[name](tmp_path), task="detection")
    assert layout.problems == ()
    assert dataset.target is RotatedBoxes
    assert (dataset.task, dataset.classes, len(dataset.samples)) == ("detection", NAMES, COUNT)
    for sample in dataset.samples:
        found = sample.target.read()
        assert found.size == SIZE
        assert found.classes.tolist() == [0, 1]
        assert rotated_iou(boxes_of(found.places), TRUE).min() > 1 - 1e-6


@pytest.mark.parametrize("name", ["DOTA", "labelme rotation"])
def test_files_of_rotated_boxes_need_no_task(tmp_path, name):
    layout, dataset = opened(FORMATS[name](tmp_path))
    assert "rotated boxes" in layout.name
    assert (dataset.task, dataset.target) == ("detection", RotatedBoxes)


def test_outlines_are_upright_boxes_unless_all_are_turned_rectangles(tmp_path):
    assert opened(write_yolo(tmp_path / "upright", outline=True), task="detection")[1].target is Boxes
    root = write_yolo_obb(tmp_path / "five")
    (root / "labels" / "1.txt").write_text("0 0.1 0.1 0.3 0.1 0.3 0.3 0.2 0.4 0.1 0.3\n")
    assert opened(root, task="detection")[1].target is Boxes
    assert opened(FORMATS["DOTA"](tmp_path / "dota"), rotated=False)[1].target is Boxes
    assert opened(write_yolo_obb(tmp_path / "four"))[1].task == "instances"
    assert opened(write_yolo_obb(tmp_path / "said"), rotated=True)[1].target is RotatedBoxes


@pytest.mark.parametrize("outlines", ["polygons", "runs", "none"])
def test_other_objects_are_rotated_boxes_where_somebody_says_so(tmp_path, outlines):
    root = write_coco(tmp_path, outlines)
    assert opened(root, task="detection")[1].target is Boxes
    upright = [sample.target.read() for sample in opened(root, task="detection")[1].samples]
    rotated = [sample.target.read() for sample in opened(root, task="detection", rotated=True)[1].samples]
    for one, other in zip(upright, rotated, strict=True):
        rings = other.places.reshape(-1, 4, 2)
        np.testing.assert_allclose(np.concatenate([rings.min(axis=1), rings.max(axis=1)], axis=1), one.places)
        assert one.classes.tolist() == other.classes.tolist()


def test_settings_of_a_training_and_a_recipe_say_it(tmp_path):
    def target(root, settings):
        layout = open_data(root, task="detection", settings=settings).layout
        return type(layout.splits["train"][0].target)

    root = write_voc(tmp_path / "voc")
    assert target(root, {}) is Boxes
    assert target(root, {"options.rotated": True}) is RotatedBoxes
    assert target(root, {"options": {"rotated": True}}) is RotatedBoxes
    dota = write_dota(tmp_path / "dota")
    assert target(dota, {}) is RotatedBoxes
    assert target(dota, {"options": {"scale": [1, 1]}}) is Boxes
    assert target(dota, {"options.rotated": False}) is Boxes
    with pytest.raises(UserError, match=r"task\.options\.rotated=yes: give true or false"):
        target(root, {"options.rotated": "yes"})


def test_arrays_of_corners_are_rotated_boxes():
    image, corners = np.zeros((40, 60), np.uint8), corners_of(TRUE)
    pairs = [image, image], [(corners, np.array([0, 1])), (corners[:0], np.zeros(0, int))]

    def opened_in_memory(data, **more):
        splits = open_data(data, task="detection", **more).layout.splits
        return sorted((sample for members in splits.values() for sample in members), key=lambda sample: sample.name)

    samples = opened_in_memory(pairs)
    assert all(isinstance(sample.target, RotatedBoxes) for sample in samples)
    both = [image, image], [list(corners), np.array([[1.0, 2, 9, 5]])]
    first, second = (sample.target.read() for sample in opened_in_memory(both))
    assert rotated_iou(boxes_of(first.places), TRUE).min() > 1 - 1e-9
    assert boxes_of(second.places).round(9).tolist() == [[5, 3.5, 8, 3, np.round(np.pi / 2, 9)]]
    upright = opened_in_memory(both, settings={"options.rotated": False})
    assert all(type(sample.target) is Boxes for sample in upright)
    volume = [np.zeros((9, 9, 9), np.uint8)], [np.array([[1.0, 1, 1, 4, 4, 4]])]
    with pytest.raises(UserError, match="for images of two axes"):
        open_data(volume, task="detection", settings={"options.rotated": True})


def test_the_corners_of_runs_have_the_hull_of_the_mask(tmp_path):
    rng = np.random.default_rng(0)
    for share in (0.02, 0.2, 0.9):
        runs = runs_of(rng.random((7, 9)) < share)
        y, x = np.nonzero(mask_of(runs, tmp_path))
        pixels = np.concatenate([np.stack([y + dy, x + dx], axis=1) for dy in (0, 1) for dx in (0, 1)]).astype(float)
        assert convex_hull(runs_corners(runs)).tolist() == convex_hull(pixels).tolist()
    assert runs_corners(RunLengths((3, 3), np.array([9]))).shape == (0, 2)
