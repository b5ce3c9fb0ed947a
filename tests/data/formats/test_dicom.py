"""DICOM series written by pydicom: order, spacing, orientation, and labels that lie on them, against nibabel."""

import os
import sys

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from atrous.data.formats import (
    base,
    is_series,
    label_suffix,
    open_source,
    read_header,
    read_image,
    read_values,
    write_label,
)
from atrous.errors import UserError
from tests.scans import ALONG_COLUMN, ALONG_ROW, NORMAL, ORIGIN, put_series, put_slice

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(-50, 1200, (7, 9, 11)).astype(np.int16)


@pytest.fixture
def pixels():
    return RNG.integers(-50, 1200, (7, 9, 11)).astype(np.int16)


def test_slices_are_sorted_by_place_and_rescaled(tmp_path, pixels):
    folder = put_series(tmp_path / "1.2.840.7", pixels)
    header, image, source = read_header(folder), read_image(folder), open_source(folder)
    np.testing.assert_array_equal(image, pixels[None].astype(np.float32) * 2 - 1000)
    assert (header.shape, header.dtype, header.kind) == ((1, 7, 9, 11), "float32", "volume")
    assert header.spacing == pytest.approx((2.5, 0.8, 0.5))
    assert (header.names, header.unit) == (("CT",), "mm")
    for key in [..., (0, 2), (slice(None), slice(1, 6, 2)), (0, slice(None, None, -1), 3), (..., slice(2, 5))]:
        np.testing.assert_array_equal(source[key], image[key])
    assert source.shape == image.shape
    assert label_suffix(folder) == ".nii.gz"


def test_pixels_that_are_not_rescaled_keep_their_type(tmp_path):
    pixels = RNG.integers(0, 4000, (3, 9, 11)).astype(np.uint16)
    folder = put_series(tmp_path / "a", pixels, RescaleSlope=1, RescaleIntercept=0)
    assert read_header(folder).dtype == "uint16"
    np.testing.assert_array_equal(read_image(folder)[0], pixels)


def test_labels_come_out_as_nifti_where_the_scan_lies(tmp_path, pixels):
    folder = put_series(tmp_path / "case", pixels)
    label = RNG.integers(0, 3, pixels.shape).astype(np.uint8)
    write_label(tmp_path / "case.nii.gz", label, like=folder)
    written = nibabel.load(tmp_path / "case.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), label.T)
    # by hand: voxel (column i, row j, slice k) lies at origin + i * 0.5 * along_row + j * 0.8 * along_column + ...
    for i, j, k in [(0, 0, 0), (10, 0, 0), (0, 8, 0), (0, 0, 6), (3, 5, 2)]:
        lps = ORIGIN + i * 0.5 * ALONG_ROW + j * 0.8 * ALONG_COLUMN + k * 2.5 * NORMAL
        ras = lps * [-1, -1, 1]
        np.testing.assert_allclose(nibabel.affines.apply_affine(written.affine, (i, j, k)), ras, atol=1e-4)
    assert written.header.get_zooms() == pytest.approx((0.5, 0.8, 2.5))
    assert written.header.get_xyzt_units()[0] == "mm"
    assert (int(written.header["qform_code"]), int(written.header["sform_code"])) == (1, 1)
    np.testing.assert_allclose(written.get_qform(), written.get_sform(), atol=1e-4)
    np.testing.assert_allclose(read_header(folder).affine, read_header(tmp_path / "case.nii.gz").affine, atol=1e-4)
    np.testing.assert_array_equal(read_values(tmp_path / "case.nii.gz"), label)


@pytest.mark.parametrize(
    ("places", "match"),
    [
        ([0, 2, 4, 8, 10, 12, 14], r"1 slice is missing between IM\d+ and IM\d+ \(4 mm apart, others 2\)"),
        ([0, 2, 4, 10, 12, 14, 16], r"2 slices are missing"),
        ([0, 2, 4, 7, 9, 11, 13], r"not evenly apart: 2 to 3 mm"),
        ([0, 2, 2, 4, 6, 8, 10], r"lie at one position"),
    ],
)
def test_gaps_are_named(tmp_path, pixels, places, match):
    folder = put_series(tmp_path / "a", pixels, places=np.array(places, float))
    with pytest.raises(UserError, match=match):
        read_header(folder)


def test_a_leaning_stack_is_named(tmp_path, pixels):
    folder = tmp_path / "a"
    folder.mkdir()
    for at, plane in enumerate(pixels):
        put_slice(folder / f"{at}.dcm", plane, ORIGIN + at * (2 * NORMAL + 0.3 * ALONG_COLUMN))
    with pytest.raises(UserError, match=r"leans by 8\.53 degrees \(gantry tilt\): convert it with dcm2niix"):
        read_header(folder)


def test_what_is_no_single_series_of_gray_slices_is_named(tmp_path, pixels):
    cases = {
        "two": ({"SeriesInstanceUID": "9.9", "SeriesDescription": "scout"}, r"holds 2 series .*scout: 1 file"),
        "frames": ({"NumberOfFrames": 4}, r"one file of 4 frames .*dcm2niix"),
        "spacing": ({"PixelSpacing": [1, 1]}, r"its PixelSpacing is \[1\.0, 1\.0\]"),
        "nowhere": ({"ImagePositionPatient": None}, r"no ImagePositionPatient"),
        "color": ({"SamplesPerPixel": 3}, r"a color image"),
    }
    for name, (more, match) in cases.items():
        folder = put_series(tmp_path / name, pixels)
        put_slice(folder / "IM9999", pixels[0], ORIGIN + 17.5 * NORMAL, **more)
        with pytest.raises(UserError, match=match):
            read_header(folder)


def test_compressed_slices_are_decoded_or_named(tmp_path, pixels):
    folder = put_series(tmp_path / "a", pixels)
    for path in folder.glob("IM*"):
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    np.testing.assert_array_equal(read_image(folder)[0], pixels.astype(np.float32) * 2 - 1000)
    other = put_series(tmp_path / "b", pixels)
    for path in other.glob("IM*"):
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51"])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path)
    decoder = pydicom.pixels.decoders.base.get_decoder(JPEG2000Lossless)
    match = r"cannot be read" if decoder.is_available else r"compressed \(JPEG 2000.*pip install \"pylibjpeg\[all\]\""
    with pytest.raises(UserError, match=match):
        read_image(other)


def test_a_single_file_or_no_pydicom_is_said_in_one_line(tmp_path, pixels, monkeypatch):
    folder = put_series(tmp_path / "a", pixels)
    (folder / "IM0000").rename(tmp_path / "one.dcm")
    with pytest.raises(UserError, match="give the folder of the series"):
        read_header(tmp_path / "one.dcm")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match=r'pip install "atrous\[medical\]"'):
        read_header(folder)


