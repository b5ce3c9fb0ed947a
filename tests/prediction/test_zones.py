"""Zones count what comes in and goes out, minute by minute."""

import json

import pytest

from atrous.errors import UserError
from atrous.objects.tracking import Region, Sighting
from atrous.prediction.zones import FollowOptions, Zone, ZoneCounts, read_zones

SQUARE = [[10, 10], [30, 10], [30, 20], [10, 20], [10, 10]]
HOLE = [[14, 12], [18, 12], [18, 16], [14, 16], [14, 12]]


def write(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def feature(coordinates, name=None, kind="Polygon"):
    properties = {} if name is None else {"name": name}
    return {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}}


def test_polygons_with_holes_are_read(tmp_path):
    path = write(tmp_path / "zones.geojson", feature([SQUARE, HOLE], "door"), feature([[SQUARE]], kind="MultiPolygon"))
    door, other = read_zones(path)
    assert (door.name, other.name) == ("door", "zone 2")
    assert door.holds(15, 25)  # row, column
    assert not door.holds(14, 16)
    assert other.holds(14, 16)
    assert not door.holds(25, 15)


def test_a_bare_geometry_is_a_zone(tmp_path):
    path = tmp_path / "zone.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [SQUARE]}))
    assert read_zones(path)[0].name == "zone 1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no GeoJSON with polygons"),
        ("[1]", "no GeoJSON with polygons"),
        ('{"type": "FeatureCollection", "features": []}', "no polygon in it"),
        (json.dumps({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}), "a ring of fewer than three corners"),
        (json.dumps({"type": "Polygon", "coordinates": []}), "polygon 1 has no ring"),
        (json.dumps({"type": "MultiPolygon", "coordinates": [[]]}), "polygon 1 has no ring"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1' + "0" * 400 + ", 0]]]}", "no GeoJSON with polygons"),
        ("[" * 100_000, "nested too deeply"),
        ('{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": null}]}', "no polygon in it"),
    ],
)
def test_what_is_no_zone_is_refused(tmp_path, content, said):
    (tmp_path / "zones.geojson").write_text(content)
    with pytest.raises(UserError, match=said):
        read_zones(tmp_path / "zones.geojson")


def test_a_feature_without_a_place_is_left_out(tmp_path):
    nowhere = {"type": "Feature", "properties": {"name": "note"}, "geometry": None}
    assert [zone.name for zone in read_zones(write(tmp_path / "zones.geojson", nowhere, feature([SQUARE])))] == [
        "zone 2"]  # fmt: skip


def test_two_zones_of_one_name_and_a_missing_file_are_refused(tmp_path):
    path = write(tmp_path / "zones.geojson", feature([SQUARE], "door"), feature([SQUARE], "door"))
    with pytest.raises(UserError, match="two zones are called door"):
        read_zones(path)
    with pytest.raises(UserError, match="no such file"):
        read_zones(tmp_path / "other.geojson")
    with pytest.raises(UserError, match="--least-area 0"):
        FollowOptions(0)


def at(frame, number, column):
    """Something that stands in row 15."""
    return Sighting(frame, number, Region((5, column - 2, 15, column + 2), 40, (10.0, float(column))))


def test_what_enters_less_what_leaves_is_inside():
    zone, lost = Zone("door", (tuple((x, y) for x, y in SQUARE[:-1]),)), set()
    counts = ZoneCounts([zone], lambda frame: 10.0 * frame, lost.__contains__)
    rows = []
    for frame in range(14):
        seen = [at(frame, 1, 3 * frame), at(frame, 2, 20)] if frame < 8 else [at(frame, 1, 3 * frame)]
        if frame == 12:
            lost.add(2)
        rows += counts.step(frame, seen)
    rows += counts.rows()
    # 1 is inside of columns 10 to 30 from frame 4 to 9, 2 from frame 0 until its track ends
    assert rows == [(0, "door", 2, 0, 2), (1, "door", 0, 1, 1), (2, "door", 0, 1, 0)]


def test_minutes_without_a_frame_have_rows_too():
    zone = Zone("door", (tuple((x, y) for x, y in SQUARE[:-1]),))
    counts = ZoneCounts([zone], lambda frame: 130.0 * frame, lambda number: False)
    rows = [*counts.step(0, [at(0, 1, 20)]), *counts.step(1, [at(1, 1, 40)]), *counts.rows()]
    assert rows == [(0, "door", 1, 0, 1), (1, "door", 0, 0, 1), (2, "door", 0, 1, 0)]


def test_what_stands_at_the_lower_border_of_the_picture_is_in_a_zone_that_ends_there():
    zone = Zone("door", (((0.0, 20.0), (30.0, 20.0), (30.0, 40.0), (0.0, 40.0)),))
    cut_off = Sighting(0, 1, Region((25, 8, 40, 14), 90, (32.5, 11.0)))
    counts = ZoneCounts([zone], float, lambda number: False)
    assert list(counts.step(0, [cut_off])) == []
    assert list(counts.rows()) == [(0, "door", 1, 0, 1)]


@pytest.mark.parametrize(("corners", "inside"), [
    (((-9, -9), (1, -9), (1, 1)), True),
    (((-9, -9), (0, -9), (0, 5)), False),
    (((64, 0), (90, 0), (90, 5)), False),
    (((10, 48), (20, 48), (20, 90)), False),
])  # fmt: skip
def test_zones_beside_the_picture_are_refused(tmp_path, corners, inside):
    zone = Zone("door", (corners,))
    if inside:
        zone.require_inside((48, 64), tmp_path)
        return
    with pytest.raises(UserError, match="outside of frames of 64 x 48 pixels: draw zones in pixels"):
        zone.require_inside((48, 64), tmp_path)
