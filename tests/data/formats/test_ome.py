"""Pictures of microscopes: OME-TIFF and ImageJ, against tifffile's own reading of axes and scale."""

from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from atrous.data.formats import (
    open_labels,
    open_source,
    read_header,
    read_image,
    read_values,
    write_label,
    write_probabilities,
)
from atrous.data.formats.axes import read_axes
from atrous.errors import UserError

RNG = np.random.default_rng(0)
SCALE = {"PhysicalSizeX": 65.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.13, "PhysicalSizeYUnit": "µm"}
DEPTH = {"PhysicalSizeZ": 0.5, "PhysicalSizeZUnit": "µm"}


def put(path, values, axes, **metadata):
    tifffile.imwrite(path, values, ome=True, photometric="minisblack", metadata={"axes": axes, **SCALE, **metadata})
    return path


def pixels_element(path):
    """The element Pixels of the OME-XML, as tifffile gives the XML."""
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        root = ElementTree.fromstring(file.ome_metadata)
        return next(element for element in root.iter() if element.tag.endswith("}Pixels")), file.series[0].axes


@pytest.mark.parametrize(
    ("axes", "shape", "expected", "letters"),
    [
        ("YX", (30, 40), (1, 30, 40), "YX"),
        ("CYX", (3, 30, 40), (3, 30, 40), "YX"),
        ("ZYX", (5, 30, 40), (1, 5, 30, 40), "ZYX"),
        ("ZCYX", (5, 2, 30, 40), (2, 5, 30, 40), "ZYX"),
        ("TCYX", (4, 2, 30, 40), (2, 4, 30, 40), "TYX"),
        ("TCZYX", (1, 2, 5, 30, 40), (2, 5, 30, 40), "ZYX"),
    ],
)
def test_axes_are_what_the_xml_says(tmp_path, axes, shape, expected, letters):
    values = RNG.integers(0, 60000, shape).astype(np.uint16)
    path = put(tmp_path / "a.ome.tif", values, axes, **DEPTH, TimeIncrement=2.0, TimeIncrementUnit="min")
    header, image, source = read_header(path), read_image(path), open_source(path)
    assert (header.shape, header.axes) == (expected, letters)
    channel = axes.index("C") if "C" in axes else None
    truth = values[None] if channel is None else np.moveaxis(values, channel, 0)
    np.testing.assert_array_equal(image, truth.reshape(expected))
    np.testing.assert_array_equal(source[:, 1:4], image[:, 1:4])
    apart = {"Z": 0.5, "T": 120.0, "Y": 0.13, "X": 0.065}
    assert header.spacing == pytest.approx([apart[letter] for letter in letters])


def test_a_series_in_depth_and_time_is_named(tmp_path):
    path = put(tmp_path / "a.ome.tif", np.zeros((3, 5, 9, 9), np.uint8), "TZYX")
    with pytest.raises(UserError, match=r"both T and Z beside Y and X: save each time point"):
        read_header(path)
    with pytest.raises(ValueError, match="transpose"):
        read_axes("XYZ", (4, 5, 6))


@pytest.mark.parametrize(("axes", "shape"), [("CYX", (2, 600, 70)), ("CZYX", (2, 3, 60, 70)), ("TYX", (3, 60, 70))])
@pytest.mark.parametrize("on_disk", [True, False])
def test_labels_keep_axes_and_scale(tmp_path, axes, shape, on_disk):
    source = put(
        tmp_path / "in.ome.tif", np.zeros(shape, np.uint16), axes, **DEPTH, TimeIncrement=2.0, TimeIncrementUnit="s"
    )
    size, letters = shape[axes.startswith("C") :], axes.replace("C", "")
    label = RNG.integers(0, 3, size).astype(np.uint8)
    sink = open_labels(tmp_path / "out.ome.tif", size, on_disk=on_disk)
    sink.array[...] = label
    sink.finish(like=source, classes=("a", "b", "c"))
    pixels, found = pixels_element(tmp_path / "out.ome.tif")
    assert found == letters
    assert float(pixels.get("PhysicalSizeX")) == pytest.approx(0.065)
    assert (float(pixels.get("PhysicalSizeY")), pixels.get("PhysicalSizeYUnit")) == (0.13, "µm")
    if "Z" in letters:
        assert float(pixels.get("PhysicalSizeZ")) == 0.5
    if "T" in letters:
        assert (float(pixels.get("TimeIncrement")), pixels.get("TimeIncrementUnit")) == (2.0, "s")
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        np.testing.assert_array_equal(file.asarray(), label)
        assert file.pages.first.is_tiled
        assert file.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    assert read_header(tmp_path / "out.ome.tif").spacing == pytest.approx(read_header(source).spacing)
    np.testing.assert_array_equal(read_values(tmp_path / "out.ome.tif"), label)
    assert {p.name for p in tmp_path.iterdir()} == {"in.ome.tif", "out.ome.tif"}


