"""Maps, against rasterio itself: windows, nodata, and what is kept in the output."""

import importlib.util
import sys

import numpy as np
import pytest
import rasterio
import tifffile
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from atrous.data.formats import (
    label_suffix,
    open_labels,
    open_source,
    open_valid,
    read_header,
    read_image,
    read_values,
    write_label,
    write_probabilities,
)
from atrous.errors import UserError

RNG = np.random.default_rng(0)
TRANSFORM = Affine(10.0, 0.5, 399960.0, 0.25, -10.0, 5200020.0)
WHOLE = slice(None)
KEYS = [..., (0,), (slice(0, 2), slice(3, 30)), (WHOLE, 5), (..., slice(None, None, 7)), (slice(None, None, -1), 2)]


def put(path, bands, nodata=None, names=(), alpha=None, **profile):
    """A GeoTIFF of bands `(C, H, W)` in UTM zone 33 north."""
    options = {"driver": "GTiff", "crs": "EPSG:32633", "transform": TRANSFORM, "tiled": True} | profile
    count = len(bands) + (alpha is not None)
    shape = {"height": bands.shape[1], "width": bands.shape[2], "count": count, "dtype": bands.dtype}
    with rasterio.open(path, "w", nodata=nodata, **options, **shape) as file:
        file.write(bands, list(range(1, len(bands) + 1)))
        for band, name in enumerate(names, 1):
            file.set_band_description(band, name)
        if alpha is not None:
            file.write(alpha, count)
            file.colorinterp = [ColorInterp.gray] * len(bands) + [ColorInterp.alpha]
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 12, 300])
def test_any_number_of_bands_is_read_by_windows(tmp_path, dtype, count):
    bands = RNG.integers(1, 200, (count, 40, 50)).astype(dtype)
    path = put(tmp_path / "a.tif", bands)
    header, image, source = read_header(path), read_image(path), open_source(path)
    np.testing.assert_array_equal(image, bands)
    assert (header.shape, header.kind) == (bands.shape, "map")
    assert image.dtype.name == header.dtype == (dtype if dtype in ("uint8", "uint16") else "float32")
    assert source.shape == bands.shape
    assert source.dtype == image.dtype
    for key in KEYS[:2] if count == 1 else KEYS:
        np.testing.assert_array_equal(source[key], image[key])


def test_the_header_says_where_a_map_lies(tmp_path):
    path = put(tmp_path / "a.tif", RNG.integers(0, 9, (2, 9, 9)).astype("int16"), nodata=-1, names=("red", ""))
    header = read_header(path)
    assert header.map is not None
    assert (header.map.crs, header.map.nodata, header.names) == ("EPSG:32633", -1, ("red", ""))
    assert header.map.transform == tuple(TRANSFORM)[:6]
    assert header.spacing == pytest.approx((np.hypot(10, 0.5), np.hypot(10, 0.25)))
    assert header.unit == "m"


def with_holes(dtype, nodata):
    bands = RNG.integers(20, 200, (2, 40, 50)).astype(dtype)
    bands[:, :10, :20] = nodata  # no data at all
    bands[1, 30, 40] = nodata  # one band of two is missing
    valid = np.ones((40, 50), bool)
    valid[:10, :20] = False
    return bands, valid


@pytest.mark.parametrize(("dtype", "nodata"), [("int16", -9999), ("float32", -(2.0**100)), ("float32", np.nan)])
def test_what_is_missing_becomes_the_mean_of_its_band_and_void(tmp_path, dtype, nodata):
    bands, valid = with_holes(dtype, nodata)
    path = put(tmp_path / "a.tif", bands, nodata=nodata)
    image, mask = read_image(path), open_valid(path)
    np.testing.assert_array_equal(mask[...], valid)
    np.testing.assert_array_equal(mask[5:15, ::3], valid[5:15, ::3])
    one = valid.copy()
    one[30, 40] = False
    means = [bands[0][valid].mean(), bands[1][one].mean()]
    for band, where, mean in zip(range(2), (valid, one), means, strict=True):
        np.testing.assert_array_equal(image[band][where], bands[band][where].astype(np.float32))
        np.testing.assert_allclose(image[band][~where], mean, atol=0.5 if dtype == "int16" else 1e-3)
    np.testing.assert_array_equal(open_source(path)[:, 5:35], image[:, 5:35])


def test_zero_as_nodata_is_a_dark_value_where_another_band_has_data(tmp_path):
    bands, valid = with_holes("uint8", 0)
    image = read_image(put(tmp_path / "a.tif", bands, nodata=0))
    assert image[1, 30, 40] == 0
    assert (image[:, ~valid] > 20).all()
    assert image.dtype == np.uint8


