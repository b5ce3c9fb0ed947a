"""Tables of tracks are made of the labels of a video."""

import csv
import json
from fractions import Fraction
from threading import Event

import numpy as np
import pytest

from atrous.data.formats.movie import MovieWriter
from atrous.data.live_stream import LiveStream
from atrous.errors import UserError
from atrous.prediction.frames import FrameLabels
from atrous.prediction.inputs import Opened
from atrous.prediction.track_files import TrackCsv, ZoneCsv, frame_times
from atrous.prediction.zones import FollowOptions
from tests.clips import write_frames, write_movie
from tests.pairs import make_scene
from tests.prediction.videos import label_video, write_shots

LEFT_HALF = {"type": "Polygon", "coordinates": [[[0, 0], [32, 0], [32, 48], [0, 48]]]}


@pytest.fixture
def labelled(tmp_path):
    """The labels of a folder of frames over which a square moves to the right, one pixel a frame."""
    video = tmp_path / "clip"
    video.mkdir()
    pictures, _ = make_scene(frames=40)
    from PIL import Image

    for time, picture in enumerate(pictures):
        Image.fromarray(picture).save(video / f"{time:05d}.png")
    values = np.zeros((40, 48, 64), np.uint8)
    for time in range(40):
        values[time, 10:22, 10 + time : 16 + time] = 1
        values[time, 40, 60] = 1  # noise
    labels = FrameLabels(tmp_path / "out" / "clip", video, ((0, 0, 0), (255, 0, 0)))
    labels.begin(Opened(np.zeros((6, 40, 48, 64), np.uint8), (40, 48, 64)), streamed=False)
    labels.sink[:] = values
    return labels, video, tmp_path / "out"


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_thing_in_each_frame(labelled):
    labels, video, out = labelled
    TrackCsv(out / "clip_tracks.csv", labels, video, 25).finish()
    rows = read(out / "clip_tracks.csv")
    assert len(rows) == 40
    assert {row["id"] for row in rows} == {"1"}
    assert rows[7] == {
        "frame": "7", "seconds": "0.280", "id": "1", "left": "17", "top": "10", "width": "6", "height": "12",
        "area": "72",
    }  # fmt: skip


def test_zones_count_what_crosses_them(labelled):
    labels, video, out = labelled
    (out.parent / "zone.geojson").write_text(json.dumps(LEFT_HALF))
    ZoneCsv(out / "clip_zones.csv", labels, video, 25, out.parent / "zone.geojson").finish()
    assert read(out / "clip_zones.csv") == [
        {"minute": "0", "zone": "zone 1", "entered": "1", "left": "1", "inside": "0"}
    ]
    with pytest.raises(UserError, match="no such file"):
        ZoneCsv(out / "other.csv", labels, video, 25, out / "none.geojson")


def test_frames_of_a_file_have_its_times(tmp_path):
    pictures, _ = make_scene(frames=5)
    movie = write_movie(tmp_path / "clip.mp4", pictures, rate=10)
    assert [frame_times(movie)(frame) for frame in range(3)] == pytest.approx([0.0, 0.1, 0.2])
    frames = write_frames(tmp_path / "frames", clips=1) / "JPEGImages" / "clip0"
    assert frame_times(frames)(50) == 2.0


def test_a_break_in_the_times_of_a_file_counts_as_the_next_frame_as_it_does_live(tmp_path):
    movie = MovieWriter(tmp_path / "clip.mkv", (48, 64), 25, Fraction(1, 1000))
    for picture, time in zip(make_scene(frames=5)[0], (0, 40, 90, 7_300_000, 7_300_040), strict=True):
        movie.write(picture, time)
    movie.close()
    live = [float(frame.seconds) for frame in LiveStream(tmp_path / "clip.mkv", "clip", 5, None, print).frames(Event())]
    seconds = frame_times(tmp_path / "clip.mkv")
    assert [seconds(frame) for frame in range(5)] == live == [0.0, 0.04, 0.09, 0.13, 0.17]


def test_zones_beside_the_frames_are_told_before_the_work(tmp_path):
    frames, zone = write_shots(tmp_path / "frames"), tmp_path / "zone.geojson"
    zone.write_text(json.dumps({"type": "Polygon", "coordinates": [[[13.1, 52.3], [13.2, 52.3], [13.2, 52.4]]]}))
    done = label_video(frames, tmp_path / "out", tracks=FollowOptions(25, False, zone))
    assert "zone 1 lies at 13.1 to 13.2 across and 52.3 to 52.4 down, outside of frames of 64 x 48" in done.failed[0][1]
    assert not list((tmp_path / "out").glob("*"))


def test_arrays_have_the_times_of_frames_in_a_folder(tmp_path):
    assert frame_times(tmp_path / "clip.npy")(50) == 2.0
