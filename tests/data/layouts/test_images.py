import shutil
import unicodedata

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from atrous.data.dataset import open_dataset
from atrous.data.description import Description, read_description
from atrous.data.layouts.table import find_layout
from atrous.errors import UserError
from atrous.verbs.check import check
from tests.data.data_folders import picture, save, stripes

NAMES = {"train": ("a", "b"), "val": ("c",)}


def build(root, images, masks, image_name="{}.png", mask_name="{}.png"):
    for split, names in NAMES.items():
        for i, name in enumerate(names):
            save(root / images.format(split) / image_name.format(name), picture(i))
            save(root / masks.format(split) / mask_name.format(name), stripes())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("stage1_train", "stage1_val", "stage1_test"), {"train": 2, "val": 2, "test": 2}),
        (("Cells-Training", "Cells-Testing"), {"train": 1, "val": 1, "test": 2}),
        (("crash_test", "brake_test"), {"train": 3, "val": 1}),
        (("site_train", "other_test"), {"train": 3, "val": 1}),
        (("a_val", "a_test"), {"train": 3, "val": 1}),
    ],
)
def test_siblings_that_end_in_splits_are_splits(tmp_path, names, expected):
    for number, name in enumerate(names):
        for i in range(2):
            save(tmp_path / f"{name}/images/{number}{i}.png", picture(i))
            save(tmp_path / f"{name}/masks/{number}{i}.png", stripes())
    splits = open_dataset(tmp_path).splits
    assert {split: len(samples) for split, samples in splits.items()} == expected


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{}", "{}annot"),
        ("{}", "{}_labels"),
        ("images/{}", "masks/{}"),
        ("images/{}", "labels/{}"),
        ("{}/images", "{}/masks"),
        ("{}/image", "{}/GT"),
        ("img_dir/{}", "ann_dir/{}"),
        ("data/imgs/{}", "data/Annotations/{}"),
        ("leftImg8bit/{}/town", "gtFine/{}/town"),
        ("{}_images", "{}_masks"),
    ],
)
def test_layouts_with_split_folders(tmp_path, images, masks):
    build(tmp_path, images, masks)
    layout = find_layout(tmp_path, Description())
    assert {split: len(samples) for split, samples in layout.splits.items()} == {"train": 2, "val": 1}
    assert layout.split_origin == "folders"
    for samples in layout.splits.values():
        for sample in samples:
            assert sample.target is not None
            assert sample.image.path.stem == sample.target.path.stem
            assert sample.name == sample.image.path.relative_to(tmp_path).with_suffix("").as_posix()


def test_nnunet_folders_of_2d_images(tmp_path):
    for name in ("x", "y"):
        save(tmp_path / "imagesTr" / f"{name}_0000.png", picture(0))
        save(tmp_path / "labelsTr" / f"{name}.png", stripes())
    save(tmp_path / "imagesTs" / "z_0000.png", picture(1))
    layout = find_layout(tmp_path, Description())
    assert {split: len(samples) for split, samples in layout.splits.items()} == {"train": 1, "val": 1, "test": 1}
    assert layout.splits["test"][0].target is None


def test_drive_has_regions_and_known_values(tmp_path):
    for i in (21, 22, 23):
        save(tmp_path / f"training/images/{i}_training.tif", picture(i))
        save(tmp_path / f"training/1st_manual/{i}_manual1.gif", stripes())
        save(tmp_path / f"training/2nd_manual/{i}_manual2.gif", stripes())
        save(tmp_path / f"training/mask/{i}_training_mask.gif", stripes())
    layout = find_layout(tmp_path, Description())
    assert layout.classes == ("background", "vessel")
    assert layout.values == (0, 255)
    assert len(layout.splits["train"]) == 2
    for sample in (*layout.splits["train"], *layout.splits["val"]):
        number = sample.image.path.name[:2]
        assert sample.target.region is not None
        assert sample.target is not None
        assert sample.target.path.name == f"{number}_manual1.gif"
        assert sample.target.region.name == f"{number}_training_mask.gif"
    shutil.rmtree(tmp_path / "training/1st_manual")
    assert find_layout(tmp_path, Description(masks="mask")).values is None


