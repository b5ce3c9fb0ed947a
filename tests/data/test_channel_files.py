"""Channels of one volume in several files, on one grid or refused."""

import json
import re

import nibabel
import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.data.formats.base import FileFault
from atrous.data.images import FileImage
from atrous.data.preprocess import Expected, Preparation, Wanted
from atrous.prediction.inputs import Input, open_input

VOXELS = np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype(np.float32)  # channels, then (I, J, K)
AFFINE = np.array([[1.0, 0, 0, -3], [0, 2, 0, 5], [0, 0, 3, 7], [0, 0, 0, 1]])


def save(path, voxels, affine):
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def mirrored(voxels, affine, axis):
    turned = affine.copy()
    turned[:3, axis] = -affine[:3, axis]
    turned[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
    return np.flip(voxels, axis), turned


def exchanged(voxels, affine):
    return voxels.transpose(2, 0, 1), affine[:, [2, 0, 1, 3]]


STORED = {
    "as it is": (VOXELS[1], AFFINE),
    "mirrored": mirrored(VOXELS[1], AFFINE, 0),
    "mirrored twice": mirrored(*mirrored(VOXELS[1], AFFINE, 0), 2),
    "axes exchanged": exchanged(VOXELS[1], AFFINE),
    "both": exchanged(*mirrored(VOXELS[1], AFFINE, 1)),
}


@pytest.mark.parametrize("stored", STORED)
def test_channels_are_turned_onto_the_first(tmp_path, stored):
    files = (save(tmp_path / "p_0000.nii.gz", VOXELS[0], AFFINE), save(tmp_path / "p_0001.nii.gz", *STORED[stored]))
    wanted = VOXELS.transpose(0, 3, 2, 1)
    np.testing.assert_array_equal(FileImage(files[0], files[1:]).load(), wanted)
    item = Input(files, files[0].with_name("p.nii.gz"))
    opened = open_input(item, expected=Expected(Wanted(2)), preparation=Preparation(), ndim=3)
    np.testing.assert_array_equal(opened.source[...], wanted)
    np.testing.assert_array_equal(opened.source[1, 1:3, ::2], wanted[1, 1:3, ::2])


def changed(row, column, by):
    affine = AFFINE.copy()
    affine[row, column] += by
    return affine


OBLIQUE = AFFINE.copy()
OBLIQUE[:2, :2] = [[0.8, -1.2], [0.6, 1.6]]


@pytest.mark.parametrize(
    ("voxels", "affine", "said"),
    [
        (VOXELS[1], changed(0, 3, 4), "p_0001.nii.gz: its voxels are not those of p_0000.nii.gz: it is shifted by 4 x"),
        (VOXELS[1], changed(0, 0, 0.5), "spacing 1.5 x 2 x 3 mm for 1 x 2 x 3 mm"),
        (VOXELS[1], OBLIQUE, "its axes point in other directions"),
        (VOXELS[1][:, :, :3], AFFINE, "size (3, 5, 6), but p_0000.nii.gz has (4, 5, 6)"),
    ],
)
def test_channels_on_another_grid_are_refused_with_what_differs(tmp_path, voxels, affine, said):
    files = (save(tmp_path / "p_0000.nii.gz", VOXELS[0], AFFINE), save(tmp_path / "p_0001.nii.gz", voxels, affine))
    with pytest.raises(FileFault, match=re.escape(said)):
        FileImage(files[0], files[1:]).load()
    item = Input(files, files[0].with_name("p.nii.gz"))
    with pytest.raises(FileFault, match=re.escape(said)):
        open_input(item, expected=Expected(Wanted(2)), preparation=Preparation(), ndim=3)


def test_a_rounding_of_the_affine_is_no_difference(tmp_path):
    almost = changed(0, 3, 1e-4)
    files = (save(tmp_path / "p_0000.nii.gz", VOXELS[0], AFFINE), save(tmp_path / "p_0001.nii.gz", VOXELS[1], almost))
    np.testing.assert_array_equal(FileImage(files[0], files[1:]).load(), VOXELS.transpose(0, 3, 2, 1))


def test_a_case_of_an_nnunet_folder_is_aligned(tmp_path):
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    content = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "a": 1}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    for case in range(2):
        save(tmp_path / f"imagesTr/{case}_0000.nii.gz", VOXELS[0], AFFINE)
        save(tmp_path / f"imagesTr/{case}_0001.nii.gz", *STORED["mirrored"])
        save(tmp_path / f"labelsTr/{case}.nii.gz", (VOXELS[0] > 0).astype(np.uint8), AFFINE)
    for sample in open_dataset(tmp_path).samples:
        np.testing.assert_array_equal(sample.image.load(), VOXELS.transpose(0, 3, 2, 1))
