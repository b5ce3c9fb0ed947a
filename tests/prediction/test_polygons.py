"""Labels of maps as polygons, read back and burned again."""

import json

import numpy as np
import pyogrio
import pytest

from atrous.data.formats import open_source, read_header, read_values
from atrous.data.formats.polygons import burn, read_polygons
from atrous.errors import UserError
from atrous.prediction.inputs import Opened
from atrous.prediction.labels import LabelFile
from atrous.prediction.polygons import MapFile, label_polygons
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from tests.data.formats.pictures import put
from tests.maps import map_transform, write_map

PALETTE = ((0, 0, 0), (255, 0, 0), (0, 0, 255))
LABELS = np.zeros((40, 50), np.uint8)
LABELS[3:20, 4:30] = 1
LABELS[8:12, 9:15] = 2  # an island in a field
LABELS[30:, 40:] = 255


def written(tmp_path, suffix, classes=("other", "field", "water"), streamed=False):
    scene = tmp_path / "scene.tif"
    write_map(scene, np.zeros((1, 40, 50), np.uint8), map_transform(0))
    labels = LabelFile(tmp_path / "out" / "scene.tif", scene, classes, PALETTE)
    output = MapFile(tmp_path / "out" / f"scene{suffix}", labels, scene, label_polygons(labels, classes))
    assert output.drawn_from is labels
    opened = Opened(open_source(scene), (40, 50))
    for one in (output, labels):
        one.begin(opened, streamed)
    labels.sink[...] = LABELS
    output.finish()
    labels.finish()
    return scene, output.paths[0]


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_polygons_burn_to_the_labels_that_they_were_traced_from(tmp_path, suffix, streamed):
    scene, path = written(tmp_path, suffix, streamed=streamed)
    polygons = read_polygons(path)
    assert polygons.crs == "EPSG:32633"
    assert sorted(zip(polygons.attributes["class"], polygons.attributes["label"], strict=True)) == [
        ("field", 1),
        ("water", 2),
    ]
    burned = burn(polygons, polygons.attributes["label"], scene, read_header(scene), alone=True, ground=0)
    np.testing.assert_array_equal(burned, np.where(LABELS == 255, 0, LABELS))
    assert not list(path.parent.glob(".*"))
    assert pyogrio.read_info(path)["features"] == 2


def test_the_first_class_is_left_out_only_if_it_is_the_background(tmp_path):
    _, path = written(tmp_path, ".gpkg", ("forest", "field", "water"))
    assert sorted(read_polygons(path).attributes["class"]) == ["field", "forest", "water"]


def test_labels_without_polygons_give_an_empty_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.prediction.test_polygons.LABELS", np.zeros((40, 50), np.uint8))
    _, path = written(tmp_path, ".geojson")
    assert json.loads(path.read_text())["features"] == []


def test_polygons_are_for_maps(tmp_path):
    put(tmp_path / "a.png", np.zeros((40, 50), np.uint8))
    labels = LabelFile(tmp_path / "out" / "a.png", tmp_path / "a.png", ("a", "b"), PALETTE)
    output = MapFile(tmp_path / "out" / "a.gpkg", labels, tmp_path / "a.png", label_polygons(labels, ("a", "b")))
    with pytest.raises(UserError, match=r"a\.png: polygons are written for maps, .* leave --polygons out"):
        output.begin(Opened(np.zeros((1, 40, 50), np.uint8), (40, 50)), False)


def test_predict_writes_polygons_beside_the_labels(trained, tmp_path):
    scene, out = tmp_path / "scene.tif", tmp_path / "out"
    write_map(scene, np.random.default_rng(0).integers(0, 255, (3, 64, 64)).astype(np.uint8), map_transform(0))
    done = predict(trained, [scene], out, PredictOptions(polygons="gpkg"))
    assert done.failed == ()
    polygons = read_polygons(out / "scene.gpkg")
    labels = read_values(out / "scene.tif")
    burned = burn(polygons, polygons.attributes["label"], scene, read_header(scene), alone=bool(labels.any()), ground=0)
    np.testing.assert_array_equal(burned, labels)
    again = predict(trained, [scene], out, PredictOptions(polygons="gpkg"))
    assert again.skipped == (out / "scene.tif",)


def test_other_formats_of_polygons_are_refused(trained, tmp_path):
    with pytest.raises(UserError, match="--polygons kml: choose gpkg or geojson"):
        predict(trained, [tmp_path], tmp_path / "out", PredictOptions(polygons="kml"))