def test_voc_lists_say_the_splits_and_images_without_mask_are_no_fault(tmp_path):
    for name in "abcde":
        save(tmp_path / f"JPEGImages/{name}.jpg", picture(0))
    for name in "abcd":
        save(tmp_path / f"SegmentationClass/{name}.png", stripes())
        save(tmp_path / f"SegmentationObject/{name}.png", stripes())
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("d\n")
    layout = find_layout(tmp_path, Description())
    assert [sample.image.path.stem for sample in layout.splits["train"]] == ["a", "b"]
    assert [sample.image.path.stem for sample in layout.splits["val"]] == ["d"]
    assert layout.images_alone == ()


def test_split_folders_of_images_find_masks_in_one_folder(tmp_path):
    build(tmp_path, "images/{}", "masks")
    layout = find_layout(tmp_path, Description())
    assert {split: len(samples) for split, samples in layout.splits.items()} == {"train": 2, "val": 1}
    assert layout.labels_alone == ()


def test_a_val_split_is_drawn_the_same_way_whatever_else_is_there(tmp_path, flat):
    root = flat(count=10)
    first = find_layout(root, Description())
    assert {split: len(samples) for split, samples in first.splits.items()} == {"train": 8, "val": 2}
    assert "2 of 10" in first.split_origin
    (root / "notes.txt").write_text("x")
    assert find_layout(root, Description()) == first
    shutil.copytree(root, tmp_path / "elsewhere" / "copy")
    moved = find_layout(tmp_path / "elsewhere" / "copy", Description())
    assert [sample.name for sample in moved.splits["val"]] == [sample.name for sample in first.splits["val"]]


def test_two_images_make_one_each_and_one_image_is_train(tmp_path, flat):
    assert {split: len(samples) for split, samples in find_layout(flat(count=2), Description()).splits.items()} == {
        "train": 1,
        "val": 1,
    }
    (tmp_path / "images/1.png").unlink()
    assert list(find_layout(tmp_path, Description()).splits) == ["train"]


def test_test_stays_as_found(tmp_path):
    build(tmp_path, "images/{}", "masks/{}")
    (tmp_path / "images/val").rename(tmp_path / "images/test")
    (tmp_path / "masks/val").rename(tmp_path / "masks/test")
    layout = find_layout(tmp_path, Description())
    assert {split: len(samples) for split, samples in layout.splits.items()} == {"train": 1, "val": 1, "test": 1}
    assert layout.splits["test"][0].image.path.stem == "c"


@pytest.mark.parametrize(
    ("toml", "val", "train"),
    [
        ('[splits]\nval = ["3", "images/4"]', ["3", "4"], 3),
        ('[splits]\nval = ["3.png", "images/4.png"]', ["3", "4"], 3),
        ('[splits]\nval = ["3.png"]\ntrain = ["0"]', ["3"], 1),
        ('[splits]\nval = "val.txt"', ["1", "2"], 3),
        ("[splits]\nval = 0.4", None, 3),
        ("[splits]\nval = 0.2\ntest = 0.2", None, 3),
    ],
)
def test_splits_of_dataset_toml(flat, toml, val, train):
    root = flat(toml=toml)
    (root / "val.txt").write_text("1\n2\n")
    layout = find_layout(root, read_description(root))
    assert layout.split_origin == "dataset.toml"
    assert len(layout.splits["train"]) == train
    if val is not None:
        assert [sample.image.path.stem for sample in layout.splits["val"]] == val
    everything = [sample.name for samples in layout.splits.values() for sample in samples]
    assert len(everything) == len(set(everything))


