"""nnU-Net folders, of both versions and of the Decathlon."""

import json

import nibabel
import numpy as np
import pytest

from atrous.data.check.fingerprint import from_dict
from atrous.data.dataset import open_dataset
from atrous.data.formats import write_label
from atrous.errors import UserError
from atrous.verbs.check import check

RNG = np.random.default_rng(0)
JSON = {
    "channel_names": {"0": "T1", "1": "T2"},
    "labels": {"background": 0, "anterior": 1, "posterior": 2},
    "numTraining": 5,
    "file_ending": ".nii.gz",
}


def volume(path, data, zooms=(1.0, 1.5, 3.0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, np.diag([*zooms, 1])), path)


def folder(root, content=JSON, channels=2, cases="abcde", numbered=True):
    root.mkdir(exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content))
    ending = content.get("file_ending", ".nii.gz")
    for case in cases:
        for channel in range(channels):
            name = f"{case}_{channel:04d}{ending}" if numbered else f"{case}{ending}"
            volume(root / "imagesTr" / name, RNG.normal(channel * 100, 10, (6, 7, 8)).astype(np.float32))
        volume(root / "labelsTr" / f"{case}{ending}", RNG.integers(0, 3, (6, 7, 8)).astype(np.uint8))
    return root


def test_channels_of_a_case_are_put_together_and_its_spacing_is_known(tmp_path):
    dataset = open_dataset(folder(tmp_path))
    assert dataset.classes == ("background", "anterior", "posterior")
    assert dataset.channel_names == ("T1", "T2")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 4, "val": 1}
    assert "val drawn from train: 1 of 5" in dataset.split_origin
    sample = dataset.splits["train"][0]
    image = sample.image.load()
    assert image.shape == (2, 8, 7, 6)
    assert np.allclose(image.mean((1, 2, 3)), (0, 100), atol=5)
    assert sample.target.read().shape == (8, 7, 6)
    assert dataset.spacing_of(sample) == (3.0, 1.5, 1.0)


def test_the_decathlon_names_values_first_and_files_without_channels(tmp_path):
    content = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "Anterior", "2": "Posterior"}}
    dataset = open_dataset(folder(tmp_path, content, channels=1, numbered=False))
    assert dataset.classes == ("background", "Anterior", "Posterior")
    assert dataset.samples[0].image.load().shape == (1, 8, 7, 6)


def test_an_ignore_label_and_values_with_gaps(tmp_path):
    dataset = open_dataset(folder(tmp_path, JSON | {"labels": {"ignore": 2, "background": 0, "lesion": 1}}))
    assert dataset.classes == ("background", "lesion")
    assert dataset.coding.ignore == (2,)
    label = dataset.samples[0].target.read()
    assert set(np.unique(label)) == {0, 1, 255}
    (tmp_path / "dataset.json").write_text(json.dumps(JSON | {"labels": {"background": 0, "a": 1, "b": 2, "c": 7}}))
    assert open_dataset(tmp_path).coding.values == (0, 1, 2, 7)


def test_test_images_need_no_labels_and_folds_are_obeyed(tmp_path):
    folder(tmp_path)
    volume(tmp_path / "imagesTs" / "z_0000.nii.gz", np.zeros((3, 3, 3), np.float32))
    volume(tmp_path / "imagesTs" / "z_0001.nii.gz", np.zeros((3, 3, 3), np.float32))
    folds = [{"train": ["a", "b", "c"], "val": ["d", "e"]}, {"train": [], "val": []}]
    (tmp_path / "splits_final.json").write_text(json.dumps(folds))
    dataset = open_dataset(tmp_path)
    assert [sample.name for sample in dataset.splits["val"]] == ["imagesTr/d", "imagesTr/e"]
    assert dataset.splits["test"][0].target is None
    assert "splits_final.json" in dataset.split_origin


