import numpy as np
import pytest
import rasterio

from atrous.data.composite import CompositeImage
from atrous.data.formats import FileFault
from atrous.data.images import FileImage
from tests.data.data_folders import save


def pair(before, after):
    return CompositeImage((FileImage(before), FileImage(after)))


def test_the_channels_of_the_second_image_come_after_those_of_the_first(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (6, 8, 3), dtype=np.uint8) for _ in range(2)]
    for name, picture in zip(("A", "B"), pictures, strict=True):
        save(tmp_path / name / "x.png", picture)
    image = pair(tmp_path / "A" / "x.png", tmp_path / "B" / "x.png")
    np.testing.assert_array_equal(image.load(), np.concatenate([np.moveaxis(one, -1, 0) for one in pictures]))
    assert image.header().shape == (6, 6, 8)
    assert image.path == tmp_path / "A" / "x.png"
    assert image.files == (tmp_path / "A" / "x.png", tmp_path / "B" / "x.png")
    assert image.valid() is None


def test_images_of_two_sizes_are_refused_and_named_with_their_folders(tmp_path):
    save(tmp_path / "A" / "x.png", np.zeros((6, 8, 3), np.uint8))
    save(tmp_path / "B" / "x.png", np.zeros((6, 9, 3), np.uint8))
    with pytest.raises(FileFault, match=r"B/x.png: it is 6 x 9, A/x.png 6 x 8: bring both images to one grid"):
        pair(tmp_path / "A" / "x.png", tmp_path / "B" / "x.png").load()


def test_a_gray_image_beside_one_in_color_is_refused(tmp_path):
    save(tmp_path / "a.png", np.zeros((6, 8, 3), np.uint8))
    save(tmp_path / "b.png", np.zeros((6, 8), np.uint8))
    with pytest.raises(FileFault, match=r"b.png: it has 1 channel, a.png 3 channels: write channels"):
        pair(tmp_path / "a.png", tmp_path / "b.png").load()


def test_an_image_of_8_bits_beside_one_of_16_is_refused(tmp_path):
    save(tmp_path / "a.png", np.zeros((6, 8), np.uint8))
    save(tmp_path / "b.png", np.zeros((6, 8), np.uint16))
    with pytest.raises(FileFault, match=r"b.png: its values are uint16, those of a.png uint8: their scales differ"):
        pair(tmp_path / "a.png", tmp_path / "b.png").load()


def write_map(path, left, crs="EPSG:32633"):
    values = np.arange(80, dtype=np.uint8).reshape(1, 8, 10)
    profile = {"driver": "GTiff", "height": 8, "width": 10, "count": 1, "dtype": "uint8", "crs": crs, "nodata": 3}
    with rasterio.open(path, "w", transform=rasterio.Affine(2.0, 0.0, left, 0.0, -2.0, 5000.0), **profile) as file:
        file.write(values)
    return path


def test_maps_of_two_places_are_refused_and_a_shift_of_a_pixel_is_not(tmp_path):
    here = write_map(tmp_path / "a.tif", 1000)
    near = pair(here, write_map(tmp_path / "near.tif", 1002))
    assert near.load().shape == (2, 8, 10)
    assert not near.valid()[...][0, 3]
    with pytest.raises(FileFault, match=r"far.tif: its corners lie up to 100 pixels from those of a.tif"):
        pair(here, write_map(tmp_path / "far.tif", 1200)).load()
    with pytest.raises(FileFault, match="its projection is EPSG:32634"):
        pair(here, write_map(tmp_path / "other.tif", 1000, "EPSG:32634")).load()
