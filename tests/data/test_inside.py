"""Links and names that leave a folder are refused, in walks and in files."""

import os

import pytest

from atrous.data.description import read_description
from atrous.data.inside import is_plain_name, require_inside, walk
from atrous.errors import UserError
from atrous.verbs.check import check


def tree(root):
    for name in ("b/2.png", "b/1.png", "a/deep/3.png", ".hidden/4.png", "b/note.txt", "c.zarr/5.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    return root


def is_png(name):
    return name.endswith(".png")


def test_a_walk_is_sorted_and_enters_neither_hidden_folders_nor_zarr(tmp_path):
    root = tree(tmp_path / "data")
    walked = [(here.relative_to(root).as_posix(), folders, files) for here, folders, files in walk(root, is_png, 5)]
    assert walked == [
        (".", ["a", "b", "c.zarr"], []),
        ("a", ["deep"], []),
        ("a/deep", [], ["3.png"]),
        ("b", [], ["1.png", "2.png"]),
    ]
    assert [here.name for here, _, _ in walk(root, is_png, 1)] == ["data", "a", "b"]


@pytest.mark.parametrize("kind", ["file", "folder", "chain", "dangling"])
def test_links_out_of_the_folder_are_refused_by_name(tmp_path, monkeypatch, kind):
    root, outside = tree(tmp_path / "data"), tree(tmp_path / "outside")
    if kind == "folder":
        (root / "link").symlink_to(outside)
    elif kind == "chain":  # a link inside of the folder, to one that leaves it
        (root / ".hidden/step.png").symlink_to(outside / "b/1.png")
        (root / "link.png").symlink_to(root / ".hidden/step.png")
    else:
        (root / "link.png").symlink_to(outside / ("b/1.png" if kind == "file" else "nothing.png"))
    with pytest.raises(UserError, match=r"link.*: is a link that leaves the folder .*data: copy .*ATROUS_ALLOW=links"):
        list(walk(root, is_png, 5))
    monkeypatch.setenv("ATROUS_ALLOW", "vrt, links")
    assert list(walk(root, is_png, 5))


def test_links_within_the_folder_and_links_to_it_are_followed(tmp_path):
    root = tree(tmp_path / "data")
    (root / "b/again.png").symlink_to("1.png")
    (root / "e").symlink_to("a")
    (root / "readme.md").symlink_to("/etc/hostname")  # no file that is wanted
    (tmp_path / "opened").symlink_to(root)
    files = [f"{here.name}/{name}" for here, _, names in walk(tmp_path / "opened", is_png, 5) for name in names]
    assert files == ["deep/3.png", "b/1.png", "b/2.png", "b/again.png", "deep/3.png"]


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(UserError, match="may not be read"):
        list(walk(tmp_path, is_png, 5))


def test_a_data_set_with_links_out_of_it_is_refused_in_one_line(tmp_path_factory, flat):
    root = flat()
    moved = tmp_path_factory.mktemp("outside") / "elsewhere"
    (root / "images").rename(moved)
    (root / "images").symlink_to(moved)
    with pytest.raises(UserError, match="images: is a link that leaves the folder"):
        check(root)


@pytest.mark.parametrize(
    "name", ["../secret.txt", "/etc/passwd", "a/../../x", "..\\x", "C:\\x", "file:///etc/passwd", ""]
)
def test_names_that_leave_the_folder(tmp_path, name):
    assert not is_plain_name(name)
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.txt").write_text("root:x:0:0")
    (tmp_path / "data/dataset.toml").write_text(f"[splits]\nval = {name!r}\n")
    with pytest.raises(UserError, match=r"`splits` names .*, outside of its folder|which is not there"):
        read_description(tmp_path / "data")


def test_a_list_of_names_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.txt").write_text("root:x:0:0")
    (tmp_path / "data/val.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "data/dataset.toml").write_text('[splits]\nval = "val.txt"\n')
    with pytest.raises(UserError, match=r"val.txt: is a link that leaves"):
        read_description(tmp_path / "data")
    with pytest.raises(UserError, match="is outside of"):
        require_inside(tmp_path / "data", tmp_path / "data" / ".." / "secret.txt")
