"""What the data doctor counts, says and draws of targets, against counting by hand."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from atrous.data.coding import Coding
from atrous.data.images import ArrayImage
from atrous.data.layouts.memory import LabelArray
from atrous.data.targets.base import FOREGROUND, Facts, TargetScan
from atrous.data.targets.bits import Bits
from atrous.data.targets.labels import Labels, Shifted
from atrous.data.targets.places import Places
from atrous.data.targets.points import Points
from atrous.verbs.check import check
from tests.data.data_folders import picture, save

PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0))


@dataclass
class Read:
    """Bits in memory."""

    stored: np.ndarray
    classes: tuple[str, ...] = ("a", "b")
    path: Path = Path("bits")

    def values(self) -> np.ndarray:
        return self.stored


def test_positions_without_data_are_no_class():
    values = np.array([0, 1, 2, 3, 255, 255], np.uint16)
    scanned = Bits(Read(values)).scan(None)
    assert scanned.counts == {0: 2, 1: 2}
    assert scanned.outside == 2
    scan = SimpleNamespace(contents=scanned)
    coding = Coding(("a", "b"), None, (), None, ())
    assert Bits.frequency([scan], coding) == (0.5, 0.5)
    nothing = SimpleNamespace(contents=TargetScan(size=(3,), outside=3, counts={0: 0, 1: 0}))
    assert Bits.frequency([nothing], coding) == (0.0, 0.0)


@pytest.mark.parametrize("count", [3, 200])
def test_every_place_of_a_small_foreground_is_looked_at_once(count):
    values = np.zeros((6, 10, 12), np.uint8)
    values.flat[:count] = 1
    image = ArrayImage(Path("v"), np.zeros((1, 6, 10, 12), np.float32))
    scanned = Labels(LabelArray(Path("v"), values), image).scan(None)
    assert scanned.foreground.tolist() == list(range(count))
    assert count < FOREGROUND


def test_labels_are_a_source_of_one_channel():
    source = Shifted(np.array([[0, 1, 255]], np.uint8))
    assert source.shape == (1, 1, 3)
    assert source[:, :, :].tolist() == [[[1, 2, 0]]]


def test_classes_are_told_in_words():
    def told(classes):
        return Labels.summary(Facts(Path("."), Coding(classes, None, (), None, ()), None, None), False)

    assert told(("a",)) == "1 class, none ignored"
    assert told(("a", "b")) == "2 classes, values 0..1, none ignored"


def test_a_point_is_a_square_around_it():
    drawn = Points.draw(np.zeros((1, 21, 17)), Places((21, 17), np.array([[10.2, 7.9]]), np.array([1])), PALETTE)
    rows, columns = np.nonzero(drawn.any(axis=2))
    side = rows.max() - rows.min() + 1
    assert side == columns.max() - columns.min() + 1
    assert side % 2 == 1
    assert (rows.min() + rows.max(), columns.min() + columns.max()) == (20, 14)  # centered on (10, 7)


def masks(root, values):
    for index in range(4):
        save(root / "images" / f"{index}.png", picture(index))
        save(root / "masks" / f"{index}.png", np.resize(np.array(values, np.uint8), picture(0).shape[:2]))
    return root


def test_two_classes_of_black_and_white_masks_are_declared_by_their_values(tmp_path):
    root = masks(tmp_path, [0, 255])
    (root / "dataset.toml").write_text('classes = ["ground", "cell"]\n')
    problems = [problem for problem in check(root).errors if problem.kind == "values"]
    assert all("write values = [0, 255] in dataset.toml" in problem.fix for problem in problems)
    assert problems


def test_a_mask_of_numbers_is_not_called_a_palette(tmp_path):
    root = masks(tmp_path, [0, 1, 7])
    (root / "dataset.toml").write_text('classes = ["ground", "cell"]\n')
    lines = [problem.line() for problem in check(root).errors]
    assert any("value 7 is no class" in line for line in lines)
    assert not any("palette" in line for line in lines)
