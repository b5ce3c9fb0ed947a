"""Folders of DICOM series as a data set."""

import nibabel
import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.errors import UserError
from atrous.prediction.inputs import find_inputs
from atrous.verbs.check import check
from tests.scans import put_series, write_series


def test_series_and_their_labels_are_found(tmp_path):
    root = write_series(tmp_path / "scans")
    found = check(root)
    assert not found.faults
    assert "DICOM series, one folder a case, CT; labels as NIfTI" in found.text()
    assert found.dataset.channel_names == ("CT",)
    sample = next(one for one in found.dataset.samples if one.name == "case2")
    assert sample.target.path == root / "case2.nii.gz"
    image, label = sample.image.load(), sample.target.read()
    assert image.shape == (1, *label.shape) == (1, 12, 24, 26)
    assert image[0][label == 1].mean() > image[0][label == 0].mean() + 500
    assert found.dataset.spacing_of(sample) == pytest.approx((2.5, 0.8, 0.5))


def test_other_places_for_labels_and_splits(tmp_path):
    plain = write_series(tmp_path / "plain", count=4)
    root = tmp_path / "scans"
    (root / "train" / "a").mkdir(parents=True)
    (root / "train" / "labels").mkdir()
    (root / "val" / "b").mkdir(parents=True)
    (plain / "case0").rename(root / "train" / "a" / "DICOM")
    (plain / "case0.nii.gz").rename(root / "train" / "a" / "seg.nii.gz")
    (plain / "case1").rename(root / "train" / "p7")
    (plain / "case1.nii.gz").rename(root / "train" / "labels" / "p7_seg.nii.gz")
    (plain / "case2").rename(root / "val" / "b" / "series")
    (plain / "case2.nii.gz").rename(root / "val" / "b" / "b.nii.gz")
    (plain / "case3").rename(root / "train" / "alone")
    dataset = open_dataset(root)
    found = {sample.name: sample.target.path.name for sample in dataset.samples}
    assert found == {"train/a/DICOM": "seg.nii.gz", "train/p7": "p7_seg.nii.gz", "val/b/series": "b.nii.gz"}
    assert [sample.name for sample in dataset.splits["val"]] == ["val/b/series"]
    assert any("train/alone: has no mask" in fault.line() for fault in check(root).faults)


def test_a_label_elsewhere_is_named(tmp_path):
    root = write_series(tmp_path / "scans")
    image = nibabel.load(root / "case1.nii.gz")
    affine = image.affine.copy()
    affine[0, 3] += 3
    nibabel.save(nibabel.Nifti1Image(np.asanyarray(image.dataobj), affine), root / "case1.nii.gz")
    assert [fault.line() for fault in check(root).faults if fault.kind == "place"]


def test_series_without_labels_and_broken_ones_are_said_in_one_line(tmp_path):
    pixels = np.zeros((4, 9, 9), np.int16)
    put_series(tmp_path / "scans" / "a", pixels)
    with pytest.raises(UserError, match=r"without labels: put a NIfTI file of labels beside each"):
        open_dataset(tmp_path / "scans")
    root = write_series(tmp_path / "more")
    (root / "case1" / "IM0003").unlink()
    found = check(root)
    assert [fault.line() for fault in found.errors if "case1: 1 slice is missing between" in fault.line()]
    assert found.dataset.channel_names == ("CT",)


def test_inputs_are_folders_of_slices(tmp_path):
    put_series(tmp_path / "in" / "p1" / "1.2.840.3", np.zeros((4, 9, 9), np.int16))
    found = find_inputs([tmp_path / "in"], ndim=3, channels=1)
    assert [str(item.relative) for item in found] == ["p1/1.2.840.3.nii.gz"]
    found = find_inputs([tmp_path / "in" / "p1" / "1.2.840.3"], ndim=3, channels=1)
    assert [str(item.relative) for item in found] == ["1.2.840.3.nii.gz"]
