"""Labels of videos as files, against what a known labeler says."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from atrous.data.formats import open_source, read_values
from atrous.errors import UserError
from atrous.prediction.clips import write_clip
from tests.clips import make_clip, write_movie

PALETTE = ((0, 0, 0), (255, 0, 0))


def labeler(blocks=1):
    """Says 1 where a frame is bright; frame by frame, or for two halves one after the other."""

    def label(source, sink, progress):
        height = source.shape[2]
        for rows in [slice(0, height)] if blocks == 1 else [slice(0, height // 2), slice(height // 2, height)]:
            for time in range(source.shape[1]):
                bright = np.asarray(source[0, time : time + 1, rows]) > 125
                sink[time : time + 1, rows, :] = bright.astype(np.uint8)

    return SimpleNamespace(palette=PALETTE, plan=lambda shape: SimpleNamespace(blocks=blocks), label=label)


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for time, picture in enumerate(make_clip(3, frames=4)[0]):
        Image.fromarray(picture).save(folder / f"shot_{7 + time}.png")
    return folder


@pytest.mark.parametrize("blocks", [1, 2])
def test_labels_have_the_names_of_their_frames(frames, tmp_path, blocks):
    target = tmp_path / "labels"
    write_clip(labeler(blocks), open_source(frames), frames, target, None)
    assert sorted(path.name for path in target.iterdir()) == ["shot_10.png", "shot_7.png", "shot_8.png", "shot_9.png"]
    np.testing.assert_array_equal(read_values(target), make_clip(3, frames=4)[1])
    with Image.open(target / "shot_7.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[:6] == [0, 0, 0, 255, 0, 0]  # pyright: ignore[reportOptionalSubscript]


def test_the_film_shows_the_labels_on_the_frames(frames, tmp_path):
    write_clip(labeler(), open_source(frames), frames, tmp_path / "labels", tmp_path / "film.mp4")
    film, label = open_source(tmp_path / "film.mp4")[...], make_clip(3, frames=4)[1]
    assert film.shape == (3, 4, 48, 64)
    assert film[0][label == 1].mean() > 190  # half red, half bright
    assert film[2][label == 1].mean() < 120
    assert abs(film[0][label == 0].mean() - 70) < 12


def test_times_of_a_video_are_those_of_its_film(tmp_path):
    from atrous.data.formats.movie import index_of

    clip = write_movie(tmp_path / "clip.mp4", make_clip(3, frames=7)[0], rate=13)
    write_clip(labeler(), open_source(clip), clip, tmp_path / "labels", tmp_path / "film.mp4")
    source, film = index_of(clip), index_of(tmp_path / "film.mp4")
    assert film.rate == source.rate == 13
    seconds = [[(time - index.times[0]) * index.unit for time in index.times] for index in (source, film)]
    assert seconds[0] == seconds[1]


def test_nothing_is_left_of_a_video_that_cannot_be_read_to_its_end(frames, tmp_path):
    (frames / "shot_9.png").write_bytes(b"damaged")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(UserError, match=r"shot_9\.png: this frame cannot be read"):
        write_clip(labeler(), open_source(frames), frames, out / "labels", out / "film.mp4")
    assert list(out.iterdir()) == []
