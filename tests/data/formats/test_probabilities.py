"""Probabilities as files, read back by their libraries."""

import numpy as np
import pytest
import tifffile
import zarr

from atrous.data.formats.probabilities import write_probabilities

CLASSES = ("background", "ball", "cube")


@pytest.mark.parametrize("shape", [(40,), (9, 12), (5, 9, 12)])
@pytest.mark.parametrize("suffix", [".zarr", ".tif"])
def test_probabilities_of_any_grid_come_back_with_their_classes(tmp_path, shape, suffix):
    values = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    path = tmp_path / f"a{suffix}"
    write_probabilities(path, values, CLASSES)
    if suffix == ".zarr":
        array = zarr.open(path, mode="r")
        assert array.attrs["classes"] == list(CLASSES)
        np.testing.assert_array_equal(array[...], values)
    else:
        with tifffile.TiffFile(path) as file:
            np.testing.assert_array_equal(file.series[0].asarray(), values)
            assert file.series[0].axes == "C" + "ZYX"[-len(shape) :]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
