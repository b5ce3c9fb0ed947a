"""BSDS500 as downloaded: images, and the edges that several people marked, as the share of them at each pixel."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from atrous.data.description import Description, read_description
from atrous.data.layouts.edges import find_edges
from atrous.data.layouts.table import find_layout
from atrous.data.targets.values import Values
from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.verbs.check import check
from atrous.verbs.train import train
from tests.conftest import SMALL

SIZE = (64, 80)


def annotate(path, *marked):
    cells = np.empty((1, len(marked)), object)
    cells[0, :] = [{"Boundaries": edges.astype(np.uint8)} for edges in marked]
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"groundTruth": cells}, do_compression=True)


def write(root, splits, bare=()):
    """A square in each image, whose sides two of three annotators marked."""
    for split, count in splits.items():
        (root / "images" / split).mkdir(parents=True)
        for number in range(count):
            image, edges = np.full(SIZE, 60, np.uint8), np.zeros(SIZE, bool)
            rows, columns = slice(10 + number, 40), slice(20, 60)
            image[rows, columns] = 180
            edges[rows, columns] = True
            edges[11 + number : 39, 21:59] = False
            Image.fromarray(np.stack([image] * 3, -1)).save(root / "images" / split / f"{split}{number}.jpg")
            if split not in bare:
                mat = root / "groundTruth" / split / f"{split}{number}.mat"
                annotate(mat, edges, edges, np.zeros(SIZE, bool))
    return root


@pytest.fixture
def bsds(tmp_path):
    return write(tmp_path / "bsds", {"train": 4, "val": 2, "test": 2}, bare=("test",))


@pytest.mark.parametrize("place", [".", "data"])
@pytest.mark.parametrize("task", [None, "regression"])
def test_images_and_annotations_are_found(tmp_path, place, task):
    write(tmp_path / place, {"train": 4, "val": 2, "test": 2}, bare=("test",))
    layout = find_layout(tmp_path, read_description(tmp_path, task=task))
    assert {split: len(samples) for split, samples in layout.splits.items()} == {"train": 4, "val": 2, "test": 2}
    assert (layout.task, layout.split_origin) == ("regression", "folders")
    sample = layout.splits["train"][0]
    assert sample.name.endswith("images/train/train0")
    assert isinstance(sample.target, Values)
    values = sample.target.read()
    assert values.shape == (1, *SIZE)
    assert np.unique(values).tolist() == [0, np.float32(2 / 3)]
    assert len(sample.target.reader.annotators()) == 3
    assert layout.splits["test"][0].target is None


def test_what_has_no_partner_is_told(bsds):
    (bsds / "images" / "train" / "train1.jpg").unlink()
    (bsds / "groundTruth" / "val" / "val0.mat").unlink()
    layout = find_layout(bsds, Description())
    assert [path.name for path in layout.images_alone] == ["val0.jpg"]
    assert [path.name for path in layout.labels_alone] == ["train1.mat"]
    for path in (bsds / "groundTruth").rglob("*.mat"):
        path.rename(path.with_name(f"x{path.name}"))
    with pytest.raises(UserError, match=r"\.mat: no image of this name in images/"):
        find_layout(bsds, Description())


def test_without_split_folders_a_split_is_drawn(tmp_path):
    layout = find_layout(write(tmp_path, {"": 6}), Description())
    assert "val drawn from train" in layout.split_origin
    assert sum(len(samples) for samples in layout.splits.values()) == 6


def test_other_tasks_and_other_folders_are_left_to_others(bsds, squares):
    assert find_edges(bsds, Description(task="semantic")) is None
    assert find_edges(bsds, Description(masks="groundTruth")) is None
    (squares / "masks").rename(squares / "groundTruth")
    assert find_edges(squares, Description()) is None
    assert check(squares).ok


def test_problems_of_annotations_are_told_by_the_check(bsds):
    annotate(bsds / "groundTruth" / "train" / "train0.mat", np.ones((5, 6), bool))
    (bsds / "groundTruth" / "train" / "train1.mat").write_bytes(b"nothing")
    text = check(bsds).text()
    assert "train0.mat" in text
    assert "it is 5 x 6, its image 64 x 80" in text
    assert "train1.mat" in text
    assert "cannot be read" in text


def test_the_share_of_annotators_is_learned(bsds, tmp_path):
    run = train(bsds, out=tmp_path / "run", epochs=1, settings=SMALL).run
    values = load(run).predict(bsds / "images" / "test" / "test0.jpg").values
    assert values.shape == (1, *SIZE)