def test_an_alpha_band_is_no_channel_but_says_where_data_is(tmp_path):
    bands, valid = with_holes("uint8", 7)
    path = put(tmp_path / "a.tif", bands, alpha=valid.astype(np.uint8) * 255)
    assert read_header(path).shape == (2, 40, 50)
    np.testing.assert_array_equal(open_valid(path)[...], valid)
    np.testing.assert_array_equal(read_image(path)[:, valid], bands[:, valid])


def test_a_map_without_nodata_is_valid_everywhere_unless_it_may_hold_nan(tmp_path):
    assert open_valid(put(tmp_path / "a.tif", np.ones((1, 9, 9), np.uint8))) is None
    floats = np.ones((1, 9, 9), np.float32)
    floats[0, 2, 3] = np.inf
    valid = open_valid(put(tmp_path / "b.tif", floats))
    assert (~valid[...]).sum() == 1
    nothing = put(tmp_path / "c.tif", np.full((1, 9, 9), -1, np.int16), nodata=-1)
    np.testing.assert_array_equal(read_image(nothing), 0)


def test_labels_lie_where_their_map_lies(tmp_path):
    source = put(tmp_path / "in.tif", RNG.integers(0, 99, (3, 1300, 700)).astype("uint16"), nodata=0)
    label = RNG.integers(0, 3, (1300, 700)).astype(np.uint8)
    palette = ((0, 0, 0), (1, 2, 3), (255, 254, 253))
    write_label(tmp_path / "out.tif", label, palette, like=source, classes=("sea", "land", "lake"), void=255)
    with rasterio.open(tmp_path / "out.tif") as file, rasterio.open(source) as truth:
        np.testing.assert_array_equal(file.read(1), label)
        assert (file.crs, file.transform, file.nodata) == (truth.crs, truth.transform, 255)
        assert file.profile["tiled"]
        assert (file.compression.value, file.block_shapes) == ("DEFLATE", [(512, 512)])
        assert file.overviews(1) == [2]
        assert file.colormap(1)[2] == (255, 254, 253, 255)
        assert file.tags(1)["CLASS_1"] == "land"
    np.testing.assert_array_equal(read_values(tmp_path / "out.tif"), label)
    assert {p.name for p in tmp_path.iterdir()} == {"in.tif", "out.tif"}


def test_labels_written_by_strips_are_the_same_file(tmp_path):
    source = put(tmp_path / "in.tif", np.zeros((1, 600, 300), np.uint8))
    label = RNG.integers(0, 3, (600, 300)).astype(np.uint8)
    for name, on_disk in (("a.tif", True), ("b.tif", False)):
        sink = open_labels(tmp_path / name, label.shape, on_disk=on_disk)
        sink.array[...] = label
        sink.finish(like=source, classes=("x", "y", "z"), palette=((0, 0, 0), (1, 1, 1), (2, 2, 2)), void=None)
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "b.tif") as b:
        np.testing.assert_array_equal(a.read(1), label)
        assert (a.profile, a.tags(1), a.colormap(1)) == (b.profile, b.tags(1), b.colormap(1))
        assert a.nodata is None


def test_probabilities_are_one_band_a_class(tmp_path):
    source = put(tmp_path / "in.tif", np.zeros((1, 60, 30), np.uint8))
    values = RNG.random((2, 60, 30), dtype=np.float32)
    values[:, :5] = np.nan
    write_probabilities(tmp_path / "out.tif", values, ("sea", "land"), source)
    with rasterio.open(tmp_path / "out.tif") as file:
        np.testing.assert_array_equal(file.read(), values)
        assert file.descriptions == ("sea", "land")
        assert np.isnan(file.nodata)
        assert file.transform == TRANSFORM
        assert file.profile["compress"] == "deflate"


