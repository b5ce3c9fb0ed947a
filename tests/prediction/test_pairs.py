"""Pairs of images are found in folders of their dates, and where two files are joined by a sign."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.errors import UserError
from atrous.prediction.inputs import Input
from atrous.prediction.pairs import as_input, find_pairs, split_pair
from tests.pairs import write_pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs") / "data")


def found(given, **options):
    return find_pairs([given], ndim=2, channels=6, **options)


def test_a_folder_gives_the_pairs_of_both_dates(folder):
    inputs = found(folder)
    assert len(inputs) == 8
    assert inputs[-1] == Input((folder / "val/A/7.png", folder / "val/B/7.png"), Path("val/7.png"))


def test_an_image_without_partner_is_told_and_left_out(tmp_path):
    root, told = write_pairs(tmp_path / "data"), []
    (root / "val" / "B" / "7.png").unlink()
    assert len(found(root, tell=told.append)) == 7
    assert told == [f"{root}/val/A/7.png: is left out, as it has no partner of the other date"]


def test_two_files_are_joined_by_a_sign(folder):
    before, after = folder / "val/A/6.png", folder / "val/B/6.png"
    assert found(f"{before}+{after}") == [Input((before, after), Path("6.png"))]
    with pytest.raises(UserError, match=r"no\.png: no such file: give BEFORE"):
        found(f"{before}+no.png")


def test_a_file_whose_name_has_the_sign_is_a_file(tmp_path):
    for name in ("a+b.png", "c.png"):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)
    assert split_pair(tmp_path / "a+b.png") is None
    assert split_pair(f"{tmp_path}/a+b.png+{tmp_path}/c.png") == (tmp_path / "a+b.png", tmp_path / "c.png")
    assert found(tmp_path / "c.png")[0].files == (tmp_path / "c.png",)


def test_two_pairs_must_not_be_written_to_one_place(folder):
    one, other = (f"{folder}/{split}/A/{n}.png+{folder}/{split}/B/{n}.png" for split, n in (("train", 0), ("val", 6)))
    assert len(find_pairs([one, other, one], ndim=2, channels=6)) == 2
    swapped = f"{folder}/train/B/0.png+{folder}/train/A/0.png"
    with pytest.raises(UserError, match=r"would both be written to 0.png"):
        find_pairs([one, swapped], ndim=2, channels=6)


def test_a_pair_of_paths_is_one_input(folder):
    before, after = folder / "val/A/6.png", folder / "val/B/6.png"
    wanted = Input((before, after), Path("6.png"))
    assert as_input((str(before), after), 2, 2) == as_input(f"{before}+{after}", 2, 2) == wanted
    assert as_input(before, 1, 2) == Input((before,), Path("6.png"))
    arrays = [np.zeros((3, 4, 4))] * 2
    assert as_input(arrays, 2, 2) is arrays
