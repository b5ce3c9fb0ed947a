"""Shards are read as the folder that was packed into them; what is no shard is left alone or refused."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from atrous.data import shards
from atrous.data.dataset import open_dataset
from atrous.data.formats.mirrored import MIRRORS, mirror_of
from atrous.data.root_folder import data_folder
from atrous.data.shards import in_order, members, place_in_shard
from atrous.errors import UserError
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate
from atrous.verbs.feeds import feed_grids
from atrous.verbs.train import train
from atrous.verbs.train_options import TrainOptions
from atrous.verbs.train_plan import plan_training
from tests.conftest import SMALL
from tests.data.data_folders import picture, save, stripes


@pytest.fixture(autouse=True)
def no_mirror_is_left():
    yield
    for mirror in list(MIRRORS.values()):
        mirror.remove()


def pack(shard, files):
    """Pack files into a shard: names in it, and paths or bytes."""
    shard.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(shard, "w") as packed:
        for name, file in files.items():
            if isinstance(file, bytes):
                entry = tarfile.TarInfo(name)
                entry.size = len(file)
                packed.addfile(entry, io.BytesIO(file))
            else:
                packed.add(file, name)
    return shard


def jpeg(seed):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture(seed)).save(file, "JPEG")
    return file.getvalue()


def png():
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(stripes()).save(file, "PNG")
    return file.getvalue()


def web_shards(root, count=3, each=4, name="{:04d}.tar"):
    """Shards of images beside their masks, as WebDataset has them."""
    for shard in range(count):
        files = {}
        for i in range(each):
            files |= {f"{shard}{i:03d}.jpg": jpeg(shard * each + i), f"{shard}{i:03d}.png": png()}
        pack(root / name.format(shard), files)
    return root


def packed_digits(digits, root, many=7):
    """The data set of digits in shards of so many files."""
    files = sorted(path for path in digits.rglob("*") if path.is_file() and path.suffix != ".toml")
    for number in range(0, len(files), many):
        part = files[number : number + many]
        pack(root / f"{number:04d}.tar", {f"./{path.relative_to(digits).as_posix()}": path for path in part})
    for path in digits.glob("*.toml"):
        (root / path.name).write_bytes(path.read_bytes())
    return root


def test_a_folder_in_shards_is_the_folder(digits, tmp_path):
    there, local = check(packed_digits(digits, tmp_path / "digits")), check(digits)
    assert there.to_dict() | {"root": ""} == local.to_dict() | {"root": ""}
    assert there.to_dict()["root"] == str(tmp_path / "digits")
    assert "atrous-shards-" not in there.text()
    for mine, its in zip(there.dataset.samples, local.dataset.samples, strict=True):
        assert mine.name == its.name
        np.testing.assert_array_equal(mine.image.load(), its.image.load())
    root = data_folder(tmp_path / "digits")
    assert data_folder(root) == root
    assert data_folder(tmp_path / "digits") == root  # the same files: the same mirror
    assert data_folder(digits) == digits


@pytest.mark.parametrize("name", ["{:04d}.tar", "train/{:04d}.tar", "cells-train-{:04d}.tar"])
def test_images_beside_their_masks(tmp_path, name):
    web_shards(tmp_path, name=name)
    dataset = open_dataset(tmp_path)
    assert len(dataset.samples) == 12
    assert len({place.shard for sample in dataset.samples if (place := place_in_shard(sample.image.path))}) == 3
    for sample in dataset.samples:
        assert sample.target is not None
        assert (sample.image.path.suffix, sample.target.path.suffix) == (".jpg", ".png")
        np.testing.assert_array_equal(sample.target.read(), stripes())


def test_the_name_of_a_shard_says_the_split(tmp_path):
    web_shards(tmp_path, name="cells-train-{:04d}.tar")
    pack(tmp_path / "cells-val-0000.tar", {"x.jpg": jpeg(50), "x.png": png()})
    splits = open_dataset(tmp_path).splits
    assert {split: len(samples) for split, samples in splits.items()} == {"train": 12, "val": 1}


def test_members_take_little_disk_and_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "HELD", 0)
    dataset = open_dataset(web_shards(tmp_path))
    mirror = mirror_of(dataset.root)
    assert mirror is not None
    for _ in range(2):
        for sample in dataset.samples:
            sample.image.load()
            assert mirror.held <= max(place.size for s in dataset.samples if (place := place_in_shard(s.image.path)))


def test_samples_come_shard_by_shard_within_the_window(tmp_path):
    checked = check(web_shards(tmp_path, count=6, each=10))
    settings = (*SMALL, "train.crop=[16, 16]", "data.window=2", "train.batch_size=1", "model.pretrained=false")
    planned = plan_training(checked, None, TrainOptions(epochs=1, settings=settings))
    (tmp_path / "scratch").mkdir()
    feed = feed_grids(checked, planned.recipe, tmp_path / "scratch")
    try:
        dealt = [place_in_shard(Path(feed.batches[step].names[0])) for step in range(2 * feed.batches.per_epoch)]
        read = [place.shard for place in dealt if place is not None]
        assert len(read) == len(dealt)
        assert set(read[: feed.batches.per_epoch]) == set(tmp_path.glob("*.tar"))
        # eight crops, two of each sample, which has two samples beside it in the window, and eight in its shard
        assert max(len(set(read[step : step + 8])) for step in range(len(read) - 8)) <= 3
        assert in_order([tmp_path / "0.png"]) is None
    finally:
        feed.close()


def test_an_archive_beside_what_was_unpacked_from_it_is_no_shard(tmp_path):
    save(tmp_path / "images" / "a.png", picture(0))
    save(tmp_path / "masks" / "a.png", stripes())
    pack(tmp_path / "download.tar", {"images/a.png": tmp_path / "images" / "a.png"})
    assert data_folder(tmp_path) == tmp_path


def entry(name, kind=tarfile.REGTYPE, target=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (entry("../evil.png"), "0.tar: holds '../evil.png', which leaves the folder"),
        (entry("/etc/evil.png"), "leaves the folder"),
        (entry("a.png", tarfile.SYMTYPE, "/etc/passwd"), "0.tar: holds a.png, a link or no plain file"),
        (entry("a.png", tarfile.FIFOTYPE), "a link or no plain file"),
    ],
)
def test_what_leaves_the_folder_is_refused(tmp_path, odd, said):
    with tarfile.open(tmp_path / "0.tar", "w") as packed:
        packed.addfile(odd)
    with pytest.raises(UserError, match=said):
        data_folder(tmp_path)


def test_damaged_shards_are_refused(tmp_path):
    shard = tmp_path / "0000.tar"
    web_shards(tmp_path, count=1)
    whole, found = shard.read_bytes(), [member for _, member in members(shard)]
    assert [whole[member.offset :][: member.size] for member in found][1] == png()
    shard.write_bytes(whole[: found[-1].offset + 10])
    with pytest.raises(UserError, match=r"0000.tar: cannot be read as a shard \(unexpected end of data"):
        data_folder(tmp_path)
    place = found[2].offset - 512  # the third header
    shard.write_bytes(whole[:place] + b"x" * 512 + whole[place + 512 :])
    with pytest.raises(UserError, match=f"0000.tar: is damaged at byte {place}"):
        data_folder(tmp_path)
    shard.write_bytes(b"\x1f\x8b" + whole)
    with pytest.raises(UserError, match="cannot be read as a shard"):
        data_folder(tmp_path)
    shard.write_bytes(whole)
    root = data_folder(tmp_path)
    shard.write_bytes(whole[: found[-1].offset + 10])
    with pytest.raises(UserError, match=r"0000.tar: ends \d+ bytes too soon"):
        open_dataset(root)
    (tmp_path / "0001.tar").write_bytes(whole)
    shard.write_bytes(whole)
    with pytest.raises(UserError, match=r"0001.tar: holds 0000.jpg, as 0000.tar does"):
        data_folder(tmp_path)
    shard.unlink()
    pack(tmp_path / "0001.tar", {})
    with pytest.raises(UserError, match=r"0001.tar: holds no files"):
        data_folder(tmp_path)


@pytest.mark.slow
def test_a_training_on_shards_is_that_on_the_folder(digits, tmp_path):
    folder = packed_digits(digits, tmp_path / "digits")
    done = [
        train(data, out=tmp_path / name, epochs=1, settings=SMALL, report=False, say=lambda text: None)
        for name, data in (("a", folder), ("b", digits))
    ]
    assert done[0].run.recipe.data.root == str(folder)
    assert done[0].scores.miou == done[1].scores.miou
    assert evaluate(tmp_path / "a").scores.miou == done[0].scores.miou
