"""Polygons as labels of a data set: which file labels which image, which attribute says the class, what is outside."""

import json

import numpy as np
import pytest
import shapely

from atrous import check, open_dataset
from atrous.data.formats import write_label
from atrous.errors import UserError
from tests.maps import map_transform, write_map
from tests.polygons import square, write_shapes
from tests.slides import write_svs

RNG = np.random.default_rng(0)


def write_scenes(root, count=3, crs="EPSG:32633"):
    for index in range(count):
        bands = RNG.integers(1, 200, (3, 40, 50)).astype(np.uint8)
        write_map(root / "images" / f"s{index}.tif", bands, map_transform(index), crs)
    return root


def field(index, column=5, side=100):
    """A square on the map of this number, from the pixel `(column, column)`."""
    place = map_transform(index)
    return square(place.c + 10 * column, place.f - 10 * column, side)


def labels_of(root):
    dataset = open_dataset(root)
    return dataset, {sample.name: sample.target.read() for sample in dataset.samples}


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
def test_one_file_for_each_image(tmp_path, suffix):
    root = write_scenes(tmp_path)
    for index in range(3):
        kinds = ["water", "field"][: 1 + index % 2]
        shapes = [field(index), field(index, 20, 50)][: len(kinds)]
        write_shapes(root / "labels" / f"s{index}{suffix}", shapes, id=list(range(len(kinds))), kind=kinds)
    dataset, labels = labels_of(root)
    assert dataset.classes == ("background", "field", "water")
    assert (labels["images/s0"][5:15, 5:15] == 2).all()
    assert (labels["images/s0"] == 2).sum() == 100
    assert (labels["images/s1"] == 1).sum() == 25
    report = check(root)
    assert report.ok, report.text()
    assert "the class of polygons is their attribute `kind`" in report.text()
    assert "outside of them is class 0" in report.text()


