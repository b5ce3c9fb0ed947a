"""Labels of videos as a folder of images, against those of a known labeler."""

import numpy as np
import pytest
from PIL import Image

from atrous.data.formats import read_values
from atrous.prediction.frames import FrameLabels
from atrous.prediction.inputs import Opened
from atrous.stream.resume import record_beside
from tests.clips import make_clip
from tests.prediction.videos import PALETTE, label_video, write_shots


@pytest.mark.parametrize("blocks", [1, 2])
def test_labels_have_the_names_of_their_frames(tmp_path, blocks):
    frames, out = write_shots(tmp_path / "frames"), tmp_path / "out"
    done = label_video(frames, out, blocks=blocks)
    assert done.written == (out / "labels",)
    assert [path.name for path in out.iterdir()] == ["labels"]
    names = sorted(path.name for path in (out / "labels").iterdir())
    assert names == ["shot_10.png", "shot_7.png", "shot_8.png", "shot_9.png"]
    np.testing.assert_array_equal(read_values(out / "labels"), make_clip(3, frames=4)[1])
    with Image.open(out / "labels" / "shot_7.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[:6] == [0, 0, 0, 255, 0, 0]  # pyright: ignore[reportOptionalSubscript]


def test_nothing_is_left_of_a_video_that_cannot_be_read_to_its_end(tmp_path):
    frames, out = write_shots(tmp_path / "frames"), tmp_path / "out"
    (frames / "shot_9.png").write_bytes(b"damaged")
    done = label_video(frames, out, overlay=True)
    assert done.written == ()
    assert "shot_9.png: this frame cannot be read" in done.failed[0][1]
    assert list(out.iterdir()) == []


def test_two_frames_whose_labels_would_have_one_name_are_refused(tmp_path):
    frames, out = write_shots(tmp_path / "frames"), tmp_path / "out"
    Image.open(frames / "shot_9.png").save(frames / "shot_9.jpg")
    done = label_video(frames, out)
    assert done.written == ()
    assert "shot_9.png: the same name as shot_9.jpg, and so would be their labels" in done.failed[0][1]
    assert not list(out.glob("*"))
    assert not list(out.glob(".*"))


def test_nothing_is_left_of_an_interrupted_video(tmp_path):
    frames, out = write_shots(tmp_path / "frames"), tmp_path / "out"

    def interrupt(done):
        if done > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label_video(frames, out, overlay=True, progress=interrupt)
    assert list(out.iterdir()) == []


def test_a_run_that_does_not_begin_keeps_what_an_earlier_one_left(tmp_path):
    frames, place = write_shots(tmp_path / "frames"), tmp_path / "out" / "labels"
    first = FrameLabels(place, frames, PALETTE)
    first.begin(Opened(np.zeros((3, 4, 48, 64), np.uint8), (4, 48, 64)), streamed=True)
    first.sink[0:1] = np.zeros((1, 48, 64), np.uint8)
    record_beside(first.sink.filename).write_text("{}")
    first.pause()
    FrameLabels(place, frames, PALETTE).pause()
    FrameLabels(place, frames, PALETTE).discard()
    assert (first.sink.filename / "shot_7.png").exists()
    first.discard()
    assert not list((tmp_path / "out").iterdir())
