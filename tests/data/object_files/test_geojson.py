"""GeoJSON of found objects: its polygons, drawn again, are the objects."""

import json

import numpy as np
import shapely

from atrous.data.object_files.found import FoundObjects
from atrous.data.object_files.geojson import features, write_geojson

SIZE = (14, 18)


def written(tmp_path, found):
    write_geojson(tmp_path / "more" / "a.geojson", found, ("cell", "dead"))
    return json.loads((tmp_path / "more" / "a.geojson").read_text())["features"]


def test_polygons_have_the_pixels_of_the_objects(tmp_path):
    numbers = np.zeros(SIZE, np.uint32)
    numbers[1:8, 2:9] = 1
    numbers[3:5, 4:6] = 0  # a hole
    numbers[9, 3] = numbers[10, 4] = 2  # two pieces that touch at a corner
    numbers[13, 17] = 4  # none has the number 3
    found = FoundObjects(SIZE, np.array([0, 1, 1, 0]), np.full(4, 0.5, np.float32), numbers)
    shown = written(tmp_path, found)
    assert [one["properties"]["number"] for one in shown] == [1, 2, 4]
    assert [one["properties"]["classification"]["name"] for one in shown] == ["cell", "dead", "cell"]
    assert [one["geometry"]["type"] for one in shown] == ["Polygon", "MultiPolygon", "Polygon"]
    rows, columns = np.indices(SIZE) + 0.5
    again = np.zeros(SIZE, np.uint32)
    for one in shown:
        shape = shapely.from_geojson(json.dumps(one["geometry"]))
        assert shape.is_valid
        again[shapely.contains_xy(shape, columns, rows)] = one["properties"]["number"]
    np.testing.assert_array_equal(again, numbers)


def test_boxes_are_closed_rings(tmp_path):
    found = FoundObjects(SIZE, np.zeros(1, int), np.ones(1, np.float32), boxes=np.array([[1.5, 2, 3, 4]]))
    ring = written(tmp_path, found)[0]["geometry"]["coordinates"][0]
    assert ring == [[2, 1.5], [4, 1.5], [4, 3], [2, 3], [2, 1.5]]


def test_points_are_points(tmp_path):
    found = FoundObjects(SIZE, np.array([7]), np.ones(1, np.float32), points=np.array([[1.5, 2.0]]))
    one = written(tmp_path, found)[0]
    assert one["geometry"] == {"type": "Point", "coordinates": [2.0, 1.5]}
    assert one["properties"] == {
        "number": 1, "class": "7", "score": 1.0, "objectType": "detection", "classification": {"name": "7"},
    }  # fmt: skip


def test_objects_of_a_level_lie_in_the_pixels_of_the_whole_image():
    numbers = np.zeros(SIZE, np.uint32)
    numbers[1:3, 2:5] = 1
    one = np.zeros(1, int), np.ones(1, np.float32)
    box = np.array([[1.0, 2, 3, 5]])
    corners = [[8.0, 2.0], [20.0, 2.0], [20.0, 6.0], [8.0, 6.0], [8.0, 2.0]]
    whole = (2 * SIZE[0], 4 * SIZE[1])
    for found in (FoundObjects(SIZE, *one, numbers), FoundObjects(SIZE, *one, boxes=box)):
        assert features(found, ("cell",), whole)[0]["geometry"]["coordinates"] == [corners]
    point = FoundObjects(SIZE, *one, points=np.array([[1.5, 2.0]]))
    assert features(point, ("cell",), whole)[0]["geometry"]["coordinates"] == [8.0, 3.0]
