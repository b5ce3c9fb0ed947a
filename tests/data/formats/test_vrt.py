"""VRT: refused unless it is allowed, and then it joins rasters of its own folder and nothing else."""

import numpy as np
import pytest
from rasterio.transform import Affine

from atrous.data.formats import open_source, read_header, read_image, read_values
from atrous.errors import UserError
from tests.maps import write_map

PIXELS = np.random.default_rng(0).integers(0, 255, (2, 20, 30), dtype=np.uint8)
GRID = Affine(10, 0, 400000, 0, -10, 5200000)


def vrt(names, relative=1, band="", source="SimpleSource", more="", dataset=""):
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{i}" {band}>{more}<{source}><SourceFilename relativeToVRT="{relative}">'
        f"{name}</SourceFilename><SourceBand>1</SourceBand></{source}></VRTRasterBand>"
        for i, name in enumerate(names, 1)
    )
    return (
        f'<VRTDataset rasterXSize="30" rasterYSize="20" {dataset}><SRS>EPSG:32633</SRS>'
        f"<GeoTransform>400000, 10, 0, 5200000, 0, -10</GeoTransform>{bands}</VRTDataset>"
    )


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    for i in range(2):
        write_map(root / f"b{i}.tif", PIXELS[i : i + 1], GRID)
    (root / "below").mkdir()
    write_map(root / "below/c.tif", PIXELS[:1], GRID)
    write_map(tmp_path / "secret.tif", PIXELS[:1], GRID)
    return root


def test_a_vrt_is_refused_unless_it_is_allowed(folder, monkeypatch):
    path = folder / "a.vrt"
    path.write_text(vrt(["b0.tif", "b1.tif"]))
    for read in (read_header, read_image, read_values, open_source):
        with pytest.raises(UserError, match=r"a.vrt: a VRT makes GDAL open the files .*: set ATROUS_ALLOW=vrt"):
            read(path)
    monkeypatch.setenv("ATROUS_ALLOW", "vrt")
    np.testing.assert_array_equal(read_image(path), PIXELS)
    np.testing.assert_array_equal(open_source(path)[1, 3:9], PIXELS[1, 3:9])
    path.write_text(vrt(["below/c.tif"]))
    np.testing.assert_array_equal(read_image(path), PIXELS[:1])


@pytest.mark.parametrize("name", [
    "../secret.tif", "{outside}/secret.tif", "/vsicurl/http://localhost/a.tif", "below/../../secret.tif", "link.tif",
    "http://localhost/a.tif", "NETCDF:a.nc:b", "nested.vrt", "text.tif", "none.tif", "polyglot.tif",
    "&lt;VRTDataset/&gt;", "",
])  # fmt: skip
def test_a_vrt_may_not_name_what_is_elsewhere_or_no_raster(folder, monkeypatch, name):
    monkeypatch.setenv("ATROUS_ALLOW", "vrt")
    (folder / "link.tif").symlink_to(folder.parent / "secret.tif")
    (folder / "nested.vrt").write_text(vrt(["b0.tif"]))
    (folder / "text.tif").write_text(vrt(["../secret.tif"]))
    (folder / "polyglot.tif").write_bytes(b"II*\x00" + vrt(["../secret.tif"]).encode())
    path = folder / "a.vrt"
    path.write_text(vrt([name.format(outside=folder.parent)]))
    with pytest.raises(UserError, match=r"a.vrt: .*names"):
        read_image(path)


@pytest.mark.parametrize("content", [
    vrt(["b0.tif"], relative=0),
    vrt(["b0.tif"], band='subClass="VRTDerivedRasterBand"', more="<PixelFunctionType>f</PixelFunctionType>"),
    vrt(["b0.tif"], band='subClass="VRTRawRasterBand"'),
    vrt(["b0.tif"], source="ArraySource"),
    vrt(["b0.tif"], dataset='subClass="VRTWarpedDataset"'),
    vrt(["b0.tif"], more="<OpenOptions><OOI key='x'>y</OOI></OpenOptions>"),
    vrt(["b0.tif"], more="<PixelFunctionCode>import os</PixelFunctionCode>"),
    "<!DOCTYPE a [<!ENTITY b 'c'>]>" + vrt(["b0.tif"]),
    "<OGRVRTDataSource/>",
    "<VRTDataset",
])  # fmt: skip
def test_a_vrt_that_does_more_than_join_rasters_is_refused(folder, monkeypatch, content):
    monkeypatch.setenv("ATROUS_ALLOW", "vrt")
    (folder / "a.vrt").write_text(content)
    with pytest.raises(UserError, match=r"a.vrt: "):
        read_image(folder / "a.vrt")


@pytest.mark.parametrize("suffix", [".jp2", ".tif", ".tiff"])
def test_vrt_text_under_another_suffix_is_never_opened(folder, monkeypatch, suffix):
    for allowed in ("", "vrt"):
        monkeypatch.setenv("ATROUS_ALLOW", allowed)
        path = folder / f"a{suffix}"
        path.write_text(vrt(["b0.tif"]))
        for read in (read_header, read_image, read_values):
            with pytest.raises(UserError, match=r"it is text, not a|cannot be read"):
                read(path)