def elements(folder, change):
    """Change every slice of a series: `change(dataset)`."""
    for path in sorted(folder.glob("IM*")):
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)
    os.utime(folder)  # the folder is remembered by its time


@pytest.mark.parametrize("key", [
    "RescaleSlope", "RescaleIntercept", "Rows", "Columns", "BitsAllocated", "PixelRepresentation", "SamplesPerPixel",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
])  # fmt: skip
def test_elements_that_are_there_and_empty_are_named_with_their_file(tmp_path, key):
    folder = put_series(tmp_path / "a", PIXELS)
    elements(folder, lambda dataset: setattr(dataset, key, None))
    for read in (read_header, read_image):
        with pytest.raises(UserError, match=rf"IM\d+: its {key} is empty|IM\d+: it has no {key}"):
            read(folder)


@pytest.mark.parametrize("key", ["Modality", "SeriesInstanceUID", "NumberOfFrames", "SliceThickness"])
def test_other_empty_elements_do_not_matter(tmp_path, key):
    folder = put_series(tmp_path / "a", PIXELS)
    elements(folder, lambda dataset: setattr(dataset, key, None))
    assert read_image(folder).shape == (1, *PIXELS.shape)


@pytest.mark.parametrize("orientation", [[1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]])
def test_an_orientation_that_is_none_is_named(tmp_path, orientation):
    folder = put_series(tmp_path / "a", PIXELS)
    elements(folder, lambda dataset: setattr(dataset, "ImageOrientationPatient", orientation))
    with pytest.raises(UserError, match=r"IM0000: its .* do not say where the voxels lie"):
        read_header(folder)


@pytest.mark.parametrize("kind", ["no mark", "no mark and no meta", "implicit without meta"])
@pytest.mark.parametrize("suffix", [".dcm", "", ".dat"])
def test_dicom_without_its_mark_is_known_by_its_content(tmp_path, kind, suffix):
    folder = put_series(tmp_path / "a", PIXELS)
    truth = read_image(folder)
    for path in sorted(folder.glob("IM*")):
        dataset = pydicom.dcmread(path)
        dataset.preamble = None
        if kind != "no mark":
            dataset.file_meta = FileMetaDataset()
        path.unlink()
        implicit = kind == "implicit without meta"
        pydicom.dcmwrite(
            path.with_suffix(suffix), dataset, implicit_vr=implicit, little_endian=True, enforce_file_format=False,
            force_encoding=True,
        )  # fmt: skip
        assert path.with_suffix(suffix).read_bytes()[128:132] != b"DICM"
    assert is_series(folder)
    np.testing.assert_array_equal(read_image(folder), truth)


def test_files_that_are_dicom_by_name_alone_are_named(tmp_path):
    folder = put_series(tmp_path / "a", PIXELS)
    (folder / "cut.dcm").write_bytes(b"")
    with pytest.raises(UserError, match=r"cut.dcm: its name says DICOM, its content does not: copy it again"):
        read_header(folder)
    for path in folder.glob("IM*"):
        path.unlink()
    assert is_series(folder)


def test_a_deflated_file_that_inflates_beyond_memory_is_refused(tmp_path, monkeypatch):
    folder = put_series(tmp_path / "a", PIXELS)
    truth = read_image(folder)
    for path in sorted(folder.glob("IM*")):
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        dataset.save_as(path)
    np.testing.assert_array_equal(read_image(folder), truth)
    monkeypatch.setattr(base, "memory_limit", lambda: 300)
    monkeypatch.setattr(base, "ALWAYS", 0)
    os.utime(folder, (1, 1))
    with pytest.raises(UserError, match=r"IM000\d: what it inflates to needs .*: save it without deflation"):
        read_image(folder)