def test_the_doctor_knows_it(tmp_path):
    found = check(folder(tmp_path))
    assert found.ok
    assert found.dataset.layout == "nnU-Net, 2 channels a case"
    assert found.fingerprint.channels == 2
    assert found.fingerprint.ndim == 3
    text = found.text()
    assert "(T1, T2)" in text
    assert "anterior" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {"background": 0, "whole": [1, 2]}}, "region"),
        ({"labels": None}, "`labels` is missing"),
        ({"channel_names": None}, "`channel_names` is missing"),
        ({"file_ending": ".nrrd"}, "no files that end in .nrrd"),
        ({"labels": {"background": 0, "a": "x"}}, "whole number"),
        ({"channel_names": {"0": "a", "1": "b", "2": "c"}}, "wanted are _0000, _0001, _0002"),
    ],
)
def test_mistakes_are_named(tmp_path, change, message):
    folder(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps(JSON | change))
    with pytest.raises(UserError, match=message):
        open_dataset(tmp_path)


def test_predicted_labels_can_be_read_as_a_data_set_again(tmp_path):
    dataset = open_dataset(folder(tmp_path))
    sample = dataset.samples[0]
    label = sample.target.read()
    write_label(tmp_path / "out.nii.gz", label, like=sample.image.path)
    back = nibabel.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(back.affine, nibabel.load(sample.image.path).affine)
    np.testing.assert_array_equal(np.asanyarray(back.dataobj), label.T)


def test_the_real_hippocampus(shared_data):
    dataset = open_dataset(shared_data / "hippocampus")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 160, "val": 40}
    sample = dataset.splits["val"][0]
    assert sample.image.load().shape[1:] == sample.target.read().shape
    assert dataset.spacing_of(sample) == (1.0, 1.0, 1.0)


def test_the_doctor_says_spacing_and_finds_masks_that_lie_elsewhere(tmp_path):
    folder(tmp_path)
    moved = nibabel.load(tmp_path / "labelsTr" / "b.nii.gz")
    affine = moved.affine.copy()
    affine[0, 3] += 4
    nibabel.save(nibabel.Nifti1Image(np.asanyarray(moved.dataobj), affine), tmp_path / "labelsTr" / "b.nii.gz")
    found = check(tmp_path)
    assert found.ok
    assert found.fingerprint.spacing.median == (3.0, 1.5, 1.0)
    assert "spacing  3 x 1.5 x 1" in found.text()
    assert "(slices x rows x columns)" in found.text()
    (fault,) = [fault for fault in found.faults if fault.kind == "place"]
    assert fault.file == "labelsTr/b.nii.gz"
    assert "differ by up to 4" in fault.what


def test_the_fingerprint_comes_back_from_json_and_knows_the_foreground(tmp_path):
    found = check(folder(tmp_path)).fingerprint
    assert from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert found.foreground is not None
    assert found.foreground.low[1] == pytest.approx(100 - 2.6 * 10, abs=6)
    assert found.foreground.mean == pytest.approx((0, 100), abs=1)
    assert found.case_scale == pytest.approx(1.0, abs=0.1)


def test_the_doctor_warns_of_an_affine_with_other_distances_than_the_spacing(tmp_path):
    """As in the VINCI data: the sform lacks the scale."""
    for folder, values in (("images", np.float32), ("masks", np.uint8)):
        (tmp_path / folder).mkdir()
        for i in range(3):
            data = np.random.default_rng(i).integers(0, 2, (8, 8, 8)).astype(values)
            image = nibabel.Nifti1Image(data, None)
            image.header.set_sform(np.diag([-1.0, 1, 1, 1]), 2)
            image.header["pixdim"][1:4] = [0.86, 0.86, 0.79]
            image.to_filename(tmp_path / folder / f"{i}.nii.gz")
    lines = [fault.line() for fault in check(tmp_path).faults if fault.severity == "warning"]
    assert len(lines) == 3  # one for each image, which the report puts together
    assert (
        "its voxels are 0.79 x 0.86 x 0.86 apart (pixdim), but 1 x 1 x 1 by its affine: the first is used" in lines[0]
    )


def test_a_case_to_be_predicted_without_all_channels_does_not_stop_a_training(tmp_path):
    root = folder(tmp_path)
    volume(root / "imagesTs" / "w_0000.nii.gz", np.zeros((3, 3, 3), np.float32))
    found = check(root)
    assert found.ok
    (warned,) = [fault for fault in found.faults if "w_0000" in fault.file]
    assert "has no mask and is left out" in warned.line()
    assert all(sample.name != "imagesTs/w" for sample in found.dataset.samples)
    volume(root / "labelsTs" / "w.nii.gz", np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(UserError, match="case w has the channels _0000, wanted are _0000, _0001"):
        open_dataset(root)
