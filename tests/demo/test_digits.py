import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.demo.digits import CLASSES, PALETTE, SPLITS, _glyphs, digit_scene, write_digit_scenes
from atrous.errors import UserError
from atrous.verbs.check import check


def test_a_scene_is_decided_by_its_arguments():
    image, label = digit_scene((96, 128), seed=5)
    again = digit_scene((96, 128), seed=5)
    assert image.dtype == label.dtype == np.uint8
    assert (image.shape, label.shape) == ((3, 96, 128), (96, 128))
    np.testing.assert_array_equal(image, again[0])
    np.testing.assert_array_equal(label, again[1])
    assert (digit_scene((96, 128), seed=6)[0] != image).any()
    assert (digit_scene((96, 128), seed=5, split="test")[0] != image).any()


@pytest.mark.parametrize("shape", [(16, 16), (16, 300), (33, 17), (200, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_has_a_digit(shape, channels):
    for seed in range(5):
        image, label = digit_scene(shape, seed, channels)
        assert image.shape == (channels, *shape)
        assert label.any()
        assert label.max() <= 10


def test_large_scenes_hold_every_digit_about_equally():
    _, label = digit_scene((1024, 1024), seed=0)
    shares = np.bincount(label.ravel(), minlength=11) / label.size
    assert 0.8 < shares[0] < 0.92
    assert shares[1:].min() > 0.4 * shares[1:].max()


def test_splits_share_no_glyph_and_have_all_digits():
    seen = [{glyph.tobytes() for glyph in _glyphs(split).images} for split in SPLITS]
    assert sum(len(s) for s in seen) == len(set.union(*seen))
    for split in SPLITS:
        assert set(_glyphs(split).digits) == set(range(10))


def test_digits_stand_out_from_their_surroundings():
    """The difference in gray across the edge of a label is several times the noise."""
    image, label = digit_scene((512, 512), seed=1, channels=1)
    from scipy import ndimage

    parts, count = ndimage.label(label)
    steps = []
    for i in range(1, count + 1):
        inside = parts == i
        if inside.sum() < 60:
            continue
        around = ndimage.binary_dilation(inside, iterations=4) & ~ndimage.binary_dilation(label > 0, iterations=2)
        steps.append(image[0][inside].mean() - image[0][around].mean())
    assert len(steps) > 30
    assert np.median(np.abs(steps)) > 40
    assert np.quantile(np.abs(steps), 0.05) > 20


def test_a_written_data_set_is_read_as_composed(tmp_path):
    folder = write_digit_scenes(tmp_path / "data", train=3, val=1, test=2, size=(64, 80), seed=7)
    dataset = open_dataset(folder)
    assert dataset.classes == CLASSES
    assert dataset.palette == PALETTE
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 3, "val": 1, "test": 2}
    _, label = digit_scene((64, 80), seed=8, split="test")
    np.testing.assert_array_equal(dataset.splits["test"][1].target.read(), label)
    assert check(folder).ok
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_existing_folder_is_left_as_it_is(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="exists already"):
        write_digit_scenes(tmp_path / "data", train=1, val=0, test=0, size=(16, 16))
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize("wrong", [{"shape": (8, 99)}, {"channels": 2}, {"split": "dev"}])
def test_a_scene_that_cannot_be_made_is_refused(wrong):
    with pytest.raises(UserError, match="digit scene"):
        digit_scene(**wrong)
