import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from atrous.data.coding import value_counts
from atrous.data.dataset import load_image, load_label, open_dataset
from atrous.data.feed.decode import SampleReader
from atrous.data.preprocess import Expected, Preparation
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.prediction.inputs import Input, open_input
from atrous.verbs.check import check
from atrous.verbs.opened import open_data
from tests.data.data_folders import SIZE, picture, save, stripes
from tests.genomes import write_genomes


def label(root, **given_):
    dataset = open_dataset(root, **given_)
    return dataset, dataset.samples[0].target.read()


def test_a_folder_with_dataset_toml(flat):
    dataset, found = label(flat())
    assert dataset.classes == ("a", "b", "c")
    assert (dataset.task, dataset.coding.values, dataset.coding.ignore) == ("semantic", None, (IGNORE,))
    assert len(dataset.palette) == 3
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, stripes())
    sample = dataset.splits["train"][0]
    np.testing.assert_array_equal(sample.image.load(), np.moveaxis(np.asarray(Image.open(sample.image.path)), -1, 0))


def test_classes_are_found_in_the_masks_where_nothing_names_them(flat):
    dataset, found = label(flat(lambda i: np.where(stripes() == 2, 255, stripes()), toml=None))
    assert dataset.classes == ("class 0", "class 1")
    assert dataset.coding.ignore == (255,)
    np.testing.assert_array_equal(found, np.where(stripes() == 2, IGNORE, stripes()))


def test_a_dataset_toml_elsewhere_wins(flat, tmp_path_factory):
    other = tmp_path_factory.mktemp("mine") / "d.toml"
    other.write_text('classes = ["x", "y", "z"]\nignore = [2]\nvalues = [0, 1, 7]')
    dataset, found = label(flat(), toml=other)
    assert dataset.classes == ("x", "y", "z")
    assert dataset.description == other
    np.testing.assert_array_equal(found, np.where(stripes() == 2, IGNORE, stripes()))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_values_become_class_numbers_and_ignored_ones_ignore(flat, dtype):
    root = flat(toml='classes = ["b", "a"]\nvalues = [200, 100]\nignore = [7]')
    values = np.array([100, 200, 7], dtype=dtype)[stripes()]
    for path in list((root / "masks").iterdir()):
        np.save(path.with_suffix(".npy"), values)
        path.unlink()
    _, found = label(root)
    np.testing.assert_array_equal(found, np.array([1, 0, IGNORE], dtype=np.uint8)[stripes()])
    np.save(root / "masks/0.npy", values + dtype(1))
    dataset = open_dataset(root)
    sample = next(sample for sample in dataset.samples if sample.image.path.stem == "0")
    with pytest.raises(UserError, match=r"0\.npy: 8 is none of the values|0\.npy: 101 is none of the values"):
        sample.target.read()


def test_color_masks_go_by_the_palette(flat):
    palette = np.array([[9, 9, 9], [200, 0, 0], [0, 0, 200]], dtype=np.uint8)
    toml = "palette = [[9, 9, 9], [200, 0, 0], [0, 0, 200]]"
    dataset, _ = label(flat(lambda i: palette[stripes() if i else stripes() * 0], toml=toml))
    for sample in dataset.samples:
        want = stripes() if sample.image.path.stem != "0" else stripes() * 0  # all gray, but a color all the same
        np.testing.assert_array_equal(sample.target.read(), want)
    assert dataset.classes == ("class 0", "class 1", "class 2")
    (dataset.root / "dataset.toml").unlink()
    with pytest.raises(UserError, match=r"stores colors: write .*palette = \[\[0, 0, 200\]"):
        open_dataset(dataset.root)


def test_an_ignored_color(flat):
    palette = np.array([[9, 9, 9], [200, 0, 0], [0, 0, 200]], dtype=np.uint8)
    toml = "palette = [[9, 9, 9], [200, 0, 0]]\nignore = [[0, 0, 200]]"
    _, found = label(flat(lambda i: palette[stripes()], toml=toml))
    np.testing.assert_array_equal(found, np.where(stripes() == 2, IGNORE, stripes()))


