"""Numbers of objects are told from class numbers."""

import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.data.targets.blobs import numbered_objects
from atrous.verbs.check import check
from tests.data.data_folders import save


def discs(rng, count, side=120, radius=5):
    mask, (y, x) = np.zeros((side, side), np.uint16), np.mgrid[:side, :side]
    for number in range(1, count + 1):
        row, column = rng.integers(0, side, 2)
        mask[(y - row) ** 2 + (x - column) ** 2 < radius**2] = number
    return mask


@pytest.mark.parametrize("count", [6, 30, 200])
def test_discs_with_a_number_each_are_objects(count):
    mask = discs(np.random.default_rng(count), count)
    values = np.unique(mask)
    assert numbered_objects(mask, values.tolist()) == np.count_nonzero(values)


def test_an_object_of_one_pixel_is_counted_though_the_coarse_look_misses_it():
    mask = discs(np.random.default_rng(0), 20, side=400)
    mask[397, 397] = 21
    assert numbered_objects(mask, np.unique(mask).tolist()) == len(np.unique(mask)) - 1


def test_numbers_may_have_gaps_up_to_a_limit():
    mask = np.kron(np.arange(1, 13).reshape(3, 4), np.pad(np.ones((4, 4), int), 2))
    for last, count in ((19, 12), (20, 0)):  # 1.5 times 12 and 1 more is 19
        numbered = np.where(mask == 12, last, mask)
        assert numbered_objects(numbered, np.unique(numbered).tolist()) == count


def test_classes_are_no_objects():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 8, (60, 60))
    assert numbered_objects(noise, range(8)) == 0
    stripes = np.repeat(np.arange(8), 10)[:, None] * np.ones((1, 60), int)
    assert numbered_objects(stripes, range(8)) == 0
    assert numbered_objects(discs(rng, 4), range(5)) == 0  # four organs, say
    sparse = discs(rng, 9) * 100
    assert numbered_objects(sparse, np.unique(sparse).tolist()) == 0  # they do not count from 1
    spread = np.where(rng.random((60, 60)) < 0.02, rng.integers(1, 9, (60, 60)), 0)
    assert numbered_objects(spread, np.unique(spread).tolist()) == 0


def cells(root, counts):
    rng = np.random.default_rng(1)
    for index, count in enumerate(counts):
        mask = discs(rng, count)
        save(
            root / "images" / f"{index}.png",
            np.random.default_rng(index).integers(0, 256, (*mask.shape, 3)).astype(np.uint8),
        )
        save(root / "masks" / f"{index}.png", mask)
    return root


def test_the_check_says_objects_and_how_to_learn_them(tmp_path):
    root = cells(tmp_path, (8, 9, 10, 60))
    (problem,) = check(root).errors
    assert problem.kind == "instances"
    assert "number objects" in problem.what
    assert 'write task = "instances" in dataset.toml' in problem.fix
    assert "objects = true" in problem.fix
    (root / "dataset.toml").write_text("objects = true\n")
    checked = check(root)
    assert checked.ok
    assert len(checked.dataset.classes) == 2
    mask = checked.dataset.samples[0].target.read()
    assert set(np.unique(mask)) == {0, 1}


def test_classes_and_numbers_in_one_value_are_taken_apart(tmp_path):
    rng = np.random.default_rng(2)
    for index in range(4):
        mask = discs(rng, 3)
        save(
            tmp_path / "images" / f"{index}.png",
            np.random.default_rng(index).integers(0, 256, (*mask.shape, 3)).astype(np.uint8),
        )
        save(tmp_path / "masks" / f"{index}.png", (mask * 256 + 7 * (mask > 0)).astype(np.uint16))
    assert any("write objects = 256" in problem.fix for problem in check(tmp_path).faults)
    (tmp_path / "dataset.toml").write_text("objects = 256\n")
    assert len(open_dataset(tmp_path).classes) == 4
    assert check(tmp_path).ok


def test_organs_of_many_scans_are_classes(tmp_path):
    root = cells(tmp_path, (8, 8, 8, 8))  # the same eight blobs in every file
    assert all(problem.kind != "instances" for problem in check(root).faults)


def test_a_mask_of_one_row_may_number_objects():
    row = np.repeat(np.arange(1, 31), 8)[None]
    row[:, ::8] = 0
    assert numbered_objects(row, range(31)) == 30
