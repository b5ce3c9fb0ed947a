"""Whole slides: the pyramid and nothing of the glass, by windows, with the spacing of each level."""

import re

import numpy as np
import pytest
import tifffile

from atrous.data.dataset import open_dataset
from atrous.data.formats import (
    base,
    label_suffix,
    open_labels,
    open_level,
    open_source,
    read_header,
    read_image,
    read_level,
    read_pyramid,
)
from atrous.errors import UserError
from atrous.prediction.inputs import find_inputs
from tests.data.data_folders import picture, save
from tests.slides import GLASS, coarser, write_ndpi, write_philips, write_scn, write_svs

RNG = np.random.default_rng(0)
PIXELS = np.kron(RNG.integers(0, 255, (26, 32, 3)), np.ones((8, 8, 1))).astype(np.uint8)[:200, :250]
WRITERS = {"a.svs": write_svs, "a.ndpi": write_ndpi, "a.scn": write_scn, "a.tiff": write_philips}


@pytest.mark.parametrize("name", WRITERS)
def test_a_slide_is_its_pyramid_and_never_the_glass(tmp_path, name):
    path = WRITERS[name](tmp_path / name, PIXELS)
    levels = read_pyramid(path)
    factor = 4 if name == "a.svs" else 2
    assert [level.shape for level in levels] == [(3, 200, 250), (3, 200 // factor, 250 // factor)]
    assert read_header(path) == levels[0]
    finest = 0.25 if name == "a.svs" else 0.5
    assert levels[0].spacing == pytest.approx((finest, finest), rel=1e-4)
    assert levels[1].spacing == pytest.approx((finest * factor, finest * factor), rel=0.02)
    assert (levels[1].unit, levels[1].axes, levels[1].kind) == ("µm", "YX", "rgb")
    lossy = name == "a.ndpi"
    for number, expected in ((0, PIXELS), (1, coarser(PIXELS, factor))):
        np.testing.assert_allclose(
            open_level(path, number)[...], np.moveaxis(expected, -1, 0), atol=30 if lossy else 0, rtol=0
        )
        assert np.abs(read_level(path, number).astype(int) - np.moveaxis(expected, -1, 0)).mean() < 4 * lossy + 1e-9
    assert not (read_image(path) == GLASS[0, 0, 0]).all()


def test_windows_and_steps_are_those_of_the_whole(tmp_path):
    path = write_svs(tmp_path / "a.svs", PIXELS)
    whole, source = read_image(path), open_source(path)
    every, some = slice(None), slice(30, 97)
    turned = slice(200, 100, -3)
    for key in [..., 1, (every, some), (0, 5), (..., slice(None, None, 7)), (slice(1, 3), some, 9), (..., turned)]:
        np.testing.assert_array_equal(source[key], whole[key])
    assert source[:, 9:9].shape == (3, 0, 250)


def test_a_row_of_tiles_is_decoded_once_for_all_its_strips(tmp_path):
    source = open_source(write_svs(tmp_path / "a.svs", PIXELS))
    decoded = []
    level = source._source
    pixels = level._pixels

    class Counting:
        shape, dtype = pixels.shape, pixels.dtype

        def __getitem__(self, key):
            decoded.append(key)
            return pixels[key]

    level._pixels = Counting()
    for row in range(0, 200, 16):
        np.testing.assert_array_equal(source[:, row : row + 16], np.moveaxis(PIXELS, -1, 0)[:, row : row + 16])
    assert len(decoded) == 4


@pytest.mark.parametrize(("compression", "apart"), [(33005, 8), (33003, 8), ("jpeg", 40)])
def test_compressions_of_scanners(tmp_path, compression, apart):
    smooth = np.moveaxis(np.mgrid[0:128, 0:128, 0:1][0] + np.arange(3)[:, None, None, None] * 20, 0, -1)[..., 0, :]
    smooth = smooth.astype(np.uint8)
    stored = smooth
    if compression == 33003:  # luma and color differences (JFIF)
        r, g, b = np.moveaxis(smooth.astype(float), -1, 0)
        luma = 0.299 * r + 0.587 * g + 0.114 * b
        stored = np.rint(np.stack([luma, (b - luma) / 1.772 + 128, (r - luma) / 1.402 + 128], -1)).astype(np.uint8)
    path = tmp_path / "a.svs"
    with tifffile.TiffWriter(path) as file:
        file.write(stored, photometric="rgb", tile=(64, 64), compression=compression, metadata=None,
                   description="Aperio|MPP = 0.5")  # fmt: skip
    assert np.abs(read_image(path).astype(int) - np.moveaxis(smooth, -1, 0)).max() <= apart


def test_a_slide_without_a_scale_has_none(tmp_path):
    assert read_header(write_svs(tmp_path / "a.svs", PIXELS, mpp=None)).spacing is None


def test_regions_of_one_resolution_are_refused(tmp_path):
    path = write_scn(tmp_path / "a.scn", PIXELS, regions=2)
    with pytest.raises(UserError, match=r"a\.scn: it has 2 regions of one resolution: export each region"):
        read_header(path)


@pytest.mark.parametrize("suffix", [".mrxs", ".bif", ".vms", ".czi", ".oir", ".CZI"])
def test_files_that_are_not_read_say_how_to_convert_them(tmp_path, suffix):
    name, folder = f"my slide{suffix}", tmp_path / "images"
    folder.mkdir()
    (folder / name).write_bytes(b"x")
    told = "vips copy 'my slide" if suffix in (".mrxs", ".bif", ".vms") else "bioformats2raw 'my slide"
    written = "my slide.tif[tile,pyramid,bigtiff]" if told.startswith("vips") else "my slide.ome.zarr"
    line = f"{folder / name}: {suffix.lower()} is not a format that is read: convert it: {told}{suffix}' '{written}'"
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        read_header(folder / name)
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        open_dataset(tmp_path)
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        find_inputs([tmp_path], ndim=2, channels=3)
    save(tmp_path / "masks/my slide.png", picture(0))
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        open_dataset(tmp_path)


def test_what_does_not_fit_into_memory_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = write_svs(tmp_path / "a.svs", PIXELS)
    monkeypatch.setattr(base, "memory_limit", lambda: 100_000)
    monkeypatch.setattr(base, "ALWAYS", 0)
    with pytest.raises(UserError, match=r"its level 0 declares 3 x 200 x 250 of uint8: .* may use 100000 bytes"):
        read_image(path)
    assert open_source(path)[:, :2, :2].shape == (3, 2, 2)
    assert read_level(path, 1).shape == (3, 50, 62)


@pytest.mark.parametrize("on_disk", [True, False])
def test_labels_of_a_level_keep_its_spacing(tmp_path, monkeypatch, on_disk):
    monkeypatch.setattr("atrous.data.formats.tiff.TILE", 16)
    monkeypatch.setattr("atrous.data.formats.tiff.LEVELS_FROM", 60)
    path = write_svs(tmp_path / "a.svs", PIXELS)
    assert label_suffix(path) == ".tif"
    labels = RNG.integers(0, 4, (50, 62)).astype(np.uint8)
    sink = open_labels(tmp_path / "labels.tif", labels.shape, on_disk=on_disk)
    sink.array[...] = labels
    sink.finish(like=path)
    header = read_header(tmp_path / "labels.tif")
    assert header.spacing == pytest.approx((1.0, 250 * 0.25 / 62))
    assert (header.unit, header.shape, header.unread) == ("µm", (1, 50, 62), ())
    with tifffile.TiffFile(tmp_path / "labels.tif") as file:
        levels = file.series[0].levels
        assert len(file.series) == 1
        assert [level.shape for level in levels] == [(50, 62), (25, 31)]
        np.testing.assert_array_equal(levels[0].asarray(), labels)
        np.testing.assert_array_equal(levels[1].asarray(), labels[::2, ::2])