def test_a_file_without_polygons_says_that_there_is_no_object(tmp_path):
    root = write_scenes(tmp_path)
    for index in range(2):
        write_shapes(root / "masks" / f"s{index}.geojson", [field(index)])
    (root / "masks" / "s2.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    found = check(root, task="instances")
    assert found.ok, found.text()
    assert sorted(int(one.target.read().max()) for one in found.dataset.samples) == [0, 1, 1]
    assert not check(root).ok  # of classes of pixels it is said


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
def test_polygons_are_objects_where_instances_are_learned(tmp_path, suffix):
    root = write_scenes(tmp_path)
    for index in range(3):
        shapes = [field(index), field(index, 20, 50), field(index, 15, 50)]
        write_shapes(root / "labels" / f"s{index}{suffix}", shapes, kind=["a", "b", "b"], other=["x", "y", "z"])
    found = check(root, task="instances")
    assert found.ok, found.text()
    assert found.faults == ()
    numbers = found.dataset.samples[0].target.read()
    assert [(numbers == number).sum() for number in (1, 2, 3)] == [100, 25, 25]
    assert (numbers[5:15, 5:15] == 1).all()


@pytest.mark.parametrize("place", ["labels/all.gpkg", "all.gpkg"])
def test_one_file_for_all_images(tmp_path, place):
    root = write_scenes(tmp_path)
    write_shapes(root / place, [field(0), field(2, 3, 200)], value=[1, 2])
    dataset, labels = labels_of(root)
    assert {name[-2:]: int((label == 1).sum()) for name, label in labels.items()} == {"s0": 100, "s1": 0, "s2": 0}
    assert {name[-2:]: int((label == 2).sum()) for name, label in labels.items()} == {"s0": 0, "s1": 0, "s2": 400}
    assert len(dataset.classes) == 3
    assert check(root).ok


def test_classes_of_dataset_toml_are_found_by_name(tmp_path):
    root = write_scenes(tmp_path)
    write_shapes(root / "all.gpkg", [field(0), field(1)], crop=["Maize", "Wheat"], farm=["a", "b"])
    (root / "dataset.toml").write_text('attribute = "crop"\nclasses = ["ground", "wheat", "maize"]\n')
    _, labels = labels_of(root)
    assert set(np.unique(labels["images/s0"])) == {0, 2}
    assert set(np.unique(labels["images/s1"])) == {0, 1}
    assert "as dataset.toml says" in check(root).text()
    (root / "dataset.toml").write_text('attribute = "crop"\nclasses = ["ground", "wheat"]\n')
    with pytest.raises(UserError, match=r"class 'Maize' of feature 1 is none of ground, wheat: add it to `classes`"):
        labels_of(root)


def test_outside_is_void_where_polygons_have_the_first_class_too(tmp_path):
    root = write_scenes(tmp_path, 2)
    for index in range(2):
        write_shapes(root / "labels" / f"s{index}.gpkg", [field(index), field(index, 20)], kind=["other", "field"])
    dataset, labels = labels_of(root)
    assert dataset.classes == ("other", "field")
    assert {int(v): int((labels["images/s0"] == v).sum()) for v in (0, 1, 255)} == {0: 100, 1: 100, 255: 1800}
    assert "outside of them is void" in check(root).text()
    for index in range(2):
        write_shapes(root / "labels" / f"s{index}.gpkg", [field(index), field(index, 20)], n=[0, 1])
    _, labels = labels_of(root)
    assert set(np.unique(labels["images/s1"])) == {0, 1, 255}


def test_polygons_without_attributes_are_foreground(tmp_path):
    root = write_scenes(tmp_path, 2)
    write_shapes(root / "all.gpkg", [field(0), field(1)])
    dataset, labels = labels_of(root)
    assert len(dataset.classes) == 2
    assert (labels["images/s1"] == 1).sum() == 100
    assert "have no attribute that says a class" in check(root).text()


@pytest.mark.parametrize(
    ("attributes", "toml", "line"),
    [
        ({"crop": ["a", "b"], "farm": ["c", "d"]}, "", r'its class is in "crop" or "farm": write attribute ='),
        ({"crop": ["a", None]}, "", "feature 2 has no value in `crop`: give it a class"),
        ({"crop": [1.5, 2.0]}, 'attribute = "crop"\n', "not a whole number"),
        ({"crop": ["a", "b"]}, 'attribute = "kind"\n', "`attribute` is 'kind', but polygons have crop: name one"),
        ({"crop": ["a", "b"]}, "values = [0, 1, 2]\n", "`values` are numbers, but the class of polygons is text"),
    ],
)
def test_what_is_not_clear_takes_one_line(tmp_path, attributes, toml, line):
    root = write_scenes(tmp_path, 2)
    write_shapes(root / "all.gpkg", [field(0), field(1)], **attributes)
    (root / "dataset.toml").write_text(toml)
    with pytest.raises(UserError, match=line):
        labels_of(root)


def test_check_lists_a_file_whose_polygons_lie_elsewhere(tmp_path):
    root = write_scenes(tmp_path)
    for index in range(3):
        write_shapes(root / "labels" / f"s{index}.gpkg", [field(min(index, 1))], n=[1])
    report = check(root)
    assert [problem.file for problem in report.errors] == ["labels/s2.gpkg"]
    assert "none of its 1 polygons lies on s2.tif" in report.errors[0].what


def test_several_files_in_the_data_folder_and_an_attribute_without_polygons_are_refused(tmp_path):
    root = write_scenes(tmp_path)
    for name in ("a", "b"):
        write_shapes(root / f"{name}.gpkg", [field(0)], n=[1])
    with pytest.raises(UserError, match=r"several files of polygons \(a\.gpkg, b\.gpkg\): keep one here"):
        open_dataset(root)
    for index in range(3):
        write_map(root / "masks" / f"s{index}.tif", np.zeros((1, 40, 50), np.uint8), map_transform(index))
    (root / "dataset.toml").write_text('attribute = "n"\n')
    with pytest.raises(UserError, match="`attribute` is for polygons, but no labels are polygons"):
        open_dataset(root)


def test_slides_with_the_annotations_of_qupath(tmp_path):
    pixels = RNG.integers(0, 255, (160, 240, 3)).astype(np.uint8)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for name in ("a", "b"):
        write_svs(tmp_path / "images" / f"{name}.svs", pixels, mpp=0.25)
        features = [
            {
                "type": "Feature", "id": "1", "geometry": json.loads(shapely.to_geojson(shapely.box(40, 40, 120, 80))),
                "properties": {"objectType": "annotation", "classification": {"name": "Tumor", "color": [200, 0, 0]}},
            }
        ]  # fmt: skip
        (tmp_path / "labels" / f"{name}.geojson").write_text(
            json.dumps({"type": "FeatureCollection", "features": features})
        )
    dataset, labels = labels_of(tmp_path)
    assert dataset.classes == ("background", "Tumor")
    assert labels["images/a"].shape == (160, 240)
    (tmp_path / "dataset.toml").write_text("spacing = [1.0, 1.0]\n")
    dataset, labels = labels_of(tmp_path)
    sample = dataset.samples[0]
    assert sample.image.load().shape == (3, 40, 60)
    expected = np.zeros((40, 60))
    expected[10:20, 10:30] = 1
    np.testing.assert_array_equal(labels["images/a"], expected)
    assert check(tmp_path).ok


def test_a_slide_is_trained_on_at_the_level_of_its_mask(tmp_path):
    pixels = RNG.integers(0, 255, (160, 240, 3)).astype(np.uint8)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for name in ("a", "b"):
        write_svs(tmp_path / "images" / f"{name}.svs", pixels)
        write_label(tmp_path / "masks" / f"{name}.png", np.eye(40, 60, dtype=np.uint8))
    dataset = open_dataset(tmp_path)
    image = dataset.samples[0].image
    assert image.header().size == image.load().shape[1:] == (40, 60)
    assert image.header().spacing == pytest.approx((1.0, 1.0))
    assert check(tmp_path).ok


def test_the_attributes_of_files_that_can_be_read_are_known_beside_a_damaged_one(tmp_path):
    root = write_scenes(tmp_path)
    for index in range(3):
        write_shapes(root / "labels" / f"s{index}.geojson", [field(index)], kind=["field"])
    (root / "labels" / "s1.geojson").write_text("{")
    found = check(root)
    assert [fault.file for fault in found.errors] == ["labels/s1.geojson"]
