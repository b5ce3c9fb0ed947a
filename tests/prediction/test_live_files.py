"""What is written of frames that come is what is written of the whole video."""

import csv
import json
from fractions import Fraction
from io import StringIO

import numpy as np
import pytest
from PIL import Image

from atrous.data.formats import open_source
from atrous.data.live_frames import LiveFrame
from atrous.errors import UserError
from atrous.prediction.frames import FrameLabels
from atrous.prediction.inputs import Opened
from atrous.prediction.live_files import LiveFiles, LivePlaces
from atrous.prediction.track_files import TrackCsv, ZoneCsv
from atrous.prediction.zones import FollowOptions
from tests.moved import scene, write_pictures

COLORS = ((0, 0, 0), (255, 0, 0))
COUNT = 26


def labels():
    """Labels `(T, H, W)`: one thing moves to the right, one comes late, and there is noise."""
    values = np.zeros((COUNT, 48, 64), np.uint8)
    for time in range(COUNT):
        values[time, 10:22, 10 + time : 16 + time] = 1
        values[time, 40, 60] = 1
        if time > 10:
            values[time, 30:40, 5:12] = 1
    return values


def frames():
    for number, picture in enumerate(scene(COUNT)):
        yield LiveFrame(f"f{number}", np.ascontiguousarray(picture.transpose(2, 0, 1)), Fraction(number, 25), 0.0)


@pytest.fixture
def follow(tmp_path):
    zone = {"type": "Polygon", "coordinates": [[[0, 0], [32, 0], [32, 48], [0, 48]]]}
    (tmp_path / "zone.geojson").write_text(json.dumps(zone))
    return FollowOptions(25, True, tmp_path / "zone.geojson")


def everything(out):
    return LivePlaces(out / "a_tracks.csv", out / "a_zones.csv", out / "a", out / "a_overlay.mp4")


def test_files_are_those_of_the_whole_video(tmp_path, follow):
    video = write_pictures(tmp_path / "clip", scene(COUNT))
    whole = FrameLabels(tmp_path / "whole" / "clip", video, COLORS)
    whole.begin(Opened(np.zeros((6, COUNT, 48, 64), np.uint8), (COUNT, 48, 64)), streamed=False)
    whole.sink[:] = labels()
    tables = {
        "a_tracks.csv": TrackCsv(tmp_path / "whole" / "a_tracks.csv", whole, video, 25),
        "a_zones.csv": ZoneCsv(tmp_path / "whole" / "a_zones.csv", whole, video, 25, follow.zone),
    }
    for table in tables.values():
        table.finish()
    whole.finish()

    files = LiveFiles(everything(tmp_path / "live"), follow, COLORS)
    files.begin((48, 64), Fraction(25))
    for frame, label in zip(frames(), labels(), strict=True):
        files.add(frame, label)
    files.close()
    assert sorted(path.name for path in (tmp_path / "live").iterdir()) == [
        "a", "a_overlay.mp4", "a_tracks.csv", "a_zones.csv"]  # fmt: skip
    for name in tables:
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    masks = sorted(path.name for path in (tmp_path / "live" / "a").iterdir())
    assert masks == sorted(path.name for path in (tmp_path / "whole" / "clip").iterdir())
    for name in masks:
        assert (tmp_path / "live" / "a" / name).read_bytes() == (tmp_path / "whole" / "clip" / name).read_bytes()


def test_rows_and_masks_are_there_as_the_frames_come(tmp_path, follow):
    out = tmp_path / "out"
    files = LiveFiles(everything(out), follow, COLORS)
    assert not out.exists()
    files.begin((48, 64), Fraction(25))
    for number, (frame, label) in enumerate(zip(frames(), labels(), strict=True)):
        files.add(frame, label)
        rows = list(csv.DictReader(StringIO((out / "a_tracks.csv").read_text())))
        told = number - files.delay
        assert max((int(row["frame"]) for row in rows), default=-1) == max(-1, told)
        np.testing.assert_array_equal(np.asarray(Image.open(out / "a" / f"f{number}.png")), label)
        assert len(files._waiting) <= files.delay  # memory does not grow
        if number == 20:
            break
    files.close()
    rows = list(csv.DictReader(StringIO((out / "a_tracks.csv").read_text())))
    assert int(rows[-1]["frame"]) == 20
    assert {row["id"] for row in rows} == {"1", "2"}
    assert open_source(out / "a_overlay.mp4").shape == (3, 21, 48, 64)


