"""Several label files of one image, found by names; and what they give."""

import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.data.description import Description
from atrous.data.layouts.several import MaskNames, endings, masks_of
from atrous.data.layouts.table import find_layout
from atrous.errors import UserError
from atrous.verbs.check import check
from tests.data.data_folders import SIZE, picture, save


def part(number, value=255):
    """A mask with one of three bands."""
    mask = np.zeros(SIZE, np.uint8)
    mask[8 * number : 8 * number + 8] = value
    return mask


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        (["a", "b"], ["a", "b"], {"a": ("a",), "b": ("b",)}),
        (
            ["x (1)", "x (4)"],
            ["x (1)_mask", "x (4)_mask", "x (4)_mask_1"],
            {"x (1)": ("x (1)_mask",), "x (4)": ("x (4)_mask", "x (4)_mask_1")},
        ),
        (["a"], ["a_2", "a_10", "a_1"], {"a": ("a_1", "a_2", "a_10")}),
        (["a"], ["a/1", "a/2"], {"a": ("a/1", "a/2")}),
        (["p/a"], ["p/a_cell1", "p/a_cell2"], {"p/a": ("p/a_cell1", "p/a_cell2")}),
        (
            ["id1/id1", "id2/id2"],
            ["id1/3fa", "id1/9c2", "id2/77b"],
            {"id1/id1": ("id1/3fa", "id1/9c2"), "id2/id2": ("id2/77b",)},
        ),
    ],
)
def test_files_of_objects_are_found(images, labels, expected):
    found = masks_of(images, labels)
    assert found.of_image == expected
    assert found.unclear == {}


def test_what_is_no_object_is_not_merged():
    assert masks_of(["scan"], ["scan", "scan_2"]).of_image == {"scan": ("scan",)}  # the image scan_2 is missing
    assert masks_of(["a_3", "a"], ["a_3_mask", "a_mask", "a_4_mask"]).of_image == {
        "a_3": ("a_3_mask",),
        "a": ("a_mask",),
    }
    assert masks_of(["a"], ["a_left", "a_right"]).unclear == {"a": ("a_left", "a_right")}
    assert masks_of(["p/a", "p/b"], ["p/x", "p/y"]).of_image == {}
    assert masks_of(["p/a"], ["p/x", "p/y"]).of_image == {}


def test_files_of_classes_and_of_annotators_are_not_merged():
    organs = ["p1/liver", "p1/lung", "p2/liver", "p2/lung"]
    assert masks_of(["p1", "p2"], organs) == MaskNames(
        {}, {"p1": ("p1/liver", "p1/lung"), "p2": ("p2/liver", "p2/lung")}
    )
    assert masks_of(["a"], ["a_class1", "a_class2"]).unclear == {"a": ("a_class1", "a_class2")}
    assert masks_of(["a"], ["a_rater_1", "a_rater_2"]).unclear == {"a": ("a_rater_1", "a_rater_2")}
    assert masks_of(["a"], ["a_manual1", "a_manual2"]).of_image == {"a": ("a_manual1",)}
    assert masks_of(["a"], ["a_1stHO", "a_2ndHO"]).of_image == {"a": ("a_1stHO",)}


def test_organs_in_a_folder_for_each_image(tmp_path):
    for i in range(3):
        save(tmp_path / f"images/p{i}.png", picture(i))
        save(tmp_path / f"masks/p{i}/liver.png", part(0))
        save(tmp_path / f"masks/p{i}/lung.png", part(2))
    with pytest.raises(UserError, match=r'mask_suffix = \["liver", "lung"\] to read one class from each, or objects ='):
        find_layout(tmp_path, Description())
    (tmp_path / "dataset.toml").write_text('mask_suffix = ["liver", "lung"]\n')
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("background", "liver", "lung")
    np.testing.assert_array_equal(dataset.samples[0].target.read(), part(0, 1) + part(2, 2))
    (tmp_path / "dataset.toml").write_text("objects = true\n")
    np.testing.assert_array_equal(open_dataset(tmp_path).samples[0].target.read(), part(0, 1) + part(2, 1))


def test_the_ends_of_names():
    assert endings(["a_x_color", "a_x_ids", "b_x_color", "b_x_ids"]) == ("_color", "_ids")
    assert endings(["a_1", "b_2", "c_3"]) == ()
    assert endings([]) == ()


def kaggle(root, ids=("f3a", "09c", "77b", "1d2")):
    for number, name in enumerate(ids):
        save(root / f"stage1_train/{name}/images/{name}.png", picture(number))
        for i in range(3 if number else 1):
            save(root / f"stage1_train/{name}/masks/{number}e{i}b.png", part(i))
    return root


