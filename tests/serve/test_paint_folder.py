"""The painted data set: an ordinary one that every verb reads."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import nibabel
import numpy as np
import pytest
from PIL import Image

from atrous.data.dataset import open_dataset
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.serve import linked_images
from atrous.serve.found import find_files
from atrous.serve.paint_folder import PaintClass, PaintedFolder
from atrous.serve.paint_strokes import Stroke
from atrous.verbs.check import check

RED, BLUE, GREEN = ("red", (255, 0, 0)), ("blue", (0, 0, 255)), ("green", (0, 255, 0))
CLASSES = [PaintClass(*RED), PaintClass(*BLUE)]


@pytest.fixture
def painted(tmp_path):
    folder = PaintedFolder(tmp_path / "painted")
    yield folder
    folder.close()


def files(squares):
    return find_files([squares / "images"], None, print)


def box(left):
    return Stroke("box", [(3, left), (9, left + 5)])


def paint(folder, file, *labels):
    image = folder.image(file, (40, 48))
    for label in labels:
        image.paint((0, 0), box(6 * label), label)


def test_nothing_is_written_before_the_first_class_and_stroke(painted, squares):
    assert not painted.root.exists()
    painted.image(files(squares)[0], (40, 48))
    assert not painted.root.exists()
    with pytest.raises(UserError, match="name a class first"):
        paint(painted, files(squares)[0], 0)


def test_it_is_an_ordinary_data_set(painted, squares):
    painted.set_classes(CLASSES)
    for file in files(squares)[:3]:
        paint(painted, file, 0, 1)
    found = check(painted.root)
    assert found.ok, found.text()
    assert found.dataset.classes == ("red", "blue")
    assert found.dataset.palette == ((255, 0, 0), (0, 0, 255))
    assert [problem.line() for problem in found.faults] == []
    dataset = open_dataset(painted.root)
    sample = next(one for one in dataset.samples if one.name.endswith("0"))
    labels = sample.target.read()
    assert {int(value): int(count) for value, count in zip(*np.unique(labels, return_counts=True), strict=True)} == {
        0: 30, 1: 30, IGNORE: 40 * 48 - 60,
    }  # fmt: skip
    np.testing.assert_array_equal(sample.image.load()[0], np.asarray(Image.open(squares / "images" / "0.png")))
    assert painted.counts()[:3].tolist() == [90, 90, 0]


def test_a_volume_is_one_too(painted, tmp_path):
    """Few slices, so that an array that names no axes could pass for channels."""
    (tmp_path / "scans").mkdir()
    values = np.random.default_rng(0).integers(0, 255, (50, 40, 12)).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, 2, 1])), tmp_path / "scans" / "v.nii.gz")
    painted.set_classes(CLASSES)
    image = painted.image(find_files([tmp_path / "scans"], None, print)[0], (12, 40, 50))
    image.paint((0, 5), Stroke("box", [(2, 3), (20, 30)]), 0)
    image.paint((1, 30), Stroke("box", [(0, 3), (12, 30)]), 1)
    sample = open_dataset(painted.root).samples[0]
    assert sample.image.load().shape == (1, 12, 40, 50)
    labels = sample.target.read()
    assert (labels[5, 2:20, 3:30] == 0).all()
    assert (labels[:, 30, 3:30] == 1).all()
    assert np.count_nonzero(labels != IGNORE) == 18 * 27 + 12 * 27


def test_a_data_set_of_one_class_so_far_is_read(painted, squares):
    painted.set_classes(CLASSES)
    for file in files(squares)[:2]:
        paint(painted, file, 0)
    kinds = {problem.kind for problem in check(painted.root).faults}
    assert "values" not in kinds


def test_images_are_linked_and_found_again(painted, squares):
    painted.set_classes(CLASSES)
    paint(painted, files(squares)[1], 1)
    assert (painted.root / "images" / "1.png").samefile(squares / "images" / "1.png")
    painted.close()
    again = PaintedFolder(painted.root)
    assert again.counts()[:2].tolist() == [0, 30]
    image = again.image(files(squares)[1], (40, 48))
    assert image.counts[1] == 30
    assert again.counts()[:2].tolist() == [0, 30]
    inside = find_files([painted.root / "images"], None, print)[0]
    assert again.image(inside, (40, 48)).counts[1] == 30
    again.close()


def test_two_images_of_one_name_get_two(painted, squares, tmp_path):
    painted.set_classes(CLASSES)
    (tmp_path / "other").mkdir()
    Image.fromarray(np.zeros((40, 48), np.uint8)).save(tmp_path / "other" / "0.png")
    paint(painted, files(squares)[0], 0)
    paint(painted, find_files([tmp_path / "other"], None, print)[0], 1)
    assert sorted(path.name for path in (painted.root / "masks").iterdir()) == ["0-2.png", "0.png"]
    stored = json.loads((painted.root / ".paint" / "images.json").read_text())
    assert stored["0-2"].endswith("0.png")


def test_classes_are_renamed_and_added_but_not_lost(painted, squares):
    painted.set_classes(CLASSES)
    paint(painted, files(squares)[0], 1)
    painted.set_classes([PaintClass("sky", (1, 2, 3)), CLASSES[1], PaintClass(*GREEN)])
    assert open_dataset(painted.root).classes == ("sky", "blue", "green")
    painted.set_classes(CLASSES)
    with pytest.raises(UserError, match='"blue" has been painted with'):
        painted.set_classes(CLASSES[:1])
    for wrong, said in (
        ([PaintClass("a", (0, 0, 0)), PaintClass("a", (1, 1, 1))], "have the name a"),
        ([PaintClass("a", (0, 0, 0)), PaintClass("b", (0, 0, 0))], "have the color"),
        ([PaintClass("a\n", (0, 0, 0)), PaintClass("b", (1, 0, 0))], "cannot be printed"),
        ([], "0 classes"),
    ):
        with pytest.raises(UserError, match=said):
            painted.set_classes(wrong)


def test_a_class_that_was_removed_does_not_come_back_by_undo(painted, squares):
    painted.set_classes([*CLASSES, PaintClass(*GREEN)])
    image = painted.image(files(squares)[0], (40, 48))
    image.paint((0, 0), box(6), 2)
    image.paint((0, 0), box(6), IGNORE)
    painted.set_classes(CLASSES)
    assert not image.undo()
    assert painted.counts()[2] == 0


def test_a_mask_of_another_format_is_not_lost_behind_a_new_one(painted, squares):
    painted.set_classes(CLASSES)
    (painted.root / "masks").mkdir()
    mask = painted.root / "masks" / "0.tif"
    Image.fromarray(np.ones((40, 48), np.uint8)).save(mask)
    with pytest.raises(UserError, match=r"0.tif: a mask of this image is painted as 0.png"):
        painted.image(files(squares)[0], (40, 48))
    mask.unlink()
    paint(painted, files(squares)[0], 1)


def test_few_masks_stay_in_memory_and_all_are_counted(painted, squares, monkeypatch):
    monkeypatch.setattr("atrous.serve.paint_folder.KEPT", 2)
    folder = PaintedFolder(painted.root)
    folder.set_classes(CLASSES)
    for file in files(squares)[:4]:
        paint(folder, file, 1)
    assert len(folder._images._used) == 2
    assert folder.counts()[1] == 120
    assert folder.image(files(squares)[0], (40, 48)).counts[1] == 30
    folder.close()


def test_first_strokes_on_two_images_at_the_same_time(painted, squares, monkeypatch):
    """Both put an image into the data set, and write the list of where these came from."""
    painted.set_classes(CLASSES)
    inside, most = [], []

    def slowly(source, target, put=linked_images._link_or_copy):
        inside.append(source)
        most.append(len(inside))
        threading.Event().wait(0.2)
        put(source, target)
        inside.remove(source)

    monkeypatch.setattr(linked_images, "_link_or_copy", slowly)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda file: paint(painted, file, 1), files(squares)[:2]))
    assert max(most) == 1
    assert sorted(json.loads((painted.root / ".paint" / "images.json").read_text())) == ["0", "1"]


@pytest.mark.parametrize("name", ["masks", "images", ".paint", ".paint/training.log", "masks/0.zarr"])
def test_nothing_is_written_through_links_out_of_the_folder(tmp_path, name):
    root, elsewhere = tmp_path / "painted", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / name).parent.mkdir(parents=True)
    (root / name).symlink_to(elsewhere)
    (root / "dataset.toml").write_text('classes = ["a", "b"]\nvalues = [0, 1]\nignore = [255]\n')
    with pytest.raises(UserError, match="is a link that leaves"):
        PaintedFolder(root)
    assert list(elsewhere.iterdir()) == []


def test_what_else_dataset_toml_says_stays(painted):
    painted.set_classes(CLASSES)
    path = painted.root / "dataset.toml"
    path.write_text(path.read_text() + "spacing = [0.5, 0.5]\n")
    painted.set_classes([*CLASSES, PaintClass(*GREEN)])
    assert "spacing = [0.5, 0.5]" in path.read_text()


def test_one_process_paints(painted):
    painted.set_classes(CLASSES)
    with pytest.raises(UserError, match="is painted by another atrous serve"):
        PaintedFolder(painted.root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "holds a.txt and no dataset.toml"),
        ('classes = ["a", "b"]', "no data set that can be painted"),
        ('classes = ["a", "b"]\nvalues = [0, 7]\nignore = [255]', "no data set that can be painted"),
        ('classes = ["a", "b"]\nignore = [255]\ntask = "instances"', "no data set that can be painted"),
    ],
)
def test_other_folders_are_left_alone(tmp_path, text, said):
    (tmp_path / "a.txt").write_text("mine")
    if text is not None:
        (tmp_path / "dataset.toml").write_text(text)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(UserError, match=said):
        PaintedFolder(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
