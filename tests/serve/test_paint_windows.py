"""What a live training sees: small images whole, of large ones the windows around strokes; some pieces are held out."""

import numpy as np
import pytest
import zarr

from atrous.data.dataset import resolve
from atrous.data.description import read_description
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.serve import paint_windows
from atrous.serve.found import find_files
from atrous.serve.paint_folder import PaintClass, PaintedFolder
from atrous.serve.paint_strokes import Stroke
from atrous.serve.paint_windows import hold_out, painted_layout

RNG = np.random.default_rng(0)


def test_pieces_are_held_out_whole_and_stay_so():
    labels = np.full((200, 200), IGNORE, np.uint8)
    for number in range(40):
        row, column = divmod(number, 8)
        labels[40 * row + 5 : 40 * row + 20, 25 * column : 25 * column + 9] = number % 2
    learned, held_out = hold_out(labels, "image")
    kept = held_out != IGNORE
    assert kept.any()
    assert not (kept & (learned != IGNORE)).any()
    np.testing.assert_array_equal(np.where(kept, held_out, learned), labels)
    pieces = [
        held_out[40 * row + 5 : 40 * row + 20, 25 * column : 25 * column + 9] for row in range(5) for column in range(8)
    ]
    assert {len(np.unique(piece)) for piece in pieces} == {1}
    assert 1 <= sum(piece[0, 0] != IGNORE for piece in pieces) <= 13
    more = labels.copy()
    more[195:, 190:] = 0  # another stroke changes nothing of what was held out
    np.testing.assert_array_equal(hold_out(more, "image")[1][:190], held_out[:190])


def test_nothing_is_held_out_of_a_class_with_few_pieces():
    labels = np.full((60, 60), IGNORE, np.uint8)
    labels[5:9], labels[20:24], labels[40:44] = 0, 0, 1
    learned, held_out = hold_out(labels, "image")
    np.testing.assert_array_equal(learned, labels)
    assert (held_out == IGNORE).all()


@pytest.fixture
def painted(tmp_path):
    """A painted data set of one image, and its values."""
    values = RNG.integers(0, 256, (3, 120, 150)).astype(np.uint8)
    zarr.create_array(tmp_path / "in" / "a.zarr", data=values, chunks=(3, 64, 64))
    folder = PaintedFolder(tmp_path / "painted")
    folder.set_classes([PaintClass("a", (255, 0, 0)), PaintClass("b", (0, 255, 0))])
    image = folder.image(find_files([tmp_path / "in"], None, print)[0], (120, 150))
    image.paint((0, 0), Stroke("box", [(2, 2), (6, 9)]), 0)
    image.paint((0, 0), Stroke("box", [(70, 101), (76, 109)]), 1)
    yield folder.root, values
    folder.close()


def samples(root):
    description = read_description(root)
    dataset, _ = resolve(root, description, painted_layout(root, description), list)
    return dataset.splits


def test_a_small_image_is_seen_whole(painted):
    root, values = painted
    splits = samples(root)
    assert len(splits["train"]) == 1
    assert splits["val"] == splits["train"]  # nothing is held out yet
    np.testing.assert_array_equal(splits["train"][0].image.load(), values)
    labels = splits["train"][0].target.read()
    assert (np.count_nonzero(labels == 0), np.count_nonzero(labels == 1)) == (28, 48)


def test_of_a_large_image_the_windows_around_strokes_are_seen(painted, monkeypatch):
    root, values = painted
    monkeypatch.setattr(paint_windows, "WHOLE", 1000)
    monkeypatch.setattr(paint_windows, "SIDE", {2: 50})
    monkeypatch.setattr(paint_windows, "MARGIN", {2: 8})
    train = samples(root)["train"]
    windows = [(slice(0, 58), slice(0, 58)), (slice(42, 108), slice(92, 150))]
    assert len(train) == 2
    for sample, window in zip(train, windows, strict=True):
        np.testing.assert_array_equal(sample.image.load(), values[(slice(None), *window)])
        assert sample.image.header().shape == (3, *(part.stop - part.start for part in window))
    assert (train[1].target.read()[28:34, 9:17] == 1).all()
    assert [np.count_nonzero(one.target.read() != IGNORE) for one in train] == [28, 48]


def test_values_that_mean_no_data_are_none_in_whole_images_and_in_windows(painted, monkeypatch):
    root, values = painted
    with (root / "dataset.toml").open("a") as file:
        file.write("nodata = 7\n")
    wanted = np.where(values == 7, np.nan, values.astype(np.float32))
    np.testing.assert_array_equal(samples(root)["train"][0].image.load(), wanted)
    monkeypatch.setattr(paint_windows, "WHOLE", 1000)
    monkeypatch.setattr(paint_windows, "SIDE", {2: 50})
    monkeypatch.setattr(paint_windows, "MARGIN", {2: 8})
    np.testing.assert_array_equal(samples(root)["train"][0].image.load(), wanted[:, :58, :58])


def test_without_strokes_there_is_nothing_to_learn(tmp_path):
    folder = PaintedFolder(tmp_path / "painted")
    folder.set_classes([PaintClass("a", (255, 0, 0)), PaintClass("b", (0, 255, 0))])
    with pytest.raises(UserError, match="nothing is painted yet"):
        samples(folder.root)
    folder.close()