def test_pure_blue_is_not_void_for_having_the_number_255(flat):
    palette = np.array([[9, 9, 9], [200, 0, 0], [0, 0, 255]], dtype=np.uint8)
    root = flat(lambda i: palette[stripes()], toml="palette = [[9, 9, 9], [200, 0, 0]]")
    assert "colors (0, 0, 255) (33.3% of it) are not in `palette`" in check(root).errors[0].line()
    with pytest.raises(UserError, match=r"\(0, 0, 255\) is none of the values"):
        label(root)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('classes = ["a", "b", "c"]\nignore = [0]', r'"a": .*values = \[1, 2\] and leave "a" out of `classes`'),
        ("palette = [[0, 0, 0], [9, 9, 9], [5, 5, 5]]\nignore = 2", r'"class 2": .*values = \[0, 1\] and leave'),
    ],
)
def test_a_value_that_is_ignored_and_a_class_is_refused_with_a_mend_that_works(flat, toml, said):
    root = flat(toml=toml)
    for look in (open_dataset, check):
        with pytest.raises(UserError, match=said):
            look(root)
    (root / "dataset.toml").write_text('classes = ["b", "c"]\nignore = [0]\nvalues = [1, 2]')
    _, found = label(root)
    np.testing.assert_array_equal(found, np.array([IGNORE, 0, 1], dtype=np.uint8)[stripes()])


@pytest.mark.parametrize("ignored", [0, 1, 2])
def test_a_value_that_is_ignored_is_no_class_where_classes_are_found_in_the_masks(flat, ignored):
    dataset, found = label(flat(toml=f"ignore = [{ignored}]"))
    kept = [value for value in range(3) if value != ignored]
    assert dataset.classes == (tuple(f"class {value}" for value in kept) if ignored != 2 else ("class 0", "class 1"))
    want = np.full(3, IGNORE, dtype=np.uint8)
    want[kept] = [0, 1]
    np.testing.assert_array_equal(found, want[stripes()])
    assert check(dataset.root).faults == ()


def test_a_value_of_a_layout_that_is_ignored_is_refused(tmp_path):
    for i in range(3):
        save(tmp_path / f"training/images/{i}_training.tif", picture(i))
        save(tmp_path / f"training/1st_manual/{i}_manual1.gif", (stripes() > 0).astype(np.uint8) * 255)
        save(tmp_path / f"training/mask/{i}_training_mask.gif", (stripes() < 2).astype(np.uint8) * 255)
    (tmp_path / "dataset.toml").write_text("ignore = [255]")
    with pytest.raises(UserError, match='value 255 is ignored, but it is the number of the class "vessel"'):
        open_dataset(tmp_path)


def test_outside_the_region_nothing_counts(tmp_path):
    for i in range(3):
        save(tmp_path / f"training/images/{i}_training.tif", picture(i))
        save(tmp_path / f"training/1st_manual/{i}_manual1.gif", (stripes() > 0).astype(np.uint8) * 255)
        save(tmp_path / f"training/mask/{i}_training_mask.gif", (stripes() < 2).astype(np.uint8) * 255)
    dataset, found = label(tmp_path)
    assert dataset.classes == ("background", "vessel")
    np.testing.assert_array_equal(found, np.array([0, 1, IGNORE], dtype=np.uint8)[stripes()])
    save(tmp_path / "training/mask/0_training_mask.gif", np.zeros((4, 4), dtype=np.uint8))
    dataset = open_dataset(tmp_path)
    sample = next(sample for sample in dataset.samples if sample.image.path.name.startswith("0"))
    with pytest.raises(UserError, match=r"0_training_mask\.gif: the region is 4x4"):
        sample.target.read()


def test_channels_are_brought_to_the_number_asked_for(flat):
    root = flat(toml="channels = 3")
    save(root / "images/0.png", picture(0, channels=1))
    assert {sample.image.load().shape for sample in open_dataset(root).samples} == {(3, *SIZE)}
    (root / "dataset.toml").write_text("channels = 1")
    images = [sample.image.load() for sample in open_dataset(root).samples]
    assert {(image.shape, image.dtype) for image in images} == {((1, *SIZE), np.dtype("uint8"))}
    luma = np.asarray(Image.open(open_dataset(root).samples[-1].image.path).convert("L"), dtype=int)
    assert np.abs(images[-1][0] - luma).max() <= 1
    (root / "dataset.toml").write_text("channels = 5")
    with pytest.raises(UserError, match=r"images/\d\.png: 3 channels, but dataset\.toml says channels = 5"):
        open_dataset(root).splits["train"][-1].image.load()