@pytest.mark.parametrize("listed", ["dataset.toml", "VOC"])
def test_lists_hold_one_name_per_line_spaces_and_all(tmp_path, listed):
    names = ("my scan 1", "my scan 2", "b", "c")
    voc = listed == "VOC"
    for i, name in enumerate(names):
        save(tmp_path / ("JPEGImages" if voc else "images") / f"{name}.png", picture(i))
        save(tmp_path / ("SegmentationClass" if voc else "masks") / f"{name}.png", stripes())
    file = tmp_path / ("ImageSets/Segmentation/val.txt" if voc else "val.txt")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("my scan 1\nc  1\n")  # a name with spaces, and one with VOC's number behind it
    if voc:
        file.with_name("train.txt").write_text("my scan 2\nb\n")
    else:
        (tmp_path / "dataset.toml").write_text('[splits]\nval = "val.txt"')
    splits = find_layout(tmp_path, read_description(tmp_path)).splits
    assert [sample.image.path.stem for sample in splits["val"]] == ["c", "my scan 1"]
    assert [sample.image.path.stem for sample in splits["train"]] == ["b", "my scan 2"]


def test_a_list_names_letters_with_accents_in_either_form(tmp_path):
    one, two = (unicodedata.normalize(form, "Größe") for form in ("NFC", "NFD"))
    for i, name in enumerate((two, "b", "c")):
        save(tmp_path / "images" / f"{name}.png", picture(i))
        save(tmp_path / "masks" / f"{name}.png", stripes())
    (tmp_path / "dataset.toml").write_text(f'[splits]\nval = ["{one}"]', encoding="utf-8")
    splits = find_layout(tmp_path, read_description(tmp_path)).splits
    assert [sample.image.path.stem for sample in splits["val"]] == [two]


def test_folder_names_of_dataset_toml(tmp_path):
    build(tmp_path, "slides/{}", "drawn/by hand/{}")
    described = Description(images="slides", masks="drawn/by hand")
    assert {split: len(samples) for split, samples in find_layout(tmp_path, described).splits.items()} == {
        "train": 2,
        "val": 1,
    }
    with pytest.raises(UserError, match='images = "scans" is no folder'):
        find_layout(tmp_path, Description(images="scans", masks="drawn/by hand"))


def test_what_cannot_be_understood_is_said(tmp_path, flat):
    with pytest.raises(UserError, match="no such folder"):
        find_layout(tmp_path / "none", Description())
    (tmp_path / "a.xlsx").write_text("")
    with pytest.raises(UserError, match=r"no images, only \.xlsx files: .*docs/data\.md"):
        find_layout(tmp_path, Description())
    save(tmp_path / "images/a.png", picture(0))
    with pytest.raises(UserError, match="no folder of masks"):
        find_layout(tmp_path, Description())
    save(tmp_path / "masks/b.png", stripes())
    with pytest.raises(UserError, match=r"no image fits a mask by name \(first image a\.png, first mask b\.png\)"):
        find_layout(tmp_path, Description())
    flat()
    save(tmp_path / "images/3.bmp", picture(0))
    with pytest.raises(UserError, match=r"3\.png: the same name as images/3\.bmp"):
        find_layout(tmp_path, Description())


@pytest.mark.parametrize(
    ("toml", "said"),
    [('[splits]\nval = ["9"]', "no image with a mask is named 9"), ('[splits]\nval = ["1"]\ntest = ["1"]', "in both")],
)
def test_wrong_names_in_splits_are_said(flat, toml, said):
    root = flat(toml=toml)
    with pytest.raises(UserError, match=said):
        find_layout(root, read_description(root))


