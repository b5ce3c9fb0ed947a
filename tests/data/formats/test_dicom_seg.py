"""DICOM segmentations, read back by highdicom."""

import highdicom
import numpy as np
import pydicom
import pytest

from atrous.data.formats.base import FileFault
from atrous.data.formats.dicom import read_series
from atrous.data.formats.dicom_seg import write_segmentation
from atrous.labels import IGNORE
from tests.scans import FRAME, STUDY, put_referable_series

CLASSES = ("background", "liver", "lesion")
SIZE = (5, 6, 7)


@pytest.fixture
def series(tmp_path):
    return put_referable_series(tmp_path / "scan", SIZE)


def labels():
    drawn = np.random.default_rng(0).integers(0, 3, SIZE).astype(np.uint8)
    drawn[0], drawn[1, 0] = 0, IGNORE
    return drawn


def read(path):
    """Labels `(Z, Y, X)` of a segmentation, by the slices to which its frames refer."""
    found = highdicom.seg.segread(path)
    sources = [uid for _, _, uid in found.get_source_image_uids()]
    return found, sources


def test_the_segments_are_those_of_the_labels_and_refer_to_their_slices(series, tmp_path):
    drawn = labels()
    write_segmentation(tmp_path / "seg.dcm", drawn, series, CLASSES)
    found, sources = read(tmp_path / "seg.dcm")
    assert [segment.segment_label for segment in found.SegmentSequence] == ["liver", "lesion"]
    slices = [pydicom.dcmread(stored.path) for stored in read_series(series).slices]
    assert set(sources) == {one.SOPInstanceUID for one in slices}
    assert (found.StudyInstanceUID, found.FrameOfReferenceUID, found.PatientID) == (STUDY, FRAME, "p7")
    assert found.SeriesInstanceUID != slices[0].SeriesInstanceUID
    wanted = [one.SOPInstanceUID for one in slices]
    back = found.get_pixels_by_source_instance(
        wanted, combine_segments=True, assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )
    np.testing.assert_array_equal(back, np.where(drawn == IGNORE, 0, drawn))
    for frame in found.PerFrameFunctionalGroupsSequence:
        place = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        one = next(one for one in slices if one.SOPInstanceUID == source)
        np.testing.assert_allclose(place, np.array(one.ImagePositionPatient, float), atol=1e-4)


def test_the_same_labels_get_the_same_identifiers_and_others_do_not(series, tmp_path):
    for name, drawn in (("a", labels()), ("b", labels()), ("c", np.flip(labels(), 0))):
        write_segmentation(tmp_path / f"{name}.dcm", drawn, series, CLASSES)
    a, b, c = (pydicom.dcmread(tmp_path / f"{name}.dcm").SOPInstanceUID for name in "abc")
    assert a == b != c


def test_labels_without_any_segment_are_written(series, tmp_path):
    write_segmentation(tmp_path / "seg.dcm", np.zeros(SIZE, np.uint8), series, CLASSES)
    assert highdicom.seg.segread(tmp_path / "seg.dcm").number_of_segments == 2


def test_what_cannot_be_referred_to_is_named(series, tmp_path):
    with pytest.raises(FileFault, match=r"size \(5, 6, 7\), but its labels have \(6, 6, 7\)"):
        write_segmentation(tmp_path / "seg.dcm", np.zeros((6, 6, 7), np.uint8), series, CLASSES)
    bare = pydicom.dcmread(series / "IM9.dcm")
    del bare.FrameOfReferenceUID
    bare.save_as(series / "IM9.dcm")
    with pytest.raises(FileFault, match=r"IM9\.dcm: it has no FrameOfReferenceUID"):
        write_segmentation(tmp_path / "seg.dcm", labels(), series, CLASSES)
    assert not (tmp_path / "seg.dcm").exists()
