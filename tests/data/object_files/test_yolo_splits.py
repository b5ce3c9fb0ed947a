"""YOLO: splits that only the YAML file names, from this computer and from others, and none outside of the data set."""

import numpy as np
import pytest
from PIL import Image

from atrous.data.description import Description
from atrous.data.layouts.table import find_layout
from atrous.data.object_files.index import index_files
from atrous.data.object_files.yolo import find_yolo, read_yolo

PLACES = ("images/a/0", "images/a/1", "images/b/2", "images/b/3", "images/c/more/4")


@pytest.fixture
def root(tmp_path):
    """A data set whose folders name no split."""
    for place in PLACES:
        for path in (tmp_path / "set" / f"{place}.png", tmp_path / "set" / f"{place.replace('images', 'labels')}.txt"):
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0 0.5 0.5 0.2 0.2\n")
        Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "set" / f"{place}.png")
    return tmp_path / "set"


def read(root, yaml, name="data.yaml"):
    """The stems of the images of each split, and what is said."""
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(f"names: [cell]\n{yaml}")
    index = index_files(root)
    files = find_yolo(index)
    assert files is not None
    folder = read_yolo(index, files)
    stems = {split: "".join(one[-5] for one in names) for split, names in folder.lists.items()}
    return stems, [problem.line() for problem in folder.problems]


SAID = {
    "folders": "train: images/a\nval: images/b\ntest: images/c\n",
    "relative to path": "path: images\ntrain: a\nval: b/\ntest: ./c\n",
    "a path of another computer": "path: /content/cells\ntrain: images/a\nval: images/b\ntest: images/c\n",
    "absolute, of another computer": "train: C:\\x\\cells\\images\\a\nval: /x/images/b\ntest: //h/s/images/c/more\n",
    "up and down again": "train: ../set/images/a\nval: ../../images/b\ntest: images/../images/c\n",
    "lists": "train: [images/a]\nval:\n  - images/b\nvalid: []\ntest: [images/c, images/c/more]\n",
}


@pytest.mark.parametrize("name", SAID)
def test_folders_are_splits(root, name):
    assert read(root, SAID[name]) == ({"train": "01", "val": "23", "test": "4"}, [])


def test_folders_and_lists_are_put_together(root):
    (root / "more.txt").write_text("./images/b/3.png\n")
    (root / "labels" / "more.txt").write_text("")
    assert read(root, "train: [images/a, more.txt]\nval: images/c\n") == ({"train": "013", "val": "4"}, [])


def test_the_file_may_lie_in_a_folder_of_its_own(root):
    found, said = read(root, "path: ..\ntrain: images/a\nval: images/b\n", "more/cells.yaml")
    assert (found, said) == ({"train": "01", "val": "23"}, [])


def test_absolute_folders_of_this_computer_must_lie_inside(root, tmp_path):
    other = tmp_path / "train" / "elsewhere"
    other.mkdir(parents=True)
    (other / "x.png").write_bytes((root / "images/a/0.png").read_bytes())
    found, said = read(root, f"train: {root}/images/a\nval: {root}/images/../images/b\ntest: {other}\n")
    assert found == {"train": "01", "val": "23"}
    what = f"the folder {str(other)[:80]!r} of `test` lies outside of the data set and is not read"
    assert said == [f"data.yaml: {what}: copy it into the data set"]


@pytest.mark.parametrize("name", ["/etc", "../../../etc", "..\\..\\windows", "\x01", "a" * 5000, "//", "file:///etc"])
def test_no_name_leaves_the_folder(root, name):
    found, said = read(root, f'train: images/a\nval: "{name.encode("unicode_escape").decode()}"\n')
    assert found == {"train": "01"}
    assert len(said) == 1
    assert said[0].startswith("data.yaml: the folder ")
    assert "\n" not in said[0]


@pytest.mark.parametrize(
    ("yaml", "want", "said"),
    [
        ("train: images/a\nval: images/a\n", {"train": "01"}, "`val` names the images of `train` again"),
        ("train: images/a\ntest: images/holdout\n", {"train": "01"}, "'images/holdout' of `test` is not there"),
        ("train: images/a\nval: {a: b}\n", {"train": "01"}, "`val` is neither a path nor a list of paths"),
        ("train: images/a\nval: /x/val/images\n", {"train": "01"}, "'/x/val/images' of `val` is not there"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(root, yaml, want, said):
    found, lines = read(root, yaml)
    assert found == want
    assert len(lines) == 1
    assert said in lines[0]


def test_two_folders_of_one_name_are_told_by_their_split_or_asked_about(root):
    for place in ("train", "valid"):
        (root / place / "photos").mkdir(parents=True)
        (root / place / "photos" / "5.png").write_bytes((root / "images/a/0.png").read_bytes())
        (root / place / "photos" / "5.txt").write_text("")
    assert read(root, "train: photos\nval: photos\n")[0] == {"train": "5", "val": "5"}
    (root / "train").rename(root / "here")
    (root / "valid").rename(root / "there")
    found, said = read(root, "train: photos\nval: images/b\n")
    assert found == {"val": "23"}
    assert said == [
        "data.yaml: the folder 'photos' of `train` may be here/photos and there/photos: write the folders before it"
    ]


def test_the_splits_are_those_of_the_data_set(root):
    (root / "data.yaml").write_text("names: [cell]\ntrain: images/a\nval: images/b\ntest:\n")
    layout = find_layout(root, Description())
    assert {split: [s.name[-1] for s in samples] for split, samples in layout.splits.items()} == {
        "train": ["0", "1"], "val": ["2", "3"],
    }  # fmt: skip
    assert layout.split_origin == "data.yaml"
    assert layout.problems == ()
