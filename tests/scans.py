"""DICOM series written by pydicom, of known place and orientation."""

from pathlib import Path

import nibabel
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

STUDY, FRAME = "1.2.3.7", "1.2.3.8"
TURN = np.deg2rad(30)
ALONG_ROW = np.array([np.cos(TURN), np.sin(TURN), 0.0])
ALONG_COLUMN = np.array([0.0, 0.0, -1.0])  # a coronal picture, turned about the body's axis
NORMAL = np.cross(ALONG_ROW, ALONG_COLUMN)
ORIGIN = np.array([-100.0, 50.0, 300.0])


def put_slice(path, pixels, position, **more):
    """One CT slice; `more` are elements that differ from the usual."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3.4"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.Modality = "1.2.3", "CT"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelSpacing = [0.8, 0.5]  # between rows, between columns
    dataset.ImageOrientationPatient = [*ALONG_ROW, *ALONG_COLUMN]
    dataset.ImagePositionPatient = [round(float(x), 6) for x in position]
    dataset.RescaleSlope, dataset.RescaleIntercept = 2, -1000
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for key, value in more.items():
        setattr(dataset, key, value)
    dataset.save_as(path, enforce_file_format=True)


def put_series(folder, pixels, gap=2.5, places=None, **more):
    """Slices in an order of names that is not that of their places."""
    folder.mkdir(parents=True)
    places = np.arange(len(pixels)) * gap if places is None else places
    names = np.random.default_rng(0).permutation(len(pixels))
    for name, plane, place in zip(names, pixels, places, strict=True):
        put_slice(folder / f"IM{name:04d}", plane, ORIGIN + place * NORMAL, **more)
    (folder / "DICOMDIR").write_bytes(b"an index")
    (folder / "notes.txt").write_text("not a slice")
    return folder


def put_referable_series(folder: Path, size: tuple[int, int, int]) -> Path:
    """Slices with all that a segmentation refers to, whose names are in the reverse order of their places."""
    folder.mkdir(parents=True)
    for place in range(size[0]):
        name, instance = folder / f"IM{9 - place}.dcm", f"1.2.3.9.{place + 1}"
        shared = {"StudyInstanceUID": STUDY, "FrameOfReferenceUID": FRAME, "PatientID": "p7"}
        pixels = np.full(size[1:], place, np.int16)
        put_slice(name, pixels, ORIGIN + 2.5 * place * NORMAL, SOPInstanceUID=instance, **shared)
        stored = dcmread(name)
        stored.file_meta.MediaStorageSOPInstanceUID = instance
        stored.save_as(name)
    return folder


def write_series(root: Path, count: int = 5) -> Path:
    """Folders of slices with bright balls, each with its labels as NIfTI beside."""
    rng = np.random.default_rng(0)
    size = (12, 24, 26)
    affine = np.eye(4)
    affine[:3] = np.stack([0.5 * ALONG_ROW, 0.8 * ALONG_COLUMN, 2.5 * NORMAL, ORIGIN], 1)
    affine[:2] *= -1
    for case in range(count):
        center = rng.uniform(0.4, 0.6, 3) * size
        places = (np.indices(size).T - center).T * np.array([1.5, 1, 1])[:, None, None, None]
        label = ((places**2).sum(0) < 6**2).astype(np.uint8)
        put_series(root / f"case{case}", (500 + 300.0 * label + rng.normal(0, 40, size)).astype(np.int16))
        nibabel.save(nibabel.Nifti1Image(label.T, affine), root / f"case{case}.nii.gz")
    (root / "dataset.toml").write_text('classes = ["ground", "ball"]\n')
    return root
