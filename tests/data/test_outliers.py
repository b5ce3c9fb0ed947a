"""Values for "no data" that a file does not declare are found, named, and left out once dataset.toml declares them."""

import numpy as np
import pytest
import tifffile

from atrous.data.dataset import open_dataset
from atrous.data.moments import moments
from atrous.data.outliers import far_value
from atrous.verbs.check import check
from tests.data.data_folders import save


def found(values):
    return far_value(values, moments(values))


@pytest.mark.parametrize("value", [-9999, np.finfo(np.float32).min, 1e20, -32768])
def test_a_far_value_that_covers_an_area_is_found(value):
    image = np.random.default_rng(0).uniform(0.5, 2.5, (4, 50, 60)).astype(np.float32)
    image[:, :, :10] = value
    outlier = found(image)
    assert outlier.value == np.float32(value)
    assert outlier.share == pytest.approx(1 / 6)
    assert 0.5 <= outlier.low < outlier.high <= 2.5


def test_ordinary_extremes_are_not():
    rng = np.random.default_rng(0)
    assert found(rng.normal(0, 1, (3, 50, 60))) is None
    saturated = np.minimum(rng.integers(0, 90_000, (1, 50, 60)), 65535).astype(np.uint16)
    assert found(saturated) is None
    one_pixel = rng.uniform(0, 1, (1, 50, 60))
    one_pixel[0, 0, 0] = 1e6
    assert found(one_pixel) is None  # a hot pixel is no area
    assert found(np.ones((1, 50, 60))) is None
    assert (
        found(np.where(rng.random((1, 50, 60)) < 0.3, 255, rng.integers(0, 20, (1, 50, 60))).astype(np.uint8)) is None
    )


def write(root, value, dtype):
    rng = np.random.default_rng(0)
    for index in range(4):
        mask = (rng.random((40, 50)) < 0.5).astype(np.uint8)
        image = (rng.uniform(0.5, 1.5, (2, 40, 50)) + mask) * (1000 if dtype == np.uint16 else 1)
        image[:, :, :15] = value
        (root / "images").mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(
            root / "images" / f"{index}.tif", image.astype(dtype), photometric="minisblack", planarconfig="separate"
        )
        save(root / "masks" / f"{index}.png", mask)
    return root


@pytest.mark.parametrize(
    ("value", "dtype"), [(-9999, np.float32), (np.finfo(np.float32).min, np.float32), (65535, np.uint16)]
)
def test_the_line_that_the_check_names_makes_the_area_void(value, dtype, tmp_path):
    root = write(tmp_path, value, dtype)
    problem = next(problem for problem in check(root).faults if problem.kind == "nodata")
    assert "far outside of the rest" in problem.what
    line = problem.fix.removeprefix("write ").removesuffix(" in dataset.toml if nothing was measured there")
    (root / "dataset.toml").write_text(line + "\n")
    checked = check(root)
    assert checked.ok
    assert not [problem for problem in checked.faults if problem.kind == "nodata"]
    assert checked.fingerprint.maximum < 5000
    image = open_dataset(root).samples[0].image.load()
    assert np.isnan(image[:, :, :15]).all()
    assert np.isfinite(image[:, :, 15:]).all()