def test_the_overlay_shows_labels_and_numbers_at_the_times_of_the_frames(tmp_path):
    def drawn(name, follow, places):
        files = LiveFiles(places, follow, COLORS)
        files.begin((48, 64), Fraction(25))
        for frame, label in zip(frames(), labels(), strict=True):
            files.add(frame, label)
        files.close()
        return open_source(tmp_path / name)[...].astype(int)

    plain = drawn("plain.mp4", FollowOptions(), LivePlaces(overlay=tmp_path / "plain.mp4"))
    numbered = drawn(
        "numbers.mp4", FollowOptions(25, True), LivePlaces(tmp_path / "tracks.csv", overlay=tmp_path / "numbers.mp4")
    )
    assert plain.shape == numbered.shape == (3, COUNT, 48, 64)
    moved = labels() == 1
    moved[:, 40, 60] = False
    original = np.moveaxis(scene(COUNT), -1, 0).astype(int)
    red = plain[0] - original[0]
    assert red[moved].mean() > 20
    assert np.abs(red[~moved]).mean() < 12
    assert (np.abs(numbered - plain).max(0) > 60).any()
    from atrous.data.formats.movie import index_of

    index = index_of(tmp_path / "plain.mp4")
    seconds = [float((time - index.times[0]) * index.unit) for time in index.times]
    assert seconds == pytest.approx([number / 25 for number in range(COUNT)], abs=1e-4)


def test_times_that_are_too_close_for_a_video_are_kept_apart(tmp_path):
    files = LiveFiles(LivePlaces(overlay=tmp_path / "a.mp4"), FollowOptions(), COLORS)
    files.begin((48, 64), Fraction(25))
    for number, (frame, label) in enumerate(zip(frames(), labels()[:5], strict=False)):
        files.add(LiveFrame(frame.name, frame.pixels, Fraction(number, 10**7), 0.0), label)
    files.close()
    assert open_source(tmp_path / "a.mp4").shape[1] == 5


def test_nothing_is_written_over_and_zones_must_lie_in_the_frames(tmp_path, follow):
    (tmp_path / "a_tracks.csv").write_text("mine")
    with pytest.raises(UserError, match=r"a_tracks.csv: exists, and is not written over: give another folder with -o"):
        LiveFiles(everything(tmp_path), follow, COLORS)
    assert (tmp_path / "a_tracks.csv").read_text() == "mine"
    zone = {"type": "Polygon", "coordinates": [[[900, 0], [910, 0], [910, 48]]]}
    follow.zone.write_text(json.dumps(zone))
    files = LiveFiles(everything(tmp_path / "out"), follow, COLORS)
    with pytest.raises(UserError, match="outside of frames of 64 x 48"):
        files.begin((48, 64), Fraction(25))
    files.close()
    assert not (tmp_path / "out").exists()


def test_an_unexpected_end_keeps_what_was_written(tmp_path, follow):
    files = LiveFiles(everything(tmp_path / "out"), follow, COLORS)
    files.begin((48, 64), Fraction(25))
    for frame, label in zip(frames(), labels()[:9], strict=False):
        files.add(frame, label)
    files.abandon()
    rows = list(csv.DictReader(StringIO((tmp_path / "out" / "a_tracks.csv").read_text())))
    assert [int(row["frame"]) for row in rows] == list(range(7))
    assert len(list((tmp_path / "out" / "a").iterdir())) == 9
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "a_tracks.csv", "a_zones.csv"]
