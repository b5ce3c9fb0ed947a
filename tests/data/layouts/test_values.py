"""Folders of images and numbers, of degraded and clean images, and of images that are their own targets."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from rasterio.transform import Affine

from atrous.data.check.fingerprint import from_dict
from atrous.data.description import read_description
from atrous.data.layouts.table import find_layout
from atrous.data.targets.fine_image import FineValues, whole_factor
from atrous.data.targets.own_image import OwnImage
from atrous.data.targets.values import Values
from atrous.errors import UserError
from atrous.verbs.check import check
from atrous.verbs.opened import open_data
from tests.maps import NODATA, map_transform, write_map

PICTURE = np.arange(48 * 40 * 3, dtype=np.uint8).reshape(48, 40, 3)


def write(folder, count=5, suffix=".png", size=(48, 40)):
    folder.mkdir(parents=True)
    for number in range(count):
        if suffix == ".png":
            Image.fromarray(PICTURE + number).save(folder / f"{number}.png")
        else:
            tifffile.imwrite(folder / f"{number}.tif", np.full(size, number / 3, np.float32))


def layout(root, task, **settings):
    return open_data(root, task=task, settings=settings).layout


@pytest.mark.parametrize("where", ["", "train", "photos/summer"])
def test_a_folder_of_images_alone_is_its_own_target(tmp_path, where):
    write(tmp_path / "data" / where)
    found = layout(tmp_path / "data", "denoise")
    samples = [sample for split in found.splits.values() for sample in split]
    assert len(samples) == 5
    assert all(type(sample.target) is OwnImage for sample in samples)
    assert found.task == "denoise"
    np.testing.assert_array_equal(samples[0].target.read(), samples[0].image.load())


def test_splits_of_folders_are_kept(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / "data" / split)
    assert {split: len(samples) for split, samples in layout(tmp_path / "data", "deblur").splits.items()} == {
        "train": 5, "val": 5,
    }  # fmt: skip


@pytest.mark.parametrize("names", [("noisy", "clean"), ("input", "target"), ("images", "gt"), ("blurred", "sharp")])
def test_degraded_and_clean_images_are_pairs(tmp_path, names):
    for name in names:
        write(tmp_path / "data" / name)
    found = layout(tmp_path / "data", "denoise")
    sample = found.splits["train"][0]
    assert type(sample.target) is Values
    assert (sample.image.path.parent.name, sample.target.path.parent.name) == names


def test_without_pairs_images_are_taken_alone(tmp_path):
    for name in ("images", "clean"):
        write(tmp_path / "data" / name)
    found = layout(tmp_path / "data", "denoise", pairs=False)
    samples = [sample for split in found.splits.values() for sample in split]
    assert {sample.image.path.parent.name for sample in samples} == {"images"}
    assert all(type(sample.target) is OwnImage for sample in samples)
    (tmp_path / "data" / "dataset.toml").write_text("pairs = false")
    assert type(layout(tmp_path / "data", "denoise").splits["train"][0].target) is OwnImage


def test_pairs_that_are_not_there_are_missed(tmp_path):
    write(tmp_path / "data")
    with pytest.raises(UserError, match="no folder holds clean images"):
        layout(tmp_path / "data", "denoise", pairs=True)


@pytest.mark.parametrize("name", ["depth", "masks", "values", "height"])
def test_numbers_stand_in_files_of_their_own(tmp_path, name):
    write(tmp_path / "data" / "images")
    write(tmp_path / "data" / name, suffix=".tif")
    found = check(tmp_path / "data", task="regression")
    assert found.ok, found.text()
    assert found.dataset.task == "regression"
    assert found.fingerprint.values is not None
    assert found.fingerprint.values.std[0] > 0


def test_gray_is_the_luma_of_color(tmp_path):
    write(tmp_path / "data")
    sample = layout(tmp_path / "data", "denoise", gray=True).splits["train"][0]
    wanted = np.rint(np.asarray(Image.open(sample.image.path)).astype(float) @ [0.299, 0.587, 0.114])
    np.testing.assert_array_equal(sample.image.load()[0], wanted)


def test_keys_of_classes_are_refused(tmp_path):
    write(tmp_path / "data" / "images")
    write(tmp_path / "data" / "depth", suffix=".tif")
    (tmp_path / "data" / "dataset.toml").write_text('classes = ["a", "b"]')
    with pytest.raises(UserError, match=r"`classes` is for classes of positions"):
        layout(tmp_path / "data", "regression")


def test_empty_folders_are_refused(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="no images"):
        layout(tmp_path / "data", "denoise")


def test_other_tasks_are_left_to_other_layouts(tmp_path):
    write(tmp_path / "data" / "images")
    with pytest.raises(UserError):
        find_layout(tmp_path / "data", read_description(tmp_path / "data", None, "semantic"))


def test_arrays_in_memory(tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.normal(size=(2, 20, 24)).astype(np.float32) for _ in range(4)]
    for outputs in (1, 3):
        targets = [rng.normal(size=(20, 24) if outputs == 1 else (outputs, 20, 24)) for _ in range(4)]
        found = open_data((images, targets), task="regression").layout
        sample = found.splits["train"][0]
        assert sample.target.read().shape == (outputs, 20, 24)
        assert sample.image.load().shape == (2, 20, 24)
    with pytest.raises(UserError, match="real numbers"):
        open_data((images, [np.full((20, 24), "a")] * 4), task="regression")


def test_masks_are_no_clean_images(tmp_path):
    for name in ("images", "masks"):
        write(tmp_path / "data" / name)
    samples = [one for split in layout(tmp_path / "data", "denoise").splits.values() for one in split]
    assert all(type(one.target) is OwnImage and one.image.path.parent.name == "images" for one in samples)


def test_one_folder_is_no_pair_whatever_it_is_called(tmp_path):
    write(tmp_path / "data" / "original")
    samples = [one for split in layout(tmp_path / "data", "denoise").splits.values() for one in split]
    assert len(samples) == 5


@pytest.mark.parametrize(("settings", "read"), [({}, "clean"), ({"self_supervised": True}, "noisy")])
def test_without_pairs_one_of_the_two_folders_is_read(tmp_path, settings, read):
    for name in ("noisy", "clean"):
        write(tmp_path / "data" / name)
    found = layout(tmp_path / "data", "denoise", pairs=False, **settings)
    samples = [one for split in found.splits.values() for one in split]
    assert {one.image.path.parent.name for one in samples} == {read}


def test_values_of_another_size_are_found_by_the_check(tmp_path):
    write(tmp_path / "data" / "images")
    write(tmp_path / "data" / "depth", suffix=".tif", size=(24, 20))
    found = check(tmp_path / "data", task="regression")
    assert not found.ok
    assert "it is 24 x 20, its image 48 x 40" in found.text()


def test_gray_pairs_are_gray_on_both_sides(tmp_path):
    for name in ("noisy", "clean"):
        write(tmp_path / "data" / name)
    sample = layout(tmp_path / "data", "denoise", gray=True).splits["train"][0]
    assert sample.image.load().shape == sample.target.read().shape == (1, 48, 40)


def tables(root, columns="label", values="0.5,,2.25,NaN", toml=""):
    root.mkdir()
    for number in range(3):
        rows = [f"{i},{i * 0.5 + number},{value}" for i, value in enumerate(values.split(","))]
        (root / f"{number}.csv").write_text("\n".join([f"index,x,{columns}", *rows]) + "\n")
    (root / "dataset.toml").write_text(f'task = "regression"\n{toml}')
    return root


def test_recordings_hold_a_number_for_each_sample(tmp_path):
    found = open_data(tables(tmp_path / "data")).layout
    sample = found.splits["train"][0]
    np.testing.assert_array_equal(sample.target.read(), [[0.5, np.nan, 2.25, np.nan]])
    assert sample.image.load().shape == (1, 4)
    assert (found.task, found.outputs) == ("regression", ())
    named = open_data(tables(tmp_path / "named", "force", toml='[columns]\ntargets = ["force"]\n')).layout
    np.testing.assert_array_equal(named.splits["train"][0].target.read(), [[0.5, np.nan, 2.25, np.nan]])
    assert named.outputs == ("force",)
    text = check(tmp_path / "named").text()
    assert "time index; channels x; targets force" in text


def test_arrays_hold_several_numbers_for_each_sample(tmp_path):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(3, 40))
    for number in range(3):
        label = numbers if number else numbers.T
        np.savez(tmp_path / f"{number}.npz", signal=rng.normal(size=(2, 40)), label=label)
    for sample in open_data(tmp_path, task="regression").layout.splits["train"]:
        np.testing.assert_array_equal(sample.target.read(), numbers.astype(np.float32))


@pytest.mark.parametrize(
    ("columns", "values", "toml", "said"),
    [
        ("label", "rest,move,rest,rest", "", "its labels are words"),
        ("force", "1,2,3,4", "", "no labels"),
        ("force", "1,2,3,4", '[columns]\ntargets = ["forse"]\n', "did you mean 'force'"),
    ],
)
def test_recordings_without_numbers_are_refused(tmp_path, columns, values, toml, said):
    with pytest.raises(UserError, match=said):
        open_data(tables(tmp_path / "data", columns, values, toml))


def test_columns_of_numbers_are_for_regression(tmp_path):
    root = tables(tmp_path / "data", "force", toml='[columns]\ntargets = ["force"]\n')
    with pytest.raises(UserError, match=r"columns\.targets is for task"):
        open_data(root, task="semantic")


def write_pairs(root, factor=2, names=("lr", "hr"), count=5):
    """Pairs of two sizes: each position of the coarse image is the mean of a block of the fine one."""
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        fine = np.random.default_rng(number).integers(0, 256, (24 * factor, 20 * factor), dtype=np.uint8)
        coarse = fine.reshape(24, factor, 20, factor).mean(axis=(1, 3)).astype(np.uint8)
        Image.fromarray(coarse).save(root / names[0] / f"{number}.png")
        Image.fromarray(fine).save(root / names[1] / f"{number}.png")


@pytest.mark.parametrize("names", [("lr", "hr"), ("input", "target"), ("low", "high")])
def test_pairs_of_two_sizes_are_read(tmp_path, names):
    write_pairs(tmp_path / "data", 3, names)
    found = check(tmp_path / "data", task="super-resolution")
    assert found.ok, found.text()
    sample = found.dataset.splits["train"][0]
    assert type(sample.target) is FineValues
    assert (sample.image.path.parent.name, sample.target.path.parent.name) == names
    assert found.fingerprint.values.factor == 3
    assert from_dict(json.loads(json.dumps(found.fingerprint.to_dict()))) == found.fingerprint


def test_pairs_whose_sizes_do_not_fit_are_named(tmp_path):
    write_pairs(tmp_path / "data")
    for name, size in (("1", (48, 41)), ("2", (96, 80)), ("3", (480, 400))):
        Image.fromarray(np.arange(np.prod(size)).reshape(size).astype(np.uint8)).save(
            tmp_path / "data" / "hr" / f"{name}.png"
        )
    found = check(tmp_path / "data", task="super-resolution")
    lines = {problem.file: problem.what for problem in found.errors}
    assert lines == {
        "hr/1.png": "it is 48 x 41, its image lr/1.png 24 x 20: no whole multiple, the same along each axis",
        "hr/2.png": "it is 96 x 80, its image lr/2.png 24 x 20: 4 times as fine, most are 2 times",
        "hr/3.png": "it is 480 x 400, its image lr/3.png 24 x 20: 20 times as fine",
    }
    write_pairs(tmp_path / "other")
    assert "it is 48 x 40, its image 24 x 20" in check(tmp_path / "other", task="denoise").text()


@pytest.mark.parametrize(
    "shapes", [((20, 24), (40, 48)), ((3, 20, 24), (3, 40, 48)), ((50,), (100,)), ((2, 50), (1, 100))]
)
def test_arrays_of_two_sizes_are_pairs(shapes):
    data = [np.zeros(shapes[0], np.float32)] * 3, [np.zeros(shapes[1], np.float32)] * 3
    sample = open_data(data, task="super-resolution").layout.splits["train"][0]
    assert type(sample.target) is FineValues
    assert whole_factor(sample.image.load().shape[1:], sample.target.read().shape[1:]) == 2
    assert sample.image.load().size == np.prod(shapes[0])


def test_blocks_of_the_fine_grid_have_no_data_where_the_coarse_one_has_none():
    values, missing = np.ones((1, 4, 6), np.float32), np.zeros((2, 3), bool)
    missing[0, 2] = True
    found = FineValues.without(values, missing)
    assert np.isnan(found[0, :2, 4:]).all()
    assert np.isnan(found).sum() == 4
    assert FineValues.resample(values, (2, 3)) is values
    with pytest.raises(UserError, match=r"need input.spacing=\[\]"):
        FineValues.resample(values, (3, 3))


def test_of_what_a_map_declares_as_no_data_nothing_is_known(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        image = rng.integers(100, 200, (1, 20, 24)).astype(np.int16)
        heights = rng.normal(50, 3, (2, 20, 24)).astype(np.float32)
        image[:, :2, :9], heights[:, 5], heights[1, 9, 9] = NODATA, NODATA, np.nan
        for name, bands in (("images", image), ("height", heights)):
            write_map(tmp_path / "data" / name / f"{number}.tif", bands, map_transform(number), nodata=NODATA)
    found = check(tmp_path / "data", task="regression")
    assert found.ok, found.text()
    wanted = np.where(heights == NODATA, np.nan, heights)
    wanted[:, :2, :9] = np.nan  # the image has none there
    samples = {sample.name: sample for split in found.dataset.splits.values() for sample in split}
    np.testing.assert_array_equal(samples["images/2"].target.read(), wanted)
    facts = found.fingerprint.values
    assert facts.least > 30
    assert facts.mean == pytest.approx((50, 50), abs=1)


@pytest.mark.parametrize("task", ["denoise", "super-resolution"])
def test_of_what_a_clean_map_lacks_nothing_is_known(tmp_path, task):
    noisy = np.random.default_rng(0).normal(50, 3, (1, 20, 24)).astype(np.float32)
    noisy[:, :2, :9] = NODATA
    clean = noisy.copy()
    clean[:, 12:14, 3] = NODATA
    clean[:, :2, :9] = 50
    for number in range(3):
        for name, values in (("noisy", noisy), ("clean", clean)):
            write_map(tmp_path / "data" / name / f"{number}.tif", values, map_transform(number), nodata=NODATA)
    wanted = np.where((clean == NODATA) | (noisy == NODATA), np.nan, clean)
    np.testing.assert_array_equal(layout(tmp_path / "data", task).splits["train"][0].target.read(), wanted)


def test_numbers_that_are_stored_upside_down_are_turned_onto_their_image(tmp_path):
    rng = np.random.default_rng(0)
    heights = rng.normal(size=(1, 20, 24)).astype(np.float32)
    upright = map_transform(0)
    flipped = Affine(upright.a, 0, upright.c, 0, -upright.e, upright.f + 20 * upright.e)
    for number in range(3):
        write_map(tmp_path / "data" / "images" / f"{number}.tif", heights * 9, upright)
        write_map(tmp_path / "data" / "dem" / f"{number}.tif", heights[:, ::-1], flipped)
    sample = layout(tmp_path / "data", "regression").splits["train"][0]
    np.testing.assert_array_equal(sample.target.read(), heights)
