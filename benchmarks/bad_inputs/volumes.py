"""Mistakes in volumes: NIfTI, nnU-Net, DICOM series, microscope stacks."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from pydicom import dcmread

from atrous.data.formats.base import Library
from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import spoiled
from tests.scans import NORMAL, ORIGIN, put_series, put_slice, write_series
from tests.volumes import write_volumes

RNG = np.random.default_rng(0)
nibabel: Any = Library("nibabel")
HEADER, AFTER_HEADER = 348, 4
"""Bytes of a NIfTI header, and of what follows it."""


def again(path: Path, change_affine: np.ndarray) -> None:
    """Write a NIfTI file with another affine."""
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.asanyarray(image.dataobj), change_affine @ image.affine), path)


def moved(millimeters: float) -> np.ndarray:
    affine = np.eye(4)
    affine[0, 3] = millimeters
    return affine


def two_channels(folder: Path) -> None:
    write_volumes(folder)
    about = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(about | {"channel_names": {"0": "T1", "1": "T2"}}))
    for path in sorted((folder / "imagesTr").iterdir()):
        path.with_name(path.name.replace("_0000", "_0001")).write_bytes(path.read_bytes())
    again(folder / "imagesTr/case3_0001.nii.gz", moved(4))


def singular_images(folder: Path) -> None:
    """Write ordinary folders of `.nii`, one of them with a singular affine."""
    for name, kind in (("images", np.float32), ("masks", np.uint8)):
        (folder / name).mkdir(parents=True)
        for case in range(5):
            voxels = RNG.integers(0, 2, (9, 10, 11)).astype(kind)
            image = nibabel.Nifti1Image(voxels, np.eye(4))
            content = bytearray(image.to_bytes())
            if case == 3 and name == "images":
                image.header.set_sform(np.diag([1.0, 0, 1, 1]), 1)
                content[:HEADER] = image.header.binaryblock
                content[108:112] = np.float32(HEADER + AFTER_HEADER).tobytes()
                content[344:348] = b"n+1\0"
            (folder / name / f"{case}.nii").write_bytes(content)


def pixdim(folder: Path) -> None:
    for path in sorted((folder / "imagesTr").iterdir()):
        image = nibabel.load(path)
        image.header["pixdim"][1:4] = [0.86, 0.86, 0.79]
        image.to_filename(path)


def left_and_right(folder: Path) -> None:
    """Store one case with its first two axes pointing the other way, at the same places."""
    for path in (folder / "imagesTr/case3_0000.nii.gz", folder / "labelsTr/case3.nii.gz"):
        image = nibabel.load(path)
        voxels = np.asanyarray(image.dataobj)[::-1, ::-1]
        turn = np.diag([-1.0, -1, 1, 1])
        turn[:2, 3] = np.array(voxels.shape[:2]) - 1
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels), image.affine @ turn), path)


def change_masks(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for path in sorted((folder / "labelsTr").iterdir()):
        image = nibabel.load(path)
        nibabel.save(nibabel.Nifti1Image(change(np.asanyarray(image.dataobj)), image.affine), path)


def one_hot(folder: Path) -> None:
    change_masks(folder, lambda mask: np.stack([mask == k for k in range(3)], -1).astype(np.uint8))


def interpolated(folder: Path) -> None:
    change_masks(folder, lambda mask: mask * np.float32(0.999))


def not_packed(folder: Path) -> None:
    path = folder / "imagesTr/case3_0000.nii.gz"
    path.write_bytes(gzip.decompress(path.read_bytes()))


def series(places: Sequence[float] | None = None, **more: object):
    """Return what writes DICOM series with labels, and one case whose slices lie at these places."""

    def make(folder: Path) -> None:
        write_series(folder)
        for path in (folder / "case3").iterdir():
            path.unlink()
        (folder / "case3").rmdir()
        pixels = RNG.integers(0, 900, (12, 24, 26)).astype(np.int16)
        put_series(folder / "case3", pixels, places=None if places is None else np.array(places, float))
        if more:
            put_slice(folder / "case3/IM9999", pixels[0], ORIGIN + 40 * NORMAL, **more)

    return make


def empty_element(folder: Path) -> None:
    path = folder / "case3/IM0003"
    dataset = dcmread(path)
    dataset.RescaleIntercept = None
    dataset.save_as(path)


def depth_and_time(folder: Path) -> None:
    for name, kind in (("images", np.uint16), ("masks", np.uint8)):
        (folder / name).mkdir(parents=True)
        for index in range(4):
            axes, size = ("TZYX", (3, 4, 20, 22)) if index == 3 else ("ZYX", (4, 20, 22))
            pixels = RNG.integers(0, 2, size).astype(kind)
            metadata = {"axes": axes}
            path = folder / name / f"{index}.ome.tif"
            tifffile.imwrite(path, pixels, ome=True, photometric="minisblack", metadata=metadata)


MISSING = [0, 2, 4, 8, 10, 12, 14, 16, 18, 20, 22, 24]
UNEVEN = [0, 2, 4, 7, 9, 11, 13, 15, 17, 19, 21, 23]
MISTAKES = (
    Mistake(
        "channels of a volume lie on different grids", two_channels, "error",
        ("imagesTr/case3_0001.nii.gz", "it is shifted by 4 x 0 x 0 mm", "resample them to one grid"),
    ),
    Mistake(
        "DICOM: a slice is missing", series(MISSING), "error",
        ("case3", "1 slice is missing between", "copy the series again, whole"),
    ),
    Mistake(
        "DICOM: a slice is missing", series(UNEVEN), "error",
        ("case3", "not evenly apart: 2 to 3 mm", "resample it to even gaps"),
    ),
    Mistake(
        "DICOM: a slice is missing", series(SeriesInstanceUID="9.9", SeriesDescription="scout"), "error",
        ("case3", "it holds 2 series", "put each series into a folder of its own"),
    ),
    Mistake(
        "DICOM: an element is there, but empty", spoiled(empty_element, write_series), "error",
        ("case3/IM0003", "its RescaleIntercept is empty", "write its value", "or export it again"),
    ),
    Mistake(
        "OME: a file has both time and depth", depth_and_time, "error",
        ("images/3.ome.tif", "both T and Z", "save each time point"),
    ),
    Mistake(
        "An affine is singular", singular_images, "error",
        ("images/3.nii", "its affine is singular", "write its sform or qform anew"),
    ),
    Mistake(
        "`spacing` has a wrong number", spoiled(lambda f: (f / "dataset.toml").write_text("spacing = [1.0]\n"),
        write_volumes),
        "error", ("dataset.toml", "`spacing` has 1 value, but the images have 3 axes",
        "one distance for each axis (slices"),
    ),
    Mistake(
        "a channel or a page for each class", spoiled(one_hot, write_volumes), "error",
        ("labelsTr/case0.nii.gz", "a mask of 3 channels", "one channel: np.argmax, if each is a class"),
    ),
    Mistake(
        "Masks have fractions", spoiled(interpolated, write_volumes), "error",
        ("labelsTr/case0.nii.gz", "a label file with fractions, such as 0.999", "without scaling or interpolation"),
    ),
    Mistake(
        "named `.nii.gz`, but it is not compressed", spoiled(not_packed, write_volumes), "error",
        ("imagesTr/case3_0000.nii.gz", "it is not compressed", "rename it to case3_0000.nii"),
    ),
    Mistake(
        "axes of volumes point in different directions", spoiled(left_and_right, write_volumes), "warning",
        ("imagesTr/case3_0000.nii.gz", "its axes point to LPS, those of most volumes to RAS", "one orientation"),
    ),
    Mistake(
        "affine of a mask differs", spoiled(lambda f: again(f / "labelsTr/case3.nii.gz", moved(4)), write_volumes),
        "warning",
        ("labelsTr/case3.nii.gz", "its affine is not that of its image (they differ by up to 4)",
         "look at both in a viewer"),
    ),
    Mistake(
        "voxel sizes of a NIfTI file", spoiled(pixdim, write_volumes), "warning",
        ("imagesTr/case0_0000.nii.gz", "by its affine: the first is used", "correct the one that is wrong"),
    ),
    Mistake(
        "No image can be read", spoiled(lambda f: [p.write_bytes(b"") for p in f.rglob("*.nii.gz")], write_volumes),
        "refused", ("imagesTr/case", "cannot be read, it is empty (0 bytes)", "copy it again"),
    ),
)  # fmt: skip
