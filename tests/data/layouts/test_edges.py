"""BSDS500 as downloaded, with the edges that several people marked; and masks whose boundaries are learned."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.io import savemat

from atrous.data.description import Description, read_description
from atrous.data.layouts.edges import find_edges
from atrous.data.layouts.table import find_layout
from atrous.data.targets.edges import Edges
from atrous.data.targets.values import Values
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.prediction.predictor import load
from atrous.verbs.check import check
from atrous.verbs.opened import open_dataset_from
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
@pytest.mark.parametrize("task", [None, "edges", "regression"])
def test_images_and_annotations_are_found(tmp_path, place, task):
    write(tmp_path / place, {"train": 4, "val": 2, "test": 2}, bare=("test",))
    layout = find_layout(tmp_path, read_description(tmp_path, task=task))
    assert {split: len(samples) for split, samples in layout.splits.items()} == {"train": 4, "val": 2, "test": 2}
    assert (layout.task, layout.split_origin) == (task or "edges", "folders")
    sample = layout.splits["train"][0]
    assert sample.name.endswith("images/train/train0")
    assert isinstance(sample.target, Values if task == "regression" else Edges)
    values = sample.target.read()
    assert values.shape == (1 if task == "regression" else 3, *SIZE)
    np.testing.assert_allclose(np.unique(values.mean(axis=0)), [0, 2 / 3], rtol=1e-6)
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


def test_the_share_of_annotators_is_learned_as_a_regression(bsds, tmp_path):
    run = train(bsds, task="regression", out=tmp_path / "run", epochs=1, settings=SMALL, report=False).run
    values = load(run).predict(bsds / "images" / "test" / "test0.jpg").values
    assert values.shape == (1, *SIZE)


def square(number):
    """The sides of a square, as two annotators draw them, and its inside."""
    inside = np.zeros(SIZE, bool)
    inside[10 + number : 40, 20:60] = True
    edges = inside.copy()
    edges[11 + number : 39, 21:59] = False
    return edges, np.roll(edges, 1, axis=1), inside


@pytest.mark.parametrize("split", ["train", "."])
def test_annotations_may_be_images_and_folders_of_images(tmp_path, split):
    for number in range(5):
        for folder in ("images", "groundTruth"):
            (tmp_path / folder / split / str(number)).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(SIZE, 90, np.uint8)).save(tmp_path / "images" / split / f"{number}.png")
        truth = tmp_path / "groundTruth" / split
        first, second, _ = square(number)
        if number == 0:
            annotate(truth / "0.mat", first, second)
        elif number == 1:
            Image.fromarray(first).save(truth / "1.png")
        else:
            (truth / str(number)).mkdir()
            np.save(truth / str(number) / "anna.npy", first)
            np.save(truth / str(number) / "bert.npy", second)
    samples = open_dataset_from(tmp_path, task="edges").samples
    assert sorted(len(sample.target.read()) for sample in samples) == [1, 2, 2, 2, 2]
    read = {sample.name.rsplit("/", 1)[-1]: sample.target.read() for sample in samples}
    np.testing.assert_array_equal(read["3"], np.stack(square(3)[:2]))
    assert check(tmp_path, task="edges").ok


def masks(root, folder, values):
    for name in ("images", folder):
        (root / name).mkdir(parents=True)
    for number in range(4):
        Image.fromarray(np.full(SIZE, 90, np.uint8)).save(root / "images" / f"{number}.png")
        Image.fromarray(values(number)).save(root / folder / f"{number}.png")
    return root


def first_target(root, **options):
    return min(open_dataset_from(root, task="edges", **options).samples, key=lambda sample: sample.name).target


def test_masks_of_regions_and_of_lines_are_told_apart(tmp_path):
    regions = masks(tmp_path / "regions", "masks", lambda n: square(n)[2].astype(np.uint8))
    wide = [ndimage.binary_dilation(square(number)[0], np.ones((3, 3))) for number in range(4)]
    lines = masks(tmp_path / "lines", "edges", lambda n: 255 * wide[n].astype(np.uint8))
    found = {name: first_target(root).read()[0] for name, root in (("regions", regions), ("lines", lines))}
    np.testing.assert_array_equal(found["lines"], wide[0])
    assert found["regions"].sum() == pytest.approx(square(0)[0].sum(), abs=8)
    assert check(regions, task="edges").dataset.layout.startswith("images in images; boundaries of masks in masks")
    assert check(lines, task="edges").dataset.layout.startswith("images in images; edges in edges")
    told = first_target(lines, settings={"boundaries": True})
    assert told.read().sum() == pytest.approx(2 * square(0)[0].sum(), abs=12)  # along both of their sides
    (lines / "dataset.toml").write_text("boundaries = true\n")
    np.testing.assert_array_equal(first_target(lines).read(), told.read())
    assert "write boundaries = false in dataset.toml" in check(lines, task="edges").text()


def test_ignored_values_and_colors_of_masks_are_followed(tmp_path):
    def colored(number):
        inside = square(number)[2]
        colors = np.where(inside[..., None], (0, 200, 0), (9, 9, 9)).astype(np.uint8)
        colors[:, 70:] = 255
        return colors

    data = masks(tmp_path, "masks", colored)
    text = 'classes = ["ground", "square"]\npalette = [[9, 9, 9], [0, 200, 0]]\nignore = [[255, 255, 255]]\n'
    (data / "dataset.toml").write_text(text)
    marks = first_target(data).read()[0]
    assert (marks[:, 69:] == IGNORE).all()
    assert (marks[:, :69] == 1).sum() == pytest.approx(square(0)[0].sum(), abs=8)
    assert open_dataset_from(data, task="edges").classes == ()


def test_a_folder_of_other_files_named_after_edges_is_no_folder_of_masks(tmp_path):
    data = masks(tmp_path, "masks", lambda n: square(n)[2].astype(np.uint8))
    (data / "contours").mkdir()
    (data / "contours" / "0.json").write_text("{}")
    assert check(data, task="edges").dataset.layout.startswith("images in images; boundaries of masks in masks")


def test_lines_beside_an_ignored_value_are_lines(tmp_path):
    def lines(number):
        marks = square(number)[0].astype(np.uint8)
        marks[:, 70:] = 255
        return marks

    data = masks(tmp_path, "masks", lines)
    (data / "dataset.toml").write_text("ignore = [255]\n")
    marks = first_target(data).read()[0]
    assert (marks[:, 69:] == IGNORE).all()
    np.testing.assert_array_equal(marks[:, :69], square(0)[0][:, :69])
    assert check(data, task="edges").dataset.layout.startswith("images in images; edges in masks")
    (data / "dataset.toml").write_text("ignore = [255]\nboundaries = true\n")
    assert "its regions are lines" in check(data, task="edges").text()


def test_edges_of_arrays_in_memory(tmp_path):
    images = [np.full((3, *SIZE), 90, np.uint8) for _ in range(4)]
    regions = open_dataset_from((images, [square(n)[2].astype(np.uint8) for n in range(4)]), task="edges")
    assert regions.target is Edges
    assert {sample.target.read().shape for sample in regions.samples} == {(1, *SIZE)}


def test_what_has_no_edges_is_refused(tmp_path):
    for number in range(4):
        lines = [f"{k},{k % 3},{k % 2}" for k in range(30)]
        (tmp_path / f"{number}.csv").write_text("time,a,label\n" + "\n".join(lines) + "\n")
    with pytest.raises(UserError, match='task = "edges" needs an image of edges or of regions for each image'):
        open_dataset_from(tmp_path, task="edges")
