"""Folders of dots: which are known as such, how names pair, and what dataset.toml says of their classes."""

import numpy as np
import pytest
from PIL import Image

from atrous.data.dataset import open_dataset
from atrous.data.targets.dots import Dots
from atrous.data.targets.labels import Labels
from atrous.errors import UserError

SIZE = (24, 30)


def write(path, marks=()):
    array = np.zeros(SIZE, np.uint8)
    for row, column, value in marks:
        array[row, column] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def folder(root, image="{}.png", dots="{}.png", dots_folder="dots", images_folder="images", count=4):
    for index in range(count):
        write(root / images_folder / image.format(f"{index:03}"))
        write(root / dots_folder / dots.format(f"{index:03}"), [(2 + index, 3, 1), (20, 8, 2), (9, 9, 2)])
    return root


@pytest.mark.parametrize(
    ("image", "dots", "dots_folder", "images_folder"),
    [
        ("{}.png", "{}.png", "dots", "images"),
        ("{}cell.png", "{}dots.png", "dots", "images"),
        ("{}cell.png", "{}dots.png", "all", "all"),
        ("img_{}.png", "img_{}_dots.png", "all", "all"),
        ("{}.png", "{}_dots.png", "labels", "images"),
    ],
)
def test_dots_are_known_by_their_names(tmp_path, image, dots, dots_folder, images_folder):
    dataset = open_dataset(folder(tmp_path, image, dots, dots_folder, images_folder))
    assert (dataset.task, dataset.target, dataset.classes) == ("counting", Dots, ("object",))
    assert len(dataset.samples) == 4
    for sample in dataset.samples:
        digits = "".join(letter for letter in sample.name if letter.isdigit())
        assert [2.5 + int(digits), 3.5] in sample.target.read().places.tolist()


def test_folders_of_splits(tmp_path):
    for split in ("train", "val"):
        folder(tmp_path / split)
    dataset = open_dataset(tmp_path)
    assert {name: len(samples) for name, samples in dataset.splits.items()} == {"train": 4, "val": 4}


def test_masks_are_not_taken_for_dots_unless_the_task_says_so(tmp_path):
    folder(tmp_path, dots_folder="masks")
    assert open_dataset(tmp_path).target is Labels
    (tmp_path / "dataset.toml").write_text('task = "counting"\n')
    assert open_dataset(tmp_path).target is Dots
    (tmp_path / "dataset.toml").write_text('task = "keypoints"\nclasses = ["a", "b"]\n')
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("a", "b")
    assert sorted(dataset.samples[0].target.read().classes.tolist()) == [0, 1, 1]


def test_a_file_for_each_class(tmp_path):
    for index in range(3):
        write(tmp_path / "images" / f"{index}.png")
        write(tmp_path / "dots" / f"{index}_red.png", [(3, 4, 255)])
        if index:
            write(tmp_path / "dots" / f"{index}_blue.png", [(6, 7, 255), (12, 20, 255)])
    (tmp_path / "dataset.toml").write_text('task = "counting"\nmask_suffix = ["_red", "_blue"]\n')
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("red", "blue")
    by_name = {sample.name[-1]: sample.target.read() for sample in dataset.samples}
    assert by_name["0"].classes.tolist() == [0]
    assert by_name["1"].classes.tolist() == [0, 1, 1]
    assert by_name["1"].places.tolist() == [[3.5, 4.5], [6.5, 7.5], [12.5, 20.5]]


def test_values_of_the_classes(tmp_path):
    folder(tmp_path)
    (tmp_path / "dataset.toml").write_text('classes = ["b", "a"]\nvalues = [2, 1]\n')
    assert sorted(open_dataset(tmp_path).samples[0].target.read().classes.tolist()) == [0, 0, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ignore = [255]", "`ignore` is for classes of positions"),
        ("objects = true", "`objects` is for classes of positions"),
        ('mask_suffix = ["_a", "_b"]\nclasses = ["x"]', "classes"),
    ],
)
def test_keys_that_are_not_for_points_are_refused(tmp_path, text, words):
    folder(tmp_path, dots="{}_a.png")
    (tmp_path / "dataset.toml").write_text(f'task = "counting"\n{text}\n')
    with pytest.raises(UserError, match=words):
        open_dataset(tmp_path)


def test_several_files_of_one_image_need_their_ends(tmp_path):
    for index in range(3):
        write(tmp_path / "images" / f"{index}.png")
        for number in (1, 2):
            write(tmp_path / "dots" / f"{index}_{number}.png", [(3 * number, 4, 255)])
    with pytest.raises(UserError, match="write mask_suffix"):
        open_dataset(tmp_path)
