"""Objects by number: large numbers, and label images that do not fit."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from atrous.data.formats import FileFault
from atrous.data.targets.instances import Instances, star_ious, typical_sides
from atrous.data.targets.labels import LabelTable
from atrous.data.view import View
from atrous.verbs.check import check
from tests.objects.worlds import random_discs

SIZE, CROP = (21, 17), (8, 6)


@pytest.mark.parametrize("greatest", [2**24 + 1, 2**32 + 7])
@pytest.mark.parametrize("ground", [0, 2**24 + 3])
def test_objects_with_large_numbers_stay_apart(tmp_path, greatest, ground):
    numbers = np.full(SIZE, ground, np.int64)
    numbers[2:6, 3:7], numbers[10:13, 10:13] = greatest, 7
    np.save(tmp_path / "a.npy", numbers)
    target = Instances(tmp_path / "a.npy")
    values = target.read()
    assert values.dtype == np.uint32
    for number in (greatest, 7):
        assert len(np.unique(values[numbers == number])) == 1
    assert len(np.unique(values)) == 3
    assert (values == 0).any() == (ground == 0)
    assert target.scan(None).counts[greatest] == 16
    cut = Instances.cut(values, View(0, np.array([4.0, 3.0]), np.eye(2)), CROP)
    assert len(cut.unique()) == 2


def write_squares(root, last):
    """Four images with two squares each; the last mask is saved by a function of its path and its numbers."""
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    numbers = np.zeros((40, 48), np.uint8)
    numbers[4:14, 4:14], numbers[20:36, 20:40] = 1, 2
    for index in range(4):
        image = np.random.default_rng(index).integers(0, 99, numbers.shape) + 100 * (numbers > 0)
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"{index}.png")
        path = root / "masks" / f"{index}.png"
        (last if index == 3 else lambda path, numbers: Image.fromarray(numbers).save(path))(path, numbers)
    return root


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (lambda path, numbers: Image.fromarray(numbers[:, :40]).save(path), "the mask is 40 x 40, its image 40 x 48"),
        (lambda path, numbers: Image.fromarray(numbers.T).save(path), "one of them lies on its side: turn it"),
        (
            lambda path, numbers: Image.fromarray(60 * numbers).save(path.with_suffix(".jpg")),
            "masks/3.jpg: saved as JPEG, which changes the numbers of objects",
        ),
    ],
    ids=["cut", "turned", "JPEG"],
)
def test_label_images_that_do_not_fit_are_refused(tmp_path, last, said):
    found = check(write_squares(tmp_path, last), task="instances")
    assert len(found.errors) == 1
    assert said in found.errors[0].line()


def test_rows_without_a_number_are_no_object(tmp_path):
    (tmp_path / "a.csv").write_text("x,label\n" + "".join(f"{i},{'' if i == 5 else i // 4}\n" for i in range(12)))
    target = Instances(tmp_path / "a.csv", reader=LabelTable(tmp_path / "a.csv", None))
    with pytest.raises(FileFault, match=r"a\.csv: has rows without a number: write 0 where there is no object"):
        target.read()


def test_whole_objects_of_volumes_are_measured(tmp_path):
    numbers = np.zeros((8, 12, 14), np.uint16)
    numbers[2:4, 3:8, 4:10], numbers[0:3, 9:11, 3:5] = 70, 2  # the second is cut by the border
    numbers[5, 2:4, 2:4] = numbers[5, 8:9, 9:12] = 9  # in two pieces
    tifffile.imwrite(tmp_path / "a.tif", numbers, metadata={"axes": "ZYX"})
    scanned = Instances(tmp_path / "a.tif").scan(None)
    assert scanned.spans is not None
    assert scanned.spans.tolist() == [[2, 5, 6]]
    assert scanned.pieces == {9: 2}
    np.save(tmp_path / "b.npy", numbers[3])
    assert Instances(tmp_path / "b.npy").scan(None).spans is None


def test_the_sides_of_few_objects_are_not_known():
    assert typical_sides([np.full((4, 3), 2), np.full((5, 3), 8)]).size == 0
    assert typical_sides([np.full((5, 3), 2), np.full((5, 3), 8)]) == pytest.approx([4.0, 4.0, 4.0])
    assert typical_sides([]).size == 0


def test_flat_objects_of_volumes_are_compared_in_their_own_unit(tmp_path):
    volume = random_discs((66, 60, 60), 12, (6, 8))[0][::3]
    tifffile.imwrite(tmp_path / "a.tif", volume.astype(np.uint16))
    scanned = Instances(tmp_path / "a.tif").scan(None)
    whole = tuple(scanned.counts)
    assert len(scanned.stars) == 4
    assert np.mean(scanned.stars) > np.mean(star_ious(volume, whole)) + 0.01
    assert scanned.stars == pytest.approx(star_ious(volume, whole, (3.0, 1.0, 1.0)), abs=0.05)
    assert star_ious(volume[0, 0], whole) == ()
