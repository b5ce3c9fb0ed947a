"""The inputs of a proof have odd sizes that the file takes."""

import numpy as np

from atrous.exporting.crops import crop_size, made_images, odd_crops
from atrous.exporting.program import ExportSizes


def test_crops_are_odd_different_and_from_the_middle():
    image = np.arange(500 * 600).reshape(1, 500, 600)
    crops = odd_crops([image], ExportSizes((33, 33), (1, 1)))
    sizes = [crop.shape[1:] for crop in crops]
    assert len(set(sizes)) == 3
    assert all(n % 2 for size in sizes for n in size)
    height, width = sizes[0]
    top, left = (500 - height) // 2, (600 - width) // 2
    np.testing.assert_array_equal(crops[0], image[:, top : top + height, left : left + width])


def test_small_images_are_continued_and_images_take_turns():
    images = [np.full((2, 5), n, np.uint8) for n in range(2)]
    crops = odd_crops(images, ExportSizes((9,), (1,)))
    assert [crop.shape for crop in crops] == [(2, 9)] * 3
    assert [crop.max() for crop in crops] == [0, 1, 0]
    assert crops[0].dtype == np.uint8


def test_multiples_and_one_size_are_kept():
    assert crop_size((100, 100), 1, ExportSizes((64, 64), (32, 32))) == (96, 96)
    assert crop_size((10, 10), 2, ExportSizes((64, 64), (32, 32))) == (64, 64)
    assert crop_size((100, 100), 0, ExportSizes((9, 9), (1, 1), (50, 40))) == (50, 40)


def test_made_images_are_in_the_range():
    low, high = np.array([10.0, -1.0]), np.array([20.0, 1.0])
    for image in made_images(2, ExportSizes((9, 9, 9), (1, 1, 1)), low, high):
        assert image.dtype == np.float32
        assert (image.min(axis=(1, 2, 3)) >= low).all()
        assert (image.max(axis=(1, 2, 3)) <= high).all()
        assert image.std() > 1


def test_no_more_of_a_large_image_is_read_than_its_crop():
    class Large:
        shape, dtype = (3, 100_000, 100_000), np.dtype(np.uint8)

        def __getitem__(self, key):
            parts = zip(self.shape, key, strict=True)
            return np.zeros([n if part == slice(None) else part.stop - part.start for n, part in parts])

    assert odd_crops([Large()], ExportSizes((33, 33), (1, 1)))[0].shape == (3, 321, 317)
