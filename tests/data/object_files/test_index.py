"""Names in annotation files find images of the folder, and nothing else."""

import pytest

from atrous.data.object_files.index import index_files
from atrous.errors import UserError


@pytest.fixture
def index(tmp_path):
    names = ("train/a.png", "val/a.png", "val/b.png", "images/train2017/c.jpg", "images/val2017/c.jpg", "x/e.png",
             "masks/e.png", "é.png", "notes.txt")  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return index_files(tmp_path)


@pytest.mark.parametrize(
    ("name", "near", "split", "want"),
    [
        ("b.png", "a.json", None, ["val/b.png"]),
        ("b", "a.json", None, ["val/b.png"]),
        ("C:\\data\\val\\b.png", "a.json", None, ["val/b.png"]),
        ("/home/me/val/a.png", "a.json", None, ["val/a.png"]),
        ("../../train/a.png", "a.json", None, ["train/a.png"]),
        ("a.png", "val/labels.json", None, ["val/a.png"]),
        ("a.png", "labels.json", None, ["train/a.png", "val/a.png"]),
        ("c.jpg", "annotations/instances_val2017.json", "val", ["images/val2017/c.jpg"]),
        ("e.png", "a.json", None, ["x/e.png"]),
        ("e\u0301.png", "a.json", None, ["é.png"]),
        ("https://example.org/val/b.png", "a.json", None, ["val/b.png"]),
        ("../../../etc/passwd", "a.json", None, []),
        ("", "a.json", None, []),
        ("..", "a.json", None, []),
        ("notes.txt", "a.json", None, []),
    ],
)
def test_names_are_looked_up(index, name, near, split, want):
    found = index.find(name, index.root / near, split)
    assert [path.relative_to(index.root).as_posix() for path in found] == want


def test_links_out_of_the_folder_are_refused(index):
    (index.root / "x" / "out.json").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match=r"out\.json: is a link that leaves"):
        index_files(index.root)
