"""Images and masks in one folder, and what Cellpose leaves there."""

import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.data.description import Description
from atrous.data.layouts.table import find_layout
from atrous.errors import UserError
from atrous.prediction.inputs import find_inputs
from atrous.verbs.check import check
from tests.data.data_folders import picture, save, stripes


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}.png", "{}_mask.png"),
        ("{}.tif", "{}_masks.tif"),
        ("{}.tif", "{}_cp_masks.png"),
        ("{}.png", "{}_label.png"),
        ("{}_sat.jpg", "{}_mask.png"),
        ("{}.jpg", "{}.png"),
        ("{}.jpg", "{}.seg.png"),
        ("img_{}.png", "mask_{}.png"),
        ("well 1/scan ({}).png", "well 1/scan ({})_mask.png"),
    ],
)
@pytest.mark.parametrize("split", ["", "train/"])
def test_names_tell_images_from_masks(tmp_path, image, mask, split):
    for i in range(4):
        save(tmp_path / f"{split}{image.format(i)}", picture(i))
        save(tmp_path / f"{split}{mask.format(i)}", stripes())
    dataset = open_dataset(tmp_path)
    assert len(dataset.samples) == 4
    for sample in dataset.samples:
        number = sample.image.path.stem.replace("_sat", "").strip("()")[-1]
        assert sample.image.path == tmp_path / f"{split}{image.format(number)}"
        assert sample.target.path == tmp_path / f"{split}{mask.format(number)}"


def test_masks_of_several_objects_in_one_folder_are_merged(tmp_path):
    for i in range(3):
        save(tmp_path / f"benign ({i}).png", picture(i))
        save(tmp_path / f"benign ({i})_mask.png", 255 * (stripes() == 1).astype(np.uint8))
    save(tmp_path / "benign (1)_mask_1.png", 255 * (stripes() == 2).astype(np.uint8))
    found = check(tmp_path)
    assert found.ok
    sample = next(s for s in found.dataset.samples if s.name.endswith("(1)"))
    np.testing.assert_array_equal(sample.target.read(), stripes() > 0)


def test_a_folder_of_masks_comes_first(tmp_path, flat):
    root = flat()
    save(root / "images/0_mask.png", picture(7))  # an image that has an odd name
    assert find_layout(root, Description()).images_alone == (root / "images/0_mask.png",)


def test_images_alone_are_told_how_to_name_masks(tmp_path):
    save(tmp_path / "a.png", picture(0))
    with pytest.raises(UserError, match="no name says which are images and which masks: put them into images/"):
        find_layout(tmp_path, Description())
    save(tmp_path / "images/a.png", picture(0))
    with pytest.raises(UserError, match=r"no folder of masks .* or end the names of masks in _mask$"):
        find_layout(tmp_path, Description())


def cellpose(root, masks):
    for i in range(4):
        save(root / f"images/well_{i}.tif", picture(i))
        if masks:
            save(root / f"masks/well_{i}_masks.tif", stripes())
        np.save(root / f"images/well_{i}_seg.npy", {"masks": stripes()}, allow_pickle=True)
    return root


def test_files_of_the_window_of_cellpose_are_named_as_what_they_are(tmp_path):
    root = cellpose(tmp_path / "with", masks=True)
    found = check(root)
    assert found.ok
    assert len(found.dataset.samples) == 4
    (problem,) = (problem for problem in found.faults if problem.kind.startswith("left out"))
    assert problem.file == "images/well_0_seg.npy"
    assert len(problem.others) == 3
    assert "made by Cellpose's window: a pickle" in problem.what
    with pytest.raises(
        UserError, match=r"well_0_seg\.npy: made by Cellpose's window: a pickle, .*save the masks as PNG"
    ):
        check(cellpose(tmp_path / "without", masks=False))


def test_files_of_cellpose_are_no_inputs_of_a_prediction(tmp_path):
    root = cellpose(tmp_path, masks=False) / "images"
    np.save(root / "alone_seg.npy", stripes())
    found = find_inputs([root], ndim=2, channels=3)
    assert [item.path.name for item in found] == ["alone_seg.npy", *(f"well_{i}.tif" for i in range(4))]


def test_an_array_of_numbers_with_the_same_end_is_a_mask(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", picture(i))
        np.save(tmp_path / f"{i}_seg.npy", stripes())
    dataset = open_dataset(tmp_path)
    np.testing.assert_array_equal(dataset.samples[0].target.read(), stripes())


@pytest.mark.parametrize("names", [("image.png", "mask.png"), ("scan.jpg", "Label.png"), ("7.png", "gt.tif")])
def test_a_folder_for_each_image_with_its_mask(tmp_path, names):
    for i in range(4):
        save(tmp_path / f"case{i}" / names[0], picture(i))
        save(tmp_path / f"case{i}" / names[1], stripes())
    found = check(tmp_path)
    assert found.faults == ()
    pairs = {(s.image.path.parent.name, s.target.path.parent.name) for s in found.dataset.samples}
    assert pairs == {(f"case{i}", f"case{i}") for i in range(4)}
