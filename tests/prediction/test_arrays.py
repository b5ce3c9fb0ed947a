"""Values that Python users pass: every type gives the labels that the same values give as a numpy array."""

import numpy as np
import pytest
import torch
import zarr
from PIL import Image

from atrous.errors import UserError
from atrous.prediction.arrays import array_source, is_data_array
from atrous.prediction.predictor import load

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 45, 37)).astype(np.uint8)


@pytest.fixture(scope="module")
def predictor(trained):
    return load(trained)


@pytest.fixture(scope="module")
def expected(predictor):
    return predictor.predict(PIXELS).labels


def test_torch_tensors(predictor, expected):
    tensor = torch.from_numpy(PIXELS)
    np.testing.assert_array_equal(predictor.predict(tensor).labels, expected)
    np.testing.assert_array_equal(predictor.predict(tensor.float().requires_grad_()).labels, expected)
    np.testing.assert_array_equal(predictor.predict(tensor.to(torch.bfloat16)).labels, expected)


def test_pillow_images_have_the_channels_of_a_file(predictor, expected, tmp_path):
    image = Image.fromarray(np.moveaxis(PIXELS, 0, -1))
    np.testing.assert_array_equal(predictor.predict(image).labels, expected)
    for mode in ("RGBA", "P", "L", "LA", "1"):
        converted = image.convert(mode)
        converted.save(tmp_path / f"{mode}.png")
        from_file = predictor.predict(tmp_path / f"{mode}.png").labels
        np.testing.assert_array_equal(predictor.predict(converted).labels, from_file, err_msg=mode)
    assert array_source(Image.fromarray(np.full((4, 5), 300, np.uint16)), 2, 1)[0, 0, 0] == 300
    assert array_source(Image.fromarray(np.full((4, 5), 0.5, np.float32)), 2, 1).dtype == np.float32


def test_zarr_arrays_and_whatever_is_sliced_like_them(predictor, expected, tmp_path):
    stored = zarr.create_array(tmp_path / "a.zarr", data=PIXELS, chunks=(3, 16, 16))
    np.testing.assert_array_equal(predictor.predict(stored).labels, expected)
    mapped = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=PIXELS.shape)
    mapped[...] = PIXELS
    np.testing.assert_array_equal(predictor.predict(mapped).labels, expected)


def test_data_arrays_keep_their_coordinates(predictor):
    xarray = pytest.importorskip("xarray")
    values = xarray.DataArray(
        np.moveaxis(PIXELS, 0, -1),
        dims=["y", "x", "band"],
        coords={"y": np.arange(45) * 10.0, "x": np.arange(37) + 0.5, "band": ["r", "g", "b"], "crs": 4326},
    )
    result = predictor.predict(values, probabilities=True)
    plain = predictor.predict(PIXELS, probabilities=True)
    assert is_data_array(result.labels)
    assert result.labels.dims == ("y", "x")
    assert set(result.labels.coords) == {"y", "x", "crs"}
    np.testing.assert_array_equal(result.labels.coords["y"], values.coords["y"])
    np.testing.assert_array_equal(result.labels.values, plain.labels)
    assert result.probabilities.dims == ("class", "y", "x")
    assert result.probabilities.sel({"class": "background"}).shape == (45, 37)
    np.testing.assert_array_equal(result.probabilities.values, plain.probabilities)
    assert "<img" in result._repr_html_()
    gray = values.isel(band=0, drop=True)
    np.testing.assert_array_equal(predictor.predict(gray).labels.values, predictor.predict(PIXELS[0]).labels)
    with pytest.raises(UserError, match=r"dimensions are y, x, time, but the network reads 2 spatial dimensions"):
        predictor.predict(values.rename(band="time"))


def test_xarray_is_recognized_by_name_and_never_imported():
    class DataArray:
        pass

    DataArray.__module__ = "xarray.core.dataarray"
    assert is_data_array(DataArray())
    DataArray.__module__ = "other.xarray"
    assert not is_data_array(DataArray())


@pytest.mark.parametrize(
    "value",
    [[[1, 2], [3, 4]], None, 7, {"image": PIXELS}, ["a.png", "b.png"], object()],
    ids=lambda v: type(v).__name__,
)
def test_other_types_are_refused_and_what_is_accepted_is_named(predictor, value):
    accepted = "path of a file.*numpy array.*torch tensor.*Pillow image.*DataArray.*zarr array"
    with pytest.raises(UserError, match=rf"a value of type {type(value).__name__}: give the {accepted}"):
        predictor.predict(value)


def test_values_that_are_not_real_numbers_are_refused(predictor):
    for values in (PIXELS.astype(complex), PIXELS.astype(str)):
        with pytest.raises(UserError, match="give real numbers"):
            predictor.predict(values)


@pytest.mark.parametrize(
    ("shape", "ndim", "channels"), [((45, 37, 3), 2, 3), ((45, 37, 1), 2, 1), ((100, 2), 1, 2), ((8, 45, 37, 3), 3, 3)]
)
def test_channels_on_the_last_axis_are_refused_in_one_line(shape, ndim, channels):
    with pytest.raises(UserError, match=r"has its channels last.*give np\.moveaxis\(array, -1, 0\)") as raised:
        array_source(np.zeros(shape), ndim, channels)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("shape", "ndim", "said"),
    [
        ((1, 3, 45, 40), 2, "4 axes, but the network reads one input of 3, .*array\\[0\\] for the first"),
        ((8, 1, 9, 45, 40), 3, "5 axes, but the network reads one input of 4, .*array\\[0\\] for the first"),
        ((45,), 2, "1 axis, but the network reads one input of 3, .*give such an array"),
    ],
)
def test_a_batch_and_arrays_of_other_axes_are_refused_in_one_line(shape, ndim, said):
    with pytest.raises(UserError, match=said) as raised:
        array_source(np.zeros(shape), ndim, 3)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("shape", "channels"), [((3, 45, 3), 3), ((1, 45, 3), 3), ((3, 45, 1), 1), ((1, 45, 1), 1)])
def test_arrays_whose_first_axis_fits_too_are_channels_first(shape, channels):
    assert array_source(np.zeros(shape), 2, channels).shape == shape
