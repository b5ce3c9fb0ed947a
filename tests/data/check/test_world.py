"""Maps as a data set: nodata counts for nothing, projections and scales that do not fit are named."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from atrous.data.dataset import open_dataset
from atrous.data.source import AllValid
from atrous.data.views import Voided
from atrous.data.void import make_void
from atrous.verbs.check import check
from tests.maps import NODATA, map_transform, write_map, write_maps


def faults(found):
    return {fault.kind: fault.line() for fault in found.faults}


def test_nodata_is_void_in_labels_figures_and_counts(tmp_path):
    root = write_maps(tmp_path / "maps", count=3)
    found = check(root)
    assert not found.faults
    text = found.text()
    assert "3 maps: EPSG:32633" in text
    assert f"nodata {NODATA}; 3.47% of all positions have no data" in text
    assert "10 x 10" in text
    assert found.fingerprint.channels == 5
    assert found.ignored == 160 / (64 * 72)
    train = found.dataset.splits["train"]
    values = []
    for sample in train:
        with rasterio.open(sample.image.path) as file:
            pixels = file.read()
            values.append(pixels[:, pixels[0] != NODATA])
    truth = np.concatenate(values, 1).astype(np.float64)
    np.testing.assert_allclose(found.fingerprint.mean, truth.mean(1))
    np.testing.assert_allclose(found.fingerprint.std, truth.std(1))
    assert found.fingerprint.minimum > NODATA + 1000
    label = train[0].target.read()
    np.testing.assert_array_equal(label == 255, ~train[0].image.valid()[...])
    assert (label == 255).sum() == 160


def test_projections_scales_and_places_that_do_not_fit_are_named(tmp_path):
    root = write_maps(tmp_path / "maps", count=5)
    bands = np.full((5, 64, 72), 7, np.int16)
    write_map(root / "images" / "1.tif", bands, map_transform(1), crs="EPSG:32632")
    write_map(root / "images" / "2.tif", bands, Affine(30, 0, 0, 0, -30, 0))
    shifted = Affine(10.0, 0.0, map_transform(3).c + 20, 0.0, -10.0, map_transform(3).f)
    write_map(root / "masks" / "3.tif", np.ones((1, 64, 72), np.uint8), shifted)
    found = faults(check(root))
    assert "images/1.tif: its projection is EPSG:32632, that of other maps EPSG:32633" in found["projections"]
    assert "images/2.tif: a pixel is 30 m, in images/0.tif 10" in found["scales"]
    places = [fault.line() for fault in check(root).faults if fault.kind == "place"]
    assert any("masks/3.tif: the mask lies 2 pixels beside its map" in line for line in places)
    assert any("masks/1.tif: the projection of the mask is EPSG:32633" in line for line in places)
    assert any("masks/2.tif: the pixels of the mask are not those of its map" in line for line in places)


@pytest.mark.parametrize("crs", [None, "EPSG:32632"])
def test_masks_that_are_upside_down_against_their_maps_are_turned_onto_them(tmp_path, crs):
    root = write_maps(tmp_path / "maps", count=3)
    label = np.random.default_rng(0).integers(0, 3, (64, 72)).astype(np.uint8)
    south_up = Affine(10.0, 0.0, 500.0, 0.0, 10.0, 400.0)
    for index in range(3):
        with rasterio.open(root / "images" / f"{index}.tif") as file:
            bands = file.read()
        north_up = Affine(10.0, 0.0, 500.0, 0.0, -10.0, 400.0 + 640)
        write_map(root / "images" / f"{index}.tif", bands, south_up, crs)
        write_map(root / "masks" / f"{index}.tif", label[None], north_up, crs)
    report = check(root)
    assert "place" not in faults(report)
    assert "masks/0.tif and 2 more: stored mirrored or turned against their maps" in " ".join(report.notes)
    sample = open_dataset(root).samples[0]
    np.testing.assert_array_equal(sample.target.reader.values(False)[0], label[::-1])
    # a mask that lies elsewhere as well is no mirror image
    write_map(root / "masks" / "1.tif", label[None], Affine(10.0, 0.0, 500.0, 0.0, -10.0, 900.0), crs)
    assert "masks/1.tif: the pixels of the mask are not those" in faults(check(root))["place"]


def test_degrees_beside_meters_are_named_and_zero_as_nodata_of_masks_is_noted(tmp_path):
    root = write_maps(tmp_path / "maps", count=3)
    write_map(root / "images" / "1.tif", np.full((5, 64, 72), 7, np.int16), Affine(0.1, 0, 0, 0, -0.1, 0), "EPSG:4326")
    write_map(root / "masks" / "0.tif", np.ones((1, 64, 72), np.uint8), map_transform(0), nodata=0)
    found = check(root)
    assert "pixel sizes are in different units" in faults(found)["scales"]
    said = 'masks declare 0 as nodata; here it is the class "ground": if it means nothing, write ignore = [0] and '
    assert f'{said}values = [1, 2], and leave "ground" out of `classes`' in found.text()
    (root / "dataset.toml").write_text('classes = ["field", "water"]\nignore = [0]\nvalues = [1, 2]')
    found = check(root)
    assert "masks declare" not in found.text()
    sample = next(sample for sample in found.dataset.samples if sample.image.path.stem == "2")
    with rasterio.open(sample.target.path) as file:
        stored = file.read(1)
    void = np.where(sample.image.valid()[...], stored, 0)
    np.testing.assert_array_equal(sample.target.read(), np.array([255, 0, 1])[void])


def test_sinks_and_arrays_get_the_void_where_the_mask_says():
    valid = np.random.default_rng(0).random((2100, 5)) > 0.3
    labels, bands = np.zeros((2100, 5), np.uint8), np.zeros((2, 2100, 5), np.float32)
    sink = Voided(labels, valid)
    sink[3:2000] = np.ones((1997, 5), np.uint8)
    Voided(bands, valid, np.nan)[:, 3:2000] = np.ones((2, 1997, 5), np.float32)
    np.testing.assert_array_equal(labels[3:2000], np.where(valid[3:2000], 1, 255))
    np.testing.assert_array_equal(np.isnan(bands[1, 3:2000]), ~valid[3:2000])
    assert labels[:3].max() == 0
    whole = np.ones((2, 2100, 5), np.float32)
    make_void(whole, valid, np.nan)
    np.testing.assert_array_equal(np.isnan(whole[0]), ~valid)
    both = AllValid([valid, np.roll(valid, 1)])
    np.testing.assert_array_equal(both[4:9], (valid & np.roll(valid, 1))[4:9])
