"""Videos with the labels drawn over the frames."""

import numpy as np
import pytest

from atrous.data.formats import open_source
from atrous.data.formats.movie import index_of
from atrous.prediction.zones import FollowOptions
from tests.clips import make_clip, write_movie
from tests.prediction.videos import label_video, write_shots


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_video_shows_the_labels_on_the_frames(tmp_path, blocks):
    label_video(write_shots(tmp_path / "frames"), tmp_path / "out", overlay=True, blocks=blocks)
    drawn, label = open_source(tmp_path / "out" / "labels_overlay.mp4")[...], make_clip(3, frames=4)[1]
    assert drawn.shape == (3, 4, 48, 64)
    assert drawn[0][label == 1].mean() > 190  # half red, half bright
    assert drawn[2][label == 1].mean() < 120
    assert abs(drawn[0][label == 0].mean() - 70) < 12


def test_its_frames_have_the_times_of_the_input(tmp_path):
    clip = write_movie(tmp_path / "clip.mp4", make_clip(3, frames=7)[0], rate=13)
    label_video(clip, tmp_path / "out", overlay=True)
    source, drawn = index_of(clip), index_of(tmp_path / "out" / "labels_overlay.mp4")
    assert drawn.rate == source.rate == 13
    seconds = [[(time - index.times[0]) * index.unit for time in index.times] for index in (source, drawn)]
    assert seconds[0] == seconds[1]


def test_it_is_made_for_labels_that_exist_and_they_stay(tmp_path):
    frames, out = write_shots(tmp_path / "frames"), tmp_path / "out"
    (out / "labels").mkdir(parents=True)
    (out / "labels" / "by_hand.png").write_bytes(b"labels")
    done = label_video(frames, out, overlay=True)
    assert done.written == (out / "labels",)
    assert [path.name for path in (out / "labels").iterdir()] == ["by_hand.png"]
    assert sorted(path.name for path in out.iterdir()) == ["labels", "labels_overlay.mp4"]
    assert label_video(frames, out, overlay=True).skipped == (out / "labels",)


def test_what_is_followed_has_its_box_and_number(tmp_path):
    frames, label = write_shots(tmp_path / "frames"), make_clip(3, frames=4)[1]
    label_video(frames, tmp_path / "plain", overlay=True)
    label_video(frames, tmp_path / "tracks", overlay=True, tracks=FollowOptions(25, True, None))
    plain, drawn = (
        open_source(tmp_path / folder / "labels_overlay.mp4")[...].astype(int) for folder in ("plain", "tracks")
    )
    changed = np.abs(drawn - plain).max(0) > 60
    for time in range(4):
        rows, columns = np.nonzero(label[time])
        top, left, bottom, right = rows.min(), columns.min(), rows.max(), columns.max()
        assert changed[time, bottom, left + 2 : right - 1].mean() > 0.8  # the lower side of the box
        above = drawn[:, time, max(0, top - 15) : top + 15, max(0, left - 2) : left + 15]
        assert (above.min(0) > 200).sum() >= 4  # a white figure
