"""Whole inputs with classes: folders and tables, and what the data doctor says of them."""

import math
from itertools import count

import numpy as np
import pytest
from PIL import Image

from atrous.data.targets.whole import WholeClass, WholeClasses
from atrous.errors import UserError
from atrous.verbs.check import check
from atrous.verbs.opened import open_data

TASK = "classification"
numbers = count()


@pytest.fixture
def add():
    def add(path, seed=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(next(numbers) if seed is None else seed)
        Image.fromarray(rng.integers(0, 255, (16, 20), np.uint8)).save(path)

    return add


def layout_of(root):
    return open_data(root, task=TASK).layout


def target_of(sample) -> WholeClasses:
    assert isinstance(sample.target, WholeClasses)
    return sample.target


def problems_of(root):
    return [problem.line() for problem in check(root, task=TASK).faults]


@pytest.mark.parametrize("shape", ["{split}/{name}/{i}.png", "data/{split}/{name}/{i}.png", "{name}/{split}/{i}.png"])
def test_a_folder_for_each_class(tmp_path, add, shape):
    for split, many in (("train", 2), ("val", 2), ("test", 1)):
        for name in ("yes", "no"):
            for i in range(many):
                add(tmp_path / shape.format(split=split, name=name, i=i))
    layout = layout_of(tmp_path)
    assert layout.classes == ("no", "yes")
    assert {split: len(samples) for split, samples in layout.splits.items()} == {"train": 4, "val": 4, "test": 2}
    targets = [target_of(sample) for sample in layout.splits["train"]]
    assert all(isinstance(target, WholeClass) for target in targets)
    assert sorted(target.present for target in targets) == [(0, 1), (0, 1), (1, 0), (1, 0)]
    assert targets[0].read().size == (16, 20)
    assert problems_of(tmp_path) == []


def test_signals_and_volumes_have_classes_too(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(4):
            np.save(tmp_path / name / f"{i}.npy", np.random.default_rng(i).normal(size=(1, 6, 7, 8)).astype(np.float32))
    layout = layout_of(tmp_path)
    assert target_of(layout.splits["train"][0]).read().size == (6, 7, 8)


def write(root, add, rows, files=6):
    for i in range(files):
        add(root / f"{i}.png")
    (root / "labels.csv").write_text("\n".join(rows))


def test_a_table_of_labels(tmp_path, add):
    write(
        tmp_path, add, ["File,split,label", *(f"{i}.png,{'val' if i > 3 else 'train'},{'ab'[i % 2]}" for i in range(6))]
    )
    layout = layout_of(tmp_path)
    assert layout.classes == ("a", "b")
    assert [target_of(sample).present for sample in layout.splits["val"]] == [(1, 0), (0, 1)]


def test_a_table_of_columns(tmp_path, add):
    write(tmp_path, add, ["file;red;round", "0;1;0", "1.png;0;1", "2;1;", "3;0;1", "4;1;0", "5;0;1"])
    layout = layout_of(tmp_path)
    assert layout.classes == ("red", "round")
    present = {sample.name: target_of(sample).present for samples in layout.splits.values() for sample in samples}
    assert present["1"] == (0, 1)
    assert math.isnan(present["2"][1])
    assert all(type(sample.target) is WholeClasses for sample in layout.splits["train"])


def test_problems_of_a_table(tmp_path, add):
    rows = ["file,label", "0.png,a", "0.png,b", "lost.png,a", "1.png,", "../2.png,a", "2.png,b", "3.png,a", "4.png,b"]
    write(tmp_path, add, rows)
    said = "\n".join(problems_of(tmp_path))
    for text in (
        "row 3: 0.png is there twice, with two labels", "row 4: lost.png is not there", "row 5: 1.png has no label",
        "row 6: ../2.png is not there", "has no class and is left out",
    ):  # fmt: skip
        assert text in said


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["name,x", "0.png,blue"], "the column 'x' holds 'blue', neither 0 nor 1"),
        (["file,label,x", "0.png,a,1"], "the column 'x' is beside a column of labels"),
        (["a,b", "0.png,1"], "no column names the files"),
        (["file", "0.png"], "no column has labels"),
        (["file,label"], "has no rows"),
        (["file,x,X", "0.png,1,0"], "two columns are called 'x'"),
        (["file,label", "0.png,a", "1.png,a"], "all inputs have the class 'a'"),
        (["file,split,label", "0.png,later,a", "1.png,train,b"], "unknown split 'later'"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, add, rows, said):
    write(tmp_path, add, rows)
    with pytest.raises(UserError, match=said):
        layout_of(tmp_path)


def test_problems_of_folders(tmp_path, add):
    for split in ("train", "val"):
        for i in range(3):
            add(tmp_path / split / "no" / f"{i}.png")
    add(tmp_path / "train" / "yes" / "0.png", seed=7)
    add(tmp_path / "train" / "no" / "copy.png", seed=7)
    add(tmp_path / "val" / "rare" / "0.png")
    (tmp_path / "train" / "empty").mkdir()
    add(tmp_path / "train" / "alone.png")
    said = "\n".join(problems_of(tmp_path))
    for text in (
        "the same image as", "which has another class", "no sample of train has the class 'rare'",
        "a single sample of train has the class 'yes'", "no sample of val has the class 'yes'",
        "the folder of a class holds no input", "lies in no folder of a class",
    ):  # fmt: skip
        assert text in said


def test_what_is_for_labels_of_positions_is_refused(tmp_path, add):
    add(tmp_path / "a" / "0.png")
    (tmp_path / "dataset.toml").write_text(f'task = "{TASK}"\nignore = [255]\n')
    with pytest.raises(UserError, match="`ignore` is for classes of positions"):
        layout_of(tmp_path)
    (tmp_path / "dataset.toml").write_text(f'task = "{TASK}"\nclasses = ["b"]\n')
    with pytest.raises(UserError, match="'a' is a class of"):
        layout_of(tmp_path)


def test_a_table_names_volumes_without_their_double_suffix(tmp_path):
    for i in range(4):
        save_volume(tmp_path / f"v{i}.nii.gz", i)
    (tmp_path / "labels.csv").write_text("file,broken\nv0,1\nv1,0\nv2.nii.gz,1\nv3,0\n")
    layout = layout_of(tmp_path)
    present = {sample.name: target_of(sample).present for samples in layout.splits.values() for sample in samples}
    assert present == {"v0": (1,), "v1": (0,), "v2": (1,), "v3": (0,)}


def save_volume(path, seed):
    nibabel = pytest.importorskip("nibabel")
    values = np.random.default_rng(seed).integers(0, 200, (5, 6, 7)).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)


def test_of_a_class_without_a_column_nothing_is_known(tmp_path, add):
    for name in "abc":
        add(tmp_path / f"{name}.png")
    (tmp_path / "labels.csv").write_text("file,seven,split\na,1,train\nb,0,train\nc,1,val\n")
    (tmp_path / "dataset.toml").write_text('classes = ["six", "seven"]')
    (sample,) = layout_of(tmp_path).splits["val"]
    np.testing.assert_array_equal(target_of(sample).present, (math.nan, 1.0))
