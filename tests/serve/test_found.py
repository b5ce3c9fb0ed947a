"""Only what was named is opened: images below folders, and no link that leads out of them."""

import numpy as np
import pytest
import zarr
from PIL import Image

from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.serve.found import find_files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data" / "b").mkdir(parents=True)
    for name in ("a.png", "b/c.png", ".hidden.png"):
        Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "data" / name)
    (tmp_path / "data" / "notes.txt").write_text("no image")
    zarr.create_array(tmp_path / "data" / "d.zarr", shape=(1, 6, 7), dtype="uint8")
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "outside.png")
    return tmp_path / "data"


def names(files):
    return [file.name for file in files]


def test_a_folder_is_searched_and_each_file_is_there_once(folder):
    told = []
    assert names(find_files([folder, folder / "a.png"], None, told.append)) == ["a.png", "d.zarr", "b/c.png"]
    assert told == []
    assert names(find_files([folder / "*.png"], None, told.append)) == ["a.png"]
    assert names(find_files([folder / "d.zarr"], None, told.append)) == ["d.zarr"]
    assert find_files([folder], None, told.append)[2].label_name(".tif") == "c_labels.tif"


def test_links_out_of_the_folder_are_left_out(folder):
    (folder / "e.png").symlink_to(folder.parent / "outside.png")
    (folder / "f").symlink_to(folder.parent)
    (folder / "g.png").symlink_to(folder / "a.png")  # inside: the same file
    told = []
    assert names(find_files([folder], None, told.append)) == ["a.png", "d.zarr", "b/c.png"]
    assert len(told) == 1
    assert "is a link that leaves the folder" in told[0]


def test_a_file_that_becomes_a_link_is_refused_when_it_is_opened(folder):
    file = find_files([folder], None, print)[0]
    file.require_inside()
    (folder / "a.png").unlink()
    (folder / "a.png").symlink_to(folder.parent / "outside.png")
    with pytest.raises(UserError, match="is a link that leaves"):
        file.require_inside()


def test_with_a_network_the_inputs_are_those_of_predict(folder, trained):
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(folder / "a_mask.png")
    told = []
    assert "a_mask.png" not in names(find_files([folder], load(trained), told.append))
    assert "a mask beside its image is left out" in told[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [("none.png", "no such file"), ("data/notes.txt", "not a format"), ("data/x", "nothing to show")],
)
def test_what_cannot_be_shown_is_said(folder, name, said):
    (folder / "x").mkdir()
    with pytest.raises(UserError, match=said):
        find_files([folder.parent / name], None, print)
