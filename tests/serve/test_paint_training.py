"""Live training, slice by slice, in this process: it learns from strokes alone, and what it leaves is a run."""

import io
from itertools import repeat

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.recipe.run import open_run
from atrous.serve.found import find_files
from atrous.serve.paint_folder import PaintClass, PaintedFolder, live_folder
from atrous.serve.paint_plan import Control, LiveBatches, plan_live
from atrous.serve.paint_strokes import Stroke
from atrous.serve.paint_training import LiveTraining, _settings
from atrous.training.budget import Budget
from atrous.training.log import read_log
from benchmarks.crashes import make_grid_run

CLASSES = [PaintClass("dark", (255, 0, 0)), PaintClass("bright", (0, 255, 0))]


@pytest.fixture
def painted(tmp_path, squares):
    """A painted data set: on two images, a stroke on the square and some beside it."""
    from PIL import Image

    folder = PaintedFolder(tmp_path / "painted")
    folder.set_classes(CLASSES)
    for file in find_files([squares / "images"], None, print)[:2]:
        truth = np.asarray(Image.open(squares / "masks" / file.name))
        image = folder.image(file, (40, 48))
        rows, columns = np.nonzero(truth)
        image.paint((0, 0), Stroke("box", [(rows[0] + 2, columns[0] + 2), (rows[0] + 12, columns[0] + 12)]), 1)
        for row in range(0, 40, 8):
            for column in range(0, 48, 12):
                if not truth[row : row + 3, column : column + 9].any():
                    image.paint((0, 0), Stroke("box", [(row, column), (row + 2, column + 8)]), 0)
    yield folder
    folder.close()


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A run of a small network, with whose network and weights the trainings begin."""
    folder = tmp_path_factory.mktemp("runs") / "start"
    make_grid_run(folder, ndim=2)
    return folder


def trained(painted, budgets, tmp_path, start, control=None):
    said = []
    scratch = tmp_path / f"scratch{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    training = LiveTraining(painted.root, control or Control(), said.append, start, "cpu")
    training.go_on(iter(budgets), scratch)
    return said


def test_slices_go_on_from_each_other_and_leave_a_run(painted, tmp_path, squares, start):
    said = trained(painted, [Budget(steps=6), Budget(steps=4)], tmp_path, start)
    kinds = [one["kind"] for one in said]
    assert kinds.count("plan") == 2
    assert kinds.count("weights") >= 4
    assert [one["version"] for one in said if one["kind"] == "weights"] == list(range(1, kinds.count("weights") + 1))
    assert said[0]["samples"] == {"train": 2, "held_out": 2}
    steps = [one["step"] for one in said if one["kind"] == "validation"]
    assert steps == sorted(steps)
    assert steps[-1] == 10
    run = open_run(live_folder(painted.root))
    assert (run.recipe.model.depth, run.recipe.model.encoder_width) == (10, 8)
    assert run.recipe.task.classes == ["dark", "bright"]
    assert run.recipe.augment.foreground == 1.0
    assert run.calibration().temperature > 0
    assert [row["step"] for row in read_log(run.folder / "metrics.csv") if row["split"] == "val"][-1] == 10
    labels = load(run).predict(squares / "images" / "0.png").labels
    assert labels.shape == (40, 48)
    first = {name: tensor.clone() for name, tensor in run.network().state_dict().items()}
    # another process goes on from these weights, with the same network and normalization
    trained(painted, [Budget(steps=1)], tmp_path, start)
    again = open_run(run.folder)
    assert again.recipe.model == run.recipe.model
    assert [row["step"] for row in read_log(run.folder / "metrics.csv") if row["split"] == "val"][-1] == 11
    moved = sum(
        float((tensor.float() - first[name].float()).abs().sum())
        for name, tensor in again.network().state_dict().items()
    )
    size = sum(float(tensor.float().abs().sum()) for tensor in first.values())
    assert 0 < moved < 0.2 * size


def test_another_class_changes_the_head_alone(painted, tmp_path, squares, start):
    trained(painted, [Budget(steps=1)], tmp_path, start)
    before = open_run(live_folder(painted.root)).network().state_dict()
    painted.set_classes([*CLASSES, PaintClass("edge", (0, 0, 255))])
    file = find_files([squares / "images"], None, print)[0]
    painted.image(file, (40, 48)).paint((0, 0), Stroke("brush", [(38, 2), (38, 40)], 1.0), 2)
    trained(painted, [Budget(steps=1)], tmp_path, start)
    after = open_run(live_folder(painted.root)).network()
    assert after.outputs == 3
    same = [name for name, tensor in after.state_dict().items() if tensor.shape == before[name].shape]
    assert len(before) - len(same) <= 2


def test_strokes_that_are_added_are_in_the_next_batch(painted, tmp_path, squares):
    plan = plan_live(painted.root, tmp_path, before=None, start=None, device="cpu")
    control = Control()
    batches = LiveBatches(plan, control, painted.root, tmp_path, 0)
    image = painted.image(find_files([squares / "images"], None, print)[2], (40, 48))
    first = {name for step in range(6) for name in batches[step].names}
    assert not any("2.png" in name for name in first)
    image.paint((0, 0), Stroke("box", [(0, 0), (40, 48)]), 0)
    control.changes += 1
    later = {name for step in range(6) for name in batches[step].names}
    assert any("2.png" in name for name in later)
    assert not batches.ended
    painted.set_classes([*CLASSES, PaintClass("edge", (0, 0, 255))])
    control.changes += 1
    assert batches[0].images.shape[0] > 0
    assert batches.ended


def test_every_crop_shows_a_stroke(painted, tmp_path):
    plan = plan_live(painted.root, tmp_path, before=None, start=None, device="cpu")
    assert plan.recipe.augment.foreground == 1.0
    batches = LiveBatches(plan, Control(), painted.root, tmp_path, 0)
    for step in range(3):
        assert ((batches[step].targets != 255).flatten(1).sum(1) > 0).all()


def test_it_stops_when_told(painted, tmp_path, start):
    control = Control(stopped=True)
    assert trained(painted, repeat(Budget(steps=1)), tmp_path, start, control) == []
    control = Control()
    control.listen(io.StringIO("changed\nchanged\nstop\nchanged\n"))
    assert (control.stopped, control.changes) == (True, 2)
    control = Control()
    control.listen(io.StringIO(""))
    assert control.stopped  # the server was killed


def test_one_class_alone_is_refused(tmp_path, squares):
    folder = PaintedFolder(tmp_path / "painted")
    folder.set_classes(CLASSES)
    image = folder.image(find_files([squares / "images"], None, print)[0], (40, 48))
    image.paint((0, 0), Stroke("box", [(0, 0), (9, 9)]), 0)
    with pytest.raises(UserError, match="two classes at least"):
        plan_live(folder.root, tmp_path, before=None, start=None, device="cpu")
    folder.close()


@pytest.mark.parametrize("pretrained", [False, True])
def test_the_first_layers_of_a_pretrained_encoder_do_not_learn_from_strokes(painted, tmp_path, pretrained):
    (tmp_path / "scratch").mkdir()
    plan = plan_live(painted.root, tmp_path / "scratch", before=None, start=None, device="cpu")
    model = plan.recipe.model.model_copy(update={"pretrained": pretrained})
    recipe = plan.recipe.model_copy(update={"model": model})
    budget = Budget(minutes=1)
    learning = [[stage.encoder for stage in _settings(recipe, budget, fresh).stages] for fresh in (True, False)]
    assert learning == ([[0.0], [0.5]] if pretrained else [[], []])
