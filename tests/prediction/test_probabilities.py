"""Files of probabilities: on disk while they are streamed, on the grid of the input when they are finished."""

import numpy as np
import pytest
import tifffile
import zarr

from atrous.prediction.inputs import Opened
from atrous.prediction.probabilities import ProbabilityFile

VALUES = np.random.default_rng(0).random((2, 6, 8), np.float32)


def read(path):
    return zarr.open_array(path, mode="r")[:] if path.suffix == ".zarr" else tifffile.imread(path)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("suffix", [".zarr", ".tif"])
def test_what_is_assigned_is_in_the_file_and_void_is_nan(tmp_path, suffix, streamed):
    valid = np.ones((6, 8), bool)
    valid[2, 3] = False
    path = tmp_path / f"a{suffix}"
    output = ProbabilityFile(path, tmp_path / "in.npy", ("no", "yes"))
    output.begin(Opened(np.zeros((1, 6, 8)), (6, 8), None, valid), streamed)
    for row in (0, 3):
        output.sink[:, row : row + 3] = VALUES[:, row : row + 3]
    assert not path.exists()
    output.finish()
    np.testing.assert_array_equal(read(path), np.where(valid, VALUES, np.nan))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".zarr", ".tif"])
def test_they_come_back_to_the_grid_of_the_file(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    valid = np.ones((12, 8), bool)
    valid[11] = False
    output = ProbabilityFile(path, tmp_path / "in.npy", ("no", "yes"))
    output.begin(Opened(np.zeros((1, 6, 8)), (12, 8), None, valid), streamed=True)
    output.sink[...] = VALUES
    output.finish()
    values = read(path)
    assert values.shape == (2, 12, 8)
    np.testing.assert_allclose(values[:, 0], VALUES[:, 0], rtol=1e-6)
    assert np.isnan(values[:, 11]).all()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".zarr", ".tif"])
def test_discard_leaves_nothing(tmp_path, suffix):
    output = ProbabilityFile(tmp_path / f"a{suffix}", tmp_path / "in.npy", ("no", "yes"))
    output.begin(Opened(np.zeros((1, 6, 8)), (6, 8)), streamed=True)
    assert list(tmp_path.iterdir())
    output.discard()
    output.discard()
    assert not list(tmp_path.iterdir())
