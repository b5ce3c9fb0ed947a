"""DICOM segmentations: labels of a series as one SEG file that refers to it, written by highdicom."""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import FileFault, Library, guarded
from atrous.data.formats.dicom import DicomFormat, read_series
from atrous.data.formats.dicom_files import read_dicom
from atrous.files import replacing
from atrous.labels import IGNORE

highdicom: Any = Library("highdicom", 'DICOM segmentations need highdicom: pip install "atrous[dicomseg]"')
pydicom: Any = Library("pydicom", 'DICOM needs pydicom: pip install "atrous[medical]"')

_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID")
"""Elements by which a segmentation refers to a slice."""
_PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
_PATIENT += ("AccessionNumber", "ReferringPhysicianName")
"""Elements that a segmentation takes over; a series without them gives empty ones."""


def write_segmentation(path: Path, labels: np.ndarray, series: Path, classes: Sequence[str]) -> None:
    """Write labels as a DICOM segmentation: one segment for each class but the first, the background.

    The segments refer to the slices of the series, in whose study and frame of reference they are. Void labels are in
    no segment. The identifiers follow from the series and the labels, so that the same labels get the same ones.

    Args:
        path: the file to write.
        labels: `(Z, Y, X)` on the grid of the series, class numbers and `IGNORE`.
        series: the folder of slices.
        classes: names, in label order.

    Raises:
        FileFault: a slice lacks what a segmentation must refer to, or the labels have another size.
        UserError: highdicom is not installed.
    """
    found = read_series(series)
    size = (len(found.slices), *found.size)
    if labels.shape != size:
        raise FileFault(series, f"size {size}, but its labels have {labels.shape}", "label it again")
    slices = [_source(stored.path, found.spacing[0]) for stored in found.slices]
    try:
        content = _encoded(labels, slices, classes)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FileFault(series, f"no segmentation can refer to it ({error})", "export the series again") from error
    with replacing(path) as beside:
        beside.write_bytes(content)


def _source(path: Path, apart: float) -> Any:
    """Read the header of a slice, with all elements that a segmentation needs of it; `apart` mm from the next one."""
    dataset = guarded(path, "dcm", DicomFormat().errors, lambda: read_dicom(path, header=True))
    for key in _NEEDED:
        if not dataset.get(key):
            raise FileFault(path, f"it has no {key}, by which a segmentation refers to it", "export the series again")
    for key in _PATIENT:
        if key not in dataset:
            setattr(dataset, key, None)
    if not dataset.get("SliceThickness"):
        dataset.SliceThickness = apart
    return dataset


def _encoded(labels: np.ndarray, slices: Sequence[Any], classes: Sequence[str]) -> bytes:
    codes, release = pydicom.sr.codedict.codes, version("atrous")
    made_by = highdicom.AlgorithmIdentificationSequence("atrous", codes.DCM.ArtificialIntelligence, release)
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name[:64],
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure
            if _is_lesion(name)
            else codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Lesion if _is_lesion(name) else codes.SCT.Tissue,
            algorithm_type="AUTOMATIC",
            algorithm_identification=made_by,
        )
        for number, name in enumerate(classes)
        if number > 0
    ]
    drawn = np.where(labels == IGNORE, 0, labels).astype(np.uint8)
    digest = hashlib.sha256(drawn.tobytes()).hexdigest()
    same = [str(slices[0].SeriesInstanceUID), digest]
    segmentation = highdicom.seg.Segmentation(
        source_images=list(slices),
        pixel_array=drawn,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=pydicom.uid.generate_uid(entropy_srcs=[*same, "series"]),
        series_number=1000,
        sop_instance_uid=pydicom.uid.generate_uid(entropy_srcs=[*same, "instance"]),
        instance_number=1,
        manufacturer="atrous",
        manufacturer_model_name="atrous",
        software_versions=release,
        device_serial_number="0",
        omit_empty_frames=bool(drawn.any()),
    )
    buffer = BytesIO()
    segmentation.save_as(buffer)
    return buffer.getvalue()


def _is_lesion(name: str) -> bool:
    return any(word in name.casefold() for word in ("lesion", "tumor", "tumour", "metastas"))