def test_one_file_per_object_is_read_as_object_or_not_and_said_to_be_instances(tmp_path):
    root = kaggle(tmp_path)
    save(root / "stage1_test/xyz/images/xyz.png", picture(9))  # without masks
    found = check(root)
    assert found.ok
    assert {split: len(samples) for split, samples in found.dataset.splits.items()} == {"train": 3, "val": 1, "test": 1}
    assert any(
        "3 images have a mask file for each object (9 files): these are instances" in note for note in found.notes
    )
    sample = next(s for s in found.dataset.samples if s.name.endswith("/09c"))
    assert sample.target.read().tolist() == np.ones(SIZE, int).tolist()
    single = next(s for s in found.dataset.samples if s.name.endswith("/f3a"))
    np.testing.assert_array_equal(single.target.read(), part(0, 1))
    assert [problem.kind for problem in found.faults if problem.kind == "no image"] == []


@pytest.mark.parametrize("mask", ["{}", "m{}", "mask_{}", "object ({})"])
@pytest.mark.parametrize("image", ["cell{}", "img_{}", "7{}"])
def test_numbers_of_objects_are_not_those_of_images(tmp_path, image, mask):
    for number in range(4):
        name = image.format(number)
        save(tmp_path / f"{name}/images/{name}.png", picture(number))
        for i in range(number % 2 + 1, 4):
            save(tmp_path / f"{name}/masks/{mask.format(i)}.png", part(i - 1))
    layout = find_layout(tmp_path, Description(task="instances"))
    found = {sample.name.split("/")[0]: sample.target.read().max() for sample in layout.splits["train"]}
    found |= {sample.name.split("/")[0]: sample.target.read().max() for sample in layout.splits["val"]}
    assert found == {image.format(number): 3 - number % 2 for number in range(4)}


def test_numbered_masks_in_a_folder_of_masks_are_merged(tmp_path):
    for i in range(4):
        save(tmp_path / f"images/benign ({i}).png", picture(i))
        save(tmp_path / f"masks/benign ({i})_mask.png", part(0))
    save(tmp_path / "masks/benign (2)_mask_1.png", part(2))
    found = check(tmp_path)
    assert found.ok
    sample = next(s for s in found.dataset.samples if s.name.endswith("(2)"))
    np.testing.assert_array_equal(sample.target.read(), part(0, 1) + part(2, 1))
    assert len(found.dataset.samples) == 4


def test_masks_that_contradict_each_other_are_refused_by_name(tmp_path):
    for i in range(3):
        save(tmp_path / f"images/{i}.png", picture(i))
        save(tmp_path / f"masks/{i}/1.png", part(0, 1))
        save(tmp_path / f"masks/{i}/2.png", part(1, 2))
    assert [s.target.read().max() for s in open_dataset(tmp_path).samples] == [2, 2, 2]
    save(tmp_path / "masks/1/3.png", part(1, 1))
    (problem,) = check(tmp_path).errors
    assert problem.file == "masks/1/3.png"
    assert "it has the value 1 where another mask of the same image has 2" in problem.what
    save(tmp_path / "masks/1/3.png", part(1, 2)[:, :9])
    (problem,) = check(tmp_path).errors
    assert "it is 24 x 9, another mask of the same image 24 x 30" in problem.what


def sides(root):
    for i in range(4):
        save(root / f"images/{i}.png", picture(i))
        save(root / f"masks/{i}_left.png", part(0))
        if i != 2:
            save(root / f"masks/{i}_right.png", part(1))
    return root


def test_several_masks_of_other_names_are_asked_for(tmp_path):
    root = sides(tmp_path)
    said = r'masks/0_left\.png and masks/0_right\.png both fit images/0\.png by name: write mask_suffix = "_left"'
    with pytest.raises(UserError, match=said):
        find_layout(root, Description())
    (root / "dataset.toml").write_text('mask_suffix = "_right.png"\n')
    found = check(root)
    assert len(found.dataset.samples) == 3
    assert {problem.kind for problem in found.faults} == {"no mask", "guess"}
    np.testing.assert_array_equal(found.dataset.samples[0].target.read(), part(1, 1))


def test_one_file_per_class(tmp_path):
    root = sides(tmp_path)
    (root / "dataset.toml").write_text('mask_suffix = ["_left", "_right"]\n')
    found = check(root)
    assert found.ok
    assert found.dataset.classes == ("background", "left", "right")
    labels = {s.name[-1]: s.target.read() for s in found.dataset.samples}
    np.testing.assert_array_equal(labels["0"], part(0, 1) + part(1, 2))
    np.testing.assert_array_equal(labels["2"], part(0, 1))
    assert any("one mask file per class" in note for note in found.notes)
    (root / "dataset.toml").write_text('mask_suffix = ["_left", "_right"]\nclasses = ["none", "l", "r"]\n')
    assert open_dataset(root).classes == ("none", "l", "r")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('mask_suffix = "_top"', r'dataset\.toml: mask_suffix = "_top" is the end of no mask'),
        ("mask_suffix = 3", "`mask_suffix` must be"),
        ('mask_suffix = ["_a", "_a"]', "has an end twice"),
    ],
)
def test_a_wrong_suffix_is_said(tmp_path, toml, said):
    root = sides(tmp_path)
    (root / "dataset.toml").write_text(toml)
    with pytest.raises(UserError, match=said):
        check(root)