def test_a_sample_without_mask_has_no_label(flat):
    root = flat()
    shutil.copytree(root / "images", root / "images/test")
    dataset = open_dataset(root)
    assert dataset.splits["test"][0].target is not None  # masks/ serves every split
    save(root / "images/test/unlabeled.png", picture(9))
    assert open_dataset(root).splits["test"][-1].target is None


@settings(deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, np.int32]),
        hnp.array_shapes(min_side=0),
        elements=st.integers(0, 200),
    )
)
def test_value_counts_agree_with_numpy(array):
    values, counts = np.unique(array, return_counts=True)
    assert value_counts(array) == dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_names_of_earlier_versions_give_the_same_values(digits):
    dataset = open_dataset(digits)
    sample = dataset.samples[0]
    np.testing.assert_array_equal(load_image(sample), sample.image.load())
    np.testing.assert_array_equal(load_label(dataset, sample), sample.target.read())
    with pytest.raises(UserError, match="has no mask"):
        load_label(dataset, replace(sample, target=None))


@pytest.mark.parametrize("kind", ["volumes", "signals"])
def test_nodata_holds_for_volumes_and_signals(kind, tmp_path):
    """In the check, in training and in prediction, as for images."""
    rng, shape = np.random.default_rng(0), (34, 36, 40) if kind == "volumes" else (400,)
    for number in range(4):
        values, labels = rng.normal(100, 10, shape).round(3).astype(np.float32), rng.integers(0, 2, shape, np.uint8)
        values[3:9] = -9999
        if kind == "signals":
            rows = [f"{value},{mark}" for value, mark in zip(values.tolist(), labels.tolist(), strict=True)]
            (tmp_path / f"{number}.csv").write_text("\n".join(["ecg,label", *rows]) + "\n")
            continue
        for folder, array in (("images", values), ("masks", labels)):
            (tmp_path / folder).mkdir(exist_ok=True)
            np.save(tmp_path / folder / f"{number}.npy", array)
    (tmp_path / "dataset.toml").write_text("nodata = -9999\n")
    checked = check(tmp_path)
    assert checked.ok, checked.text()
    assert checked.fingerprint.minimum > 0
    sample = checked.dataset.samples[0]
    gaps = np.zeros(shape, bool)
    gaps[3:9] = True
    np.testing.assert_array_equal(np.isnan(sample.image.load()[0]), gaps)
    given = SampleReader(checked.dataset, need_places=False, preparation=Preparation(fill=(70.0,)))(0, sample)
    np.testing.assert_array_equal(given.values == IGNORE, gaps)
    np.testing.assert_array_equal(given.image[0] == 70, gaps)
    preparation = Preparation(nodata=(-9999.0,), fill=(70.0,))
    opened = open_input(Input((sample.image.path,), Path("a")), expected=Expected(), preparation=preparation)
    np.testing.assert_array_equal(opened.source[...], given.image)
    np.testing.assert_array_equal(opened.valid[...], ~gaps)


def test_nodata_is_refused_where_it_is_not_read(tmp_path):
    write_genomes(tmp_path / "genomes", count=2, length=600)
    (tmp_path / "genomes" / "dataset.toml").write_text("nodata = 7\n")
    with pytest.raises(UserError, match=r"dataset\.toml: nodata is for images, volumes, signals and videos, not for"):
        open_dataset(tmp_path / "genomes")
    (tmp_path / "mine.toml").write_text("nodata = 7\n")
    images = [np.zeros((9, 9), np.uint8)] * 2
    with pytest.raises(UserError, match=r"mine\.toml: nodata is for files: write NaN into arrays"):
        open_data((images, images), tmp_path / "mine.toml")