def test_probabilities_are_named_channels(tmp_path):
    source = put(tmp_path / "in.ome.tif", np.zeros((3, 60, 70), np.uint8), "ZYX", **DEPTH)
    values = RNG.random((2, 3, 60, 70), dtype=np.float32)
    write_probabilities(tmp_path / "p.tif", values, ("ground", "cell"), source)
    header = read_header(tmp_path / "p.tif")
    assert (header.shape, header.names, header.spacing) == (values.shape, ("ground", "cell"), (0.5, 0.13, 0.065))
    np.testing.assert_array_equal(read_image(tmp_path / "p.tif"), values)
    finer = np.zeros((1, 6, 120, 140), np.float32)
    write_probabilities(tmp_path / "q.tif", finer, ("intensity",), source, 2)
    assert read_header(tmp_path / "q.tif").spacing == (0.25, 0.065, 0.0325)


def test_the_scale_of_imagej_is_read_and_kept(tmp_path):
    values = RNG.integers(0, 255, (4, 2, 30, 40)).astype(np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif",
        values,
        imagej=True,
        resolution=(1 / 0.065, 1 / 0.13),
        metadata={"axes": "ZCYX", "spacing": 0.5, "unit": "um"},
    )
    header = read_header(tmp_path / "a.tif")
    assert (header.shape, header.axes, header.unit) == ((2, 4, 30, 40), "ZYX", "µm")
    assert header.spacing == pytest.approx((0.5, 0.13, 0.065), rel=1e-5)
    write_label(tmp_path / "b.tif", np.zeros((4, 30, 40), np.uint8), like=tmp_path / "a.tif")
    pixels, axes = pixels_element(tmp_path / "b.tif")
    assert axes == "ZYX"
    assert float(pixels.get("PhysicalSizeZ")) == 0.5


def test_pages_without_further_word_are_slices(tmp_path):
    values = RNG.integers(0, 255, (4, 30, 40)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in values:
            writer.write(page, contiguous=False, metadata=None)
    header = read_header(tmp_path / "a.tif")
    assert (header.shape, header.axes, header.spacing) == ((1, 4, 30, 40), None, None)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0], values)


@pytest.mark.parametrize("name", ["../secret.ome.tif", "/etc/passwd", "missing.ome.tif"])
def test_parts_of_an_image_that_are_elsewhere_or_missing_are_refused(tmp_path, name):
    folder = tmp_path / "data"
    folder.mkdir()
    put(tmp_path / "secret.ome.tif", np.ones((30, 40), np.uint8), "YX")
    path = put(folder / "a.ome.tif", np.zeros((30, 40), np.uint8), "YX")
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    assert "<TiffData " in xml
    start = xml.index("<TiffData ")
    end = xml.index(">", xml.index("TiffData>", start)) if "</TiffData>" in xml else xml.index("/>", start) + 1
    uuid = "urn:uuid:00000000-0000-0000-0000-000000000001"
    more = f'<TiffData IFD="0" PlaneCount="1"><UUID FileName="{name}">{uuid}</UUID></TiffData>'
    tifffile.tiffcomment(path, (xml[:start] + more + xml[end + 1 :]).encode())
    for read in (read_header, read_image, read_values, open_source):
        with pytest.raises(UserError, match=r"a.ome.tif: its OME-XML names the file .*, which is not in its folder"):
            read(path)
    if name.startswith(".."):
        put(folder / "b.ome.tif", np.full((30, 40), 7, np.uint8), "YX")
        tifffile.tiffcomment(path, (xml[:start] + more.replace(name, "b.ome.tif") + xml[end + 1 :]).encode())
        assert read_image(path).shape == (1, 30, 40)