@pytest.mark.parametrize("slices", [2, 4, 24, 32, 40])
@pytest.mark.parametrize("suffix", [".npy", ".zarr"])
def test_arrays_of_few_slices_are_volumes_where_their_masks_have_as_many(tmp_path, slices, suffix):
    rng = np.random.default_rng(0)
    for i in range(3):
        for folder, array in (
            ("images", rng.random((slices, 40, 48), np.float32)),
            ("masks", rng.integers(0, 2, (slices, 40, 48), np.uint8)),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            path = tmp_path / folder / f"{i}{suffix}"
            np.save(path, array) if suffix == ".npy" else zarr.save_array(path, array)
    dataset = open_dataset(tmp_path)
    sample = dataset.samples[0]
    assert sample.image.load().shape == (1, slices, 40, 48)
    assert sample.target.read().shape == (slices, 40, 48)
    assert check(tmp_path).ok


@pytest.mark.parametrize("suffix", [".tif", ".nii.gz"])
@pytest.mark.parametrize("slices", [2, 3, 24])
def test_masks_of_another_format_tell_that_arrays_are_volumes(tmp_path, slices, suffix):
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for i in range(3):
        np.save(tmp_path / f"images/{i}.npy", rng.random((slices, 40, 48), np.float32))
        mask = rng.integers(0, 2, (slices, 40, 48), np.uint8)
        if suffix == ".tif":
            tifffile.imwrite(tmp_path / f"masks/{i}.tif", mask, photometric="minisblack")
        else:
            nibabel.save(nibabel.Nifti1Image(mask.T, np.eye(4)), tmp_path / f"masks/{i}.nii.gz")
    found = check(tmp_path)
    assert found.ok
    assert found.dataset.samples[0].image.load().shape == (1, slices, 40, 48)


def test_arrays_of_three_slices_are_asked_for(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for i in range(3):
            np.save(tmp_path / folder / f"{i}.npy", rng.integers(0, 2, (3, 40, 48), np.uint8))
    fix = check(tmp_path).errors[0].fix
    assert fix.startswith('if their first axis is that of slices, write pages = "z" in dataset.toml; if of colors, ')
    (tmp_path / "dataset.toml").write_text('pages = "z"\n')
    assert check(tmp_path).ok
    assert open_dataset(tmp_path).samples[0].target.read().shape == (3, 40, 48)


def test_arrays_with_flat_masks_have_channels_and_slices_come_first(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for i in range(3):
        np.save(tmp_path / f"images/{i}.npy", np.random.default_rng(i).random((24, 40, 48)))
        np.save(tmp_path / f"masks/{i}.npy", np.random.default_rng(i).integers(0, 2, (40, 48)))
    assert open_dataset(tmp_path).samples[0].image.load().shape == (24, 40, 48)
    for i in range(3):
        np.save(tmp_path / f"images/{i}.npy", np.random.default_rng(i).random((40, 48, 24)))
        np.save(tmp_path / f"masks/{i}.npy", np.random.default_rng(i).integers(0, 2, (40, 48, 24)))
    assert any("its slices are along the last axis" in fault.line() for fault in check(tmp_path).errors)


@pytest.mark.parametrize("around", ["archive/", "archive/set v1/", ""])
def test_the_folders_around_an_unpacked_archive_say_nothing(tmp_path, around):
    """Numbered images below them are no frames of a video."""
    for i in range(6):
        save(tmp_path / f"{around}images/{i}.png", picture(i))
        save(tmp_path / f"{around}masks/{i}.png", stripes())
    dataset = open_dataset(tmp_path)
    assert dataset.kind == "grids"
    assert len(dataset.samples) == 6


def test_groups_fit_the_names_of_files_whatever_their_folder(tmp_path):
    for patient in range(6):
        for night in range(3):
            save(tmp_path / f"images/patient{patient}_{night}.png", picture(3 * patient + night))
            save(tmp_path / f"masks/patient{patient}_{night}.png", stripes())
    (tmp_path / "dataset.toml").write_text('groups = "^patient([0-9]+)"')  # as in docs/data.md
    dataset = open_dataset(tmp_path)
    held_out = {sample.group for sample in dataset.splits["val"]}
    assert len(held_out) == 1
    assert held_out.isdisjoint(sample.group for sample in dataset.splits["train"])
    (tmp_path / "dataset.toml").write_text('groups = "^person([0-9]+)"')
    with pytest.raises(UserError, match=r'groups = "\^person.*" fits no name, such as images/patient0_0: correct it'):
        open_dataset(tmp_path)