def test_ground_control_points_are_kept(tmp_path):
    points = [rasterio.control.GroundControlPoint(r, c, 10 + c, 50 - r) for r, c in ((0, 0), (0, 9), (9, 0), (9, 9))]
    path = tmp_path / "in.tif"
    shape = {"height": 10, "width": 10, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", gcps=points, crs="EPSG:4326", **shape) as file:
        file.write(np.zeros((1, 10, 10), np.uint8))
    write_label(tmp_path / "out.tif", np.zeros((10, 10), np.uint8), like=path)
    with rasterio.open(tmp_path / "out.tif") as file:
        found, crs = file.gcps
    assert [(p.row, p.col, p.x, p.y) for p in found] == [(p.row, p.col, p.x, p.y) for p in points]
    assert crs.to_epsg() == 4326


def test_finer_numbers_cover_the_same_ground(tmp_path):
    source = put(tmp_path / "in.tif", np.zeros((1, 20, 10), np.uint8))
    values = RNG.random((1, 60, 30), dtype=np.float32)
    write_probabilities(tmp_path / "out.tif", values, ("height",), source, 3)
    with rasterio.open(tmp_path / "out.tif") as file:
        corners = [file.transform @ corner for corner in ((0, 0), (30, 60), (30, 0))]
        assert corners == [pytest.approx(TRANSFORM @ corner) for corner in ((0, 0), (10, 20), (10, 0))]
        assert file.crs.to_epsg() == 32633
        np.testing.assert_array_equal(file.read(), values)
    with pytest.raises(UserError, match=r"\(20, 10\), but its labels have \(60, 30\)"):
        write_probabilities(tmp_path / "no.tif", values, ("height",), source, 2)


def test_points_and_polynomials_of_finer_numbers_lie_where_they_lay(tmp_path):
    points = [rasterio.control.GroundControlPoint(r, c, 10 + c, 50 - r) for r, c in ((0, 0), (0, 9), (9, 0), (9, 9))]
    shape = {"height": 10, "width": 10, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", gcps=points, crs="EPSG:4326", **shape) as file:
        file.write(np.zeros((1, 10, 10), np.uint8))
    write_probabilities(tmp_path / "b.tif", np.zeros((1, 20, 20), np.float32), ("a",), tmp_path / "a.tif", 2)
    with rasterio.open(tmp_path / "b.tif") as file:
        found, _ = file.gcps
    assert [(p.row, p.col, p.x, p.y) for p in found] == [(2 * p.row, 2 * p.col, p.x, p.y) for p in points]
    ones = [1.0, *[0.0] * 19]
    rpcs = rasterio.rpc.RPC(
        height_off=0.0, height_scale=1.0, lat_off=50.0, lat_scale=1.0, long_off=10.0, long_scale=1.0, line_off=4.5,
        line_scale=5.0, samp_off=3.5, samp_scale=4.0, line_num_coeff=ones, line_den_coeff=ones, samp_num_coeff=ones,
        samp_den_coeff=ones,
    )  # fmt: skip
    with rasterio.open(tmp_path / "c.tif", "w", driver="GTiff", rpcs=rpcs, nodata=9, **shape) as file:
        file.write(np.zeros((1, 10, 10), np.uint8))
    write_probabilities(tmp_path / "d.tif", np.zeros((1, 20, 20), np.float32), ("a",), tmp_path / "c.tif", 2)
    with rasterio.open(tmp_path / "d.tif") as file:
        finer = file.rpcs
    assert (finer.line_off, finer.line_scale, finer.samp_off, finer.samp_scale) == (9.5, 10.0, 7.5, 8.0)


def test_nodata_of_label_files_is_void_unless_it_may_be_a_class(tmp_path):
    label = np.array([[[0, 1, -9999]]], np.int16)
    np.testing.assert_array_equal(read_values(put(tmp_path / "a.tif", label, nodata=-9999)), [[0, 1, 255]])
    floats = np.array([[[0, 1, np.nan]]], np.float32)
    np.testing.assert_array_equal(read_values(put(tmp_path / "b.tif", floats, nodata=np.nan)), [[0, 1, 255]])
    dark = np.array([[[0, 1, 2]]], np.uint8)
    np.testing.assert_array_equal(read_values(put(tmp_path / "c.tif", dark, nodata=0)), [[0, 1, 2]])


def test_a_label_of_another_size_is_refused(tmp_path):
    source = put(tmp_path / "in.tif", np.zeros((1, 9, 9), np.uint8))
    with pytest.raises(UserError, match=r"\(9, 9\), but its labels have \(9, 8\)"):
        write_label(tmp_path / "out.tif", np.zeros((9, 8), np.uint8), like=source)
    assert not (tmp_path / "out.tif").exists()


def test_without_rasterio_a_map_is_a_plain_tiff_and_its_output_is_refused(tmp_path, monkeypatch):
    path = put(tmp_path / "in.tif", np.ones((2, 9, 9), np.uint8))
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, np.ones((9, 9), np.uint8))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert importlib.util.find_spec("rasterio") is None
    assert read_header(path).kind == "array"
    np.testing.assert_array_equal(read_image(path), 1)
    write_label(tmp_path / "out.tif", np.zeros((9, 9), np.uint8), like=plain)
    with pytest.raises(UserError, match=r"projection would be lost .* pip install \"atrous\[geo\]\""):
        write_label(tmp_path / "out.tif", np.zeros((9, 9), np.uint8), like=path)


def test_damaged_maps_are_named_and_suffixes_known(tmp_path):
    path = put(tmp_path / "a.tif", RNG.integers(0, 255, (3, 300, 300)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(UserError, match=r"a\.tif: cannot be read"):
        read_image(path)
    assert [label_suffix(name) for name in ("a.jp2", "a.vrt", "a.TIF")] == [".tif", ".tif", ".tif"]
