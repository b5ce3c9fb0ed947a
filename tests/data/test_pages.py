"""Pages are read as slices or as channels."""

import numpy as np
import pytest

from atrous.data.formats import Header
from atrous.data.pages import turn_header, turn_pages, turn_source
from atrous.verbs.check import check

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("pages", [None, "z", "channels", "rows"])
@pytest.mark.parametrize("shape", [(1, 5, 8, 9), (5, 8, 9), (1, 8, 9), (1, 2, 500), (2, 500)])
def test_the_header_of_turned_pages_is_that_of_the_turned_image(shape, pages):
    image = RNG.random(shape)
    header = Header(shape, "float32", "array", spacing=(1.0,) * (len(shape) - 1))
    turned = turn_header(header, pages)
    assert turned.shape == turn_pages(image, pages).shape
    assert turned.spacing is None or len(turned.spacing) == len(turned.size)


@pytest.mark.parametrize(
    ("shape", "ndim", "channels", "expected"),
    [
        ((1, 5, 8, 9), 2, 5, (5, 8, 9)),
        ((5, 8, 9), 3, 1, (1, 5, 8, 9)),
        ((1, 5, 8, 9), 3, 1, (1, 5, 8, 9)),
        ((3, 8, 9), 2, 3, (3, 8, 9)),
        ((1, 5, 8, 9), 2, 4, (1, 5, 8, 9)),
        ((1, 2, 500), 1, 2, (2, 500)),
        ((1, 2, 500), 1, 3, (1, 2, 500)),
        ((1, 2, 500), 2, 1, (1, 2, 500)),
        ((2, 500), 1, 2, (2, 500)),
    ],
)
def test_a_source_is_turned_as_the_network_reads_it(shape, ndim, channels, expected):
    image = RNG.random(shape)
    source = turn_source(image, ndim, channels)
    assert source.shape == expected
    np.testing.assert_array_equal(source[...], image.reshape(expected))


def test_three_slices_in_arrays_without_named_axes_need_one_line_which_check_says(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abc":
        label = np.zeros((3, 30, 40), np.uint8)
        label[0, 5:20, 5:20], label[2, 8:25, 8:25] = 1, 2
        for folder, values in (("images", label * 50 + rng.integers(0, 20, label.shape, np.uint8)), ("masks", label)):
            (tmp_path / folder).mkdir(exist_ok=True)
            np.save(tmp_path / folder / f"{name}.npy", values)
    report = check(tmp_path)
    assert not report.ok
    assert 'if their first axis is that of slices, write pages = "z" in dataset.toml' in report.errors[0].fix
    (tmp_path / "dataset.toml").write_text('pages = "z"\n')
    report = check(tmp_path)
    assert report.ok
    assert report.fingerprint.ndim == 3


def write_recordings(root, mask_shape):
    """Arrays (2, 500), with masks of another shape of the same length or without any."""
    rng = np.random.default_rng(0)
    for name in "abcdef":
        (root / "images").mkdir(parents=True, exist_ok=True)
        np.save(root / "images" / f"{name}.npy", rng.normal(size=(2, 500)).astype(np.float32))
        label = np.zeros(mask_shape, np.uint8)
        label[..., 100:200] = 1
        (root / "masks").mkdir(exist_ok=True)
        np.save(root / "masks" / f"{name}.npy", label)
    return root


def test_masks_of_one_axis_make_the_rows_of_an_array_channels(tmp_path):
    found = check(write_recordings(tmp_path, (500,)))
    assert found.ok, found.text()
    assert (found.fingerprint.ndim, found.fingerprint.channels) == (1, 2)
    sample = found.dataset.samples[0]
    np.testing.assert_array_equal(sample.image.load(), np.load(sample.image.path))
    assert sample.target.read().shape == sample.image.header().size == (500,)
    assert not any("rows" in note for note in found.notes)


def test_masks_of_two_axes_make_an_array_an_image(tmp_path):
    found = check(write_recordings(tmp_path, (2, 500)))
    assert found.ok, found.text()
    assert (found.fingerprint.ndim, found.fingerprint.channels) == (2, 1)
    assert not any("rows" in note for note in found.notes)


def test_without_a_hint_check_says_how_an_array_was_read_and_how_to_say_otherwise(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("still", "moving"):
        (tmp_path / "train" / kind).mkdir(parents=True)
        for name in "abcd":
            np.save(tmp_path / "train" / kind / f"{name}.npy", rng.normal(size=(2, 500)).astype(np.float32))
    (tmp_path / "dataset.toml").write_text('task = "classification"\n')
    found = check(tmp_path)
    assert found.fingerprint.ndim == 2
    said = 'read as an image of 2 x 500: if its rows are channels of a recording, write pages = "rows" in dataset.toml'
    assert sum(said in note for note in found.notes) == 1
    (tmp_path / "dataset.toml").write_text('task = "classification"\npages = "rows"\n')
    found = check(tmp_path)
    assert (found.fingerprint.ndim, found.fingerprint.channels) == (1, 2)
    assert not any("rows" in note for note in found.notes)
