import numpy as np
import pytest
from PIL import Image

from atrous.data.dataset import open_dataset
from atrous.data.description import read_description
from atrous.data.layouts.changes import find_changes, read_dated
from atrous.errors import UserError
from atrous.verbs.check import check
from tests.pairs import write_pairs


def layout(root, task="change"):
    return find_changes(root, read_description(root, None, task))


def names(found):
    return {split: [sample.name for sample in samples] for split, samples in found.splits.items()}


@pytest.mark.parametrize("split_first", [True, False])
def test_folders_of_splits_lie_above_or_below_those_of_the_dates(tmp_path, split_first):
    root = write_pairs(tmp_path / "data", split_first=split_first)
    found = layout(root)
    assert {split: len(samples) for split, samples in found.splits.items()} == {"train": 6, "val": 2}
    sample = found.splits["val"][0]
    assert [file.parent for file in sample.image.files] == [root / p for p in (
        ("val/A", "val/B") if split_first else ("A/val", "B/val"))]  # fmt: skip
    assert sample.image.files[0].name == sample.image.files[1].name == sample.target.path.name
    assert (found.kind, found.task) == ("grids", "change")


def test_pairs_are_known_without_a_task_by_the_usual_folders_alone(tmp_path):
    assert layout(write_pairs(tmp_path / "a"), None).task == "change"
    assert layout(write_pairs(tmp_path / "b", names=("before", "after", "masks")), None).task == "change"
    other = write_pairs(tmp_path / "c", names=("T1", "T2", "label"))
    assert layout(other, None) is None  # these are also kinds of MR
    assert layout(other).task == "change"
    assert layout(other, "semantic") is None


def test_folders_a_and_b_of_images_with_masks_of_their_own_are_no_dates(tmp_path):
    for role in ("images", "masks"):
        for group in ("a", "b"):
            (tmp_path / role / group).mkdir(parents=True)
            Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / role / group / "1.png")
    assert layout(tmp_path, None) is None


def test_lists_say_the_splits(tmp_path):
    root = write_pairs(tmp_path / "data", split_first=False)
    (root / "list").mkdir()
    (root / "list" / "train.txt").write_text("0.png\n1.png\n2.png\n")
    (root / "list" / "val.txt").write_text("5.png\n")
    assert names(layout(root)) == {"train": ["A/train/0", "A/train/1", "A/train/2"], "val": ["A/train/5"]}


def test_an_image_without_its_partner_is_left_out_and_said(tmp_path):
    root = write_pairs(tmp_path / "data")
    (root / "train" / "B" / "3.png").unlink()
    found = check(root)
    assert found.ok
    said = "\n".join(problem.line() for problem in found.faults)
    assert "train/A/3.png: has no partner of the other date and is left out" in said
    assert found.fingerprint.images == {"train": 5, "val": 2}


def test_images_and_masks_of_other_sizes_are_errors(tmp_path):
    root = write_pairs(tmp_path / "data")
    Image.fromarray(np.zeros((64, 60, 3), np.uint8)).save(root / "train" / "B" / "0.png")
    Image.fromarray(np.zeros((60, 64), np.uint8)).save(root / "train" / "label" / "1.png")
    said = "\n".join(problem.line() for problem in check(root).errors)
    assert "train/B/0.png: it is 64 x 60, A/0.png 64 x 64: bring both images to one grid" in said
    assert "train/label/1.png: the mask is 60 x 64, its image 64 x 64" in said


@pytest.mark.parametrize("value", [1, 255])
def test_masks_of_two_values_are_read(tmp_path, value):
    dataset = open_dataset(write_pairs(tmp_path / "data", value=value))
    assert dataset.task == "change"
    sample = dataset.splits["train"][0]
    assert set(np.unique(sample.target.read())) == {0, 1}
    assert sample.image.load().shape == (6, 64, 64)


def test_classes_of_change_are_read(tmp_path):
    root = write_pairs(tmp_path / "data", value=1)
    for path in list((root / "train" / "label").iterdir())[:3]:
        Image.fromarray(2 * np.asarray(Image.open(path))).save(path)
    (root / "dataset.toml").write_text('task = "change"\nclasses = ["same", "built", "razed"]\n')
    assert check(root).dataset.classes == ("same", "built", "razed")


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(UserError, match="put the images of both dates into A/ and B/"):
        layout(tmp_path)
    root = write_pairs(tmp_path / "data", names=("A", "B", "other"))
    with pytest.raises(UserError, match="no masks beside train/A and train/B: put them into label/"):
        layout(root)
    for path in [*(root / "train" / "B").iterdir(), *(root / "val" / "B").iterdir()]:
        path.rename(path.with_name(f"other{path.stem}of{path.stem}.png"))
    with pytest.raises(UserError, match="no image of train/A fits one of train/B by name"):
        layout(root)


def test_another_layout_is_not_read_as_pairs(squares):
    (squares / "dataset.toml").write_text('task = "change"\nkind = "images"\n')
    with pytest.raises(UserError, match='task = "change" needs samples of two images: take `kind` out'):
        open_dataset(squares)


def test_the_dates_of_a_folder_without_masks_are_found(tmp_path):
    dated = read_dated(write_pairs(tmp_path / "data"))
    assert len(list(dated.pairs())) == 8
    key, before, after = next(dated.pairs())
    assert (key, before.parent.name, after.parent.name) == ("train/0", "A", "B")
