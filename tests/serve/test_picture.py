"""A file is opened for display: its planes, levels, values and first windows."""

import nibabel
import numpy as np
import pytest
import tifffile

from atrous.errors import UserError
from atrous.prediction.inputs import Input
from atrous.serve.cache import CacheFolder
from atrous.serve.found import ServedFile
from atrous.serve.picture import OpenedPicture, Plane
from tests.slides import coarser, write_svs

RNG = np.random.default_rng(0)


def opened(path, cache):
    return OpenedPicture(ServedFile(path.name, Input((path,), path), None), CacheFolder(cache))


@pytest.fixture
def volume(tmp_path):
    """Voxels of 1 x 1 x 3 mm, `(1, 5, 20, 30)` as it is read."""
    values = RNG.normal(size=(30, 20, 5)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, 3, 1])), tmp_path / "v.nii.gz")
    return opened(tmp_path / "v.nii.gz", tmp_path / "cache"), values.T


def test_planes_of_a_volume(volume):
    picture, values = volume
    assert picture.shape == (1, 5, 20, 30)
    assert list(picture.axes) == [0, 1, 2]
    np.testing.assert_array_equal(picture.tile(Plane(0, 3), 0, 0, 0)[0], values[3])
    assert picture.grid(Plane(1, 7)) == (5, 30)
    assert picture.size(Plane(1, 7)) == (15, 30)  # as high as in space
    tile = picture.tile(Plane(1, 7), 0, 0, 0)[0]
    np.testing.assert_allclose(tile[1::3], values[:, 7], atol=1e-6)
    assert picture.spacing(Plane(2, 0)) == (3.0, 1.0)
    assert picture.value((2, 3, 4)) == [pytest.approx(float(values[2, 3, 4]))]


@pytest.mark.parametrize("plane", [Plane(0, 5), Plane(3, 0), Plane(1, 20), Plane(2, -1)])
def test_there_is_no_plane_outside(volume, plane):
    with pytest.raises(UserError, match="this image has 5 x 20 x 30"):
        volume[0].check(plane)


def test_an_image_of_16_bits_has_a_window_of_its_own(tmp_path):
    values = RNG.normal(3000, 50, (400, 500)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, tile=(128, 128), compression="zlib")
    picture = opened(tmp_path / "a.tif", tmp_path / "cache")
    assert picture.nbytes == 0
    assert 2800 < picture.shown[0].low < 2950
    assert 3050 < picture.shown[0].high < 3200
    np.testing.assert_array_equal(picture.tile(Plane(), 0, 1, 1)[0], values[256:, 256:])
    assert picture.value((399, 499)) == [values[399, 499]]
    with pytest.raises(UserError, match="position 400, 0: this image has 400 x 500"):
        picture.value((400, 0))


def test_a_slide_shows_its_own_copies(tmp_path):
    pixels = RNG.integers(0, 256, (640, 700, 3)).astype(np.uint8)
    picture = opened(write_svs(tmp_path / "a.svs", pixels, factors=(1, 4)), tmp_path / "cache")
    assert picture.shape == (3, 640, 700)
    assert picture.spacing(Plane()) == (0.25, 0.25)
    np.testing.assert_array_equal(picture.tile(Plane(), 0, 0, 1), np.moveaxis(pixels[:256, 256:512], -1, 0))
    np.testing.assert_array_equal(picture.tile(Plane(), 2, 0, 0), np.moveaxis(coarser(pixels, 4), -1, 0))


def test_a_replaced_file_has_another_identity(tmp_path):
    for number in range(2):
        tifffile.imwrite(tmp_path / "a.tif", np.full((8, 9 + number), number, np.uint8))
        identity = opened(tmp_path / "a.tif", tmp_path / "cache").identity
        assert identity == opened(tmp_path / "a.tif", tmp_path / "cache").identity
        (tmp_path / f"{identity}.seen").touch(exist_ok=False)


def test_a_signal_is_refused(tmp_path):
    (tmp_path / "b.csv").write_text("x,y\n1,2\n3,4\n")
    with pytest.raises(UserError, match="images and volumes are shown"):
        opened(tmp_path / "b.csv", tmp_path / "cache")
