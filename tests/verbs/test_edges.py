"""Edges through every verb: several annotators, a network with side outputs, metrics, files, pictures, streaming."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from atrous.cli import main
from atrous.data.feed.decode import Decoded
from atrous.data.targets.edges import Edges
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.prediction.predictor import load
from atrous.report.page import Example
from atrous.tasks.edges import EdgeTask
from atrous.tasks.thinning import suppress
from atrous.verbs.check import check
from atrous.verbs.edge_examples import judged_edges
from atrous.verbs.evaluate import evaluate
from atrous.verbs.feeds import _few
from atrous.verbs.object_examples import PALETTE
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.score_edges import EdgeOptions, score_edges
from atrous.verbs.train import train

SIZE = (64, 72)
SMALL = (
    "model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8", "model.width=16",
    "model.detail=8", "train.validations=2", "train.crop=[48, 48]", "train.batch_size=4", "train.precision=32-true",
    "train.learning_rate=0.01", "augment.brightness=0", "augment.contrast=0",
)  # fmt: skip


def scene(seed):
    """A bright and a dark box on gray ground, and their outlines as two annotators draw them, a pixel apart."""
    rng = np.random.default_rng(seed)
    image, first = rng.normal(120, 6, SIZE), np.zeros(SIZE, bool)
    for value, left in ((70, 4), (-70, 40)):
        row, column = rng.integers(6, 18), left + rng.integers(0, 8)
        stop_row, stop_column = row + rng.integers(24, 36), column + rng.integers(12, 20)
        image[row:stop_row, column:stop_column] += value
        first[row:stop_row, column:stop_column] = True
        first[row + 1 : stop_row - 1, column + 1 : stop_column - 1] = False
    return image.clip(0, 255).astype(np.uint8), first, np.roll(first, 1, axis=1)


def write(root):
    for split, count in (("train", 8), ("val", 3)):
        for number in range(count):
            image, *annotators = scene(number + (100 if split == "val" else 0))
            folder = root / "groundTruth" / split / f"{split}{number}"
            for path in (root / "images" / split, folder):
                path.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(root / "images" / split / f"{split}{number}.png")
            for person, marked in enumerate(annotators):
                Image.fromarray(marked).save(folder / f"{person}.png")
    return root


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The data, the run, and what training returned."""
    root = tmp_path_factory.mktemp("edges")
    data, shown = write(root / "data"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("atrous.verbs.train.write_summary", _watch(shown))
        trained = train(data, task="edges", out=root / "run", epochs=12, settings=SMALL, progress=False)
    return data, root / "run", trained, shown


def _watch(shown):
    from atrous.verbs.summary import write_summary

    def write_and_keep(run, dataset, split, result, outcome, examples):
        shown.extend(examples)
        write_summary(run, dataset, split, result, outcome, examples)

    return write_and_keep


def test_edges_are_learned_and_measured(learned):
    data, run, trained, _ = learned
    assert "edges of 2 annotators an image" in check(data, task="edges").text()
    values = trained.scores.values
    assert list(values)[:3] == ["ods", "ois", "ap"]
    assert values["ods"] > 0.7
    assert trained.run.recipe.model.name == "hed"
    assert "at 13 thresholds" in trained.scores.conventions
    again = evaluate(run, data).scores
    assert "at 99 thresholds" in again.conventions
    assert again.values["ods"] == pytest.approx(values["ods"], abs=0.05)
    assert json.loads((run / "scores.json").read_text())["ods"] == values["ods"]
    assert evaluate(run, data, tta="flip").scores.values["ods"] > 0.6


def test_the_command_line_prints_the_metrics(learned, monkeypatch, capsys):
    data, run, _, _ = learned
    monkeypatch.setattr(sys, "argv", ["atrous", "evaluate", str(run), str(data), "--json"])
    with pytest.raises(SystemExit) as stopped:
        main.run()
    assert stopped.value.code in (0, None)
    facts = json.loads(capsys.readouterr().out)
    assert facts["ods"] == evaluate(run, data).scores.values["ods"]
    assert {"ois", "ap", "ods_threshold"} <= set(facts)


def test_the_report_shows_edges_that_were_found_missed_and_invented(learned):
    _, run, trained, shown = learned
    assert [type(example) for example in shown] == [Example] * len(shown)
    assert {example.kind for example in shown} == {"best", "worst"}
    for example in shown:
        assert example.palette is PALETTE
        captions = list(example.pictures)
        assert captions[:3] == ["input", "edges", "truth"]
        judged = example.pictures[captions[3]]
        colors = {tuple(color) for color in judged.reshape(-1, 3)}
        assert colors <= set(PALETTE)
        assert PALETTE[1] in colors
    page = (run / "report.html").read_text(encoding="utf-8")
    assert f"edges at the threshold {trained.scores.values['ods_threshold']:.2f}" in page
    assert "invented" in page


def test_what_is_found_where_nothing_is_known_is_not_shown_as_invented():
    strength, truth = np.zeros((20, 40)), np.zeros((1, 20, 40), np.uint8)
    strength[10] = truth[0, 10] = 1
    truth[0, :, 20:], truth[0, 10, :5] = IGNORE, 0
    judged = judged_edges(strength, truth, EdgeTask.build({"dice": 0, "options": {"max_distance": 0}}), 0.5)
    assert judged[10].tolist() == [3] * 5 + [1] * 15 + [0] * 20


def test_strengths_are_written_and_score_as_the_evaluation_says(learned, tmp_path):
    data, run, _, _ = learned
    done = predict(run, [data / "images" / "val"], tmp_path / "out", PredictOptions(overlay=True, thin=True))
    assert not done.failed, done.failed
    names = sorted(path.name for path in (tmp_path / "out").rglob("*.*"))
    assert names[:3] == ["val0.tif", "val0_overlay.png", "val0_thin.png"]
    for path in (tmp_path / "out").rglob("*.tif"):
        (tmp_path / "edges").mkdir(exist_ok=True)
        path.rename(tmp_path / "edges" / path.name)
    found = score_edges(tmp_path / "edges", data / "groundTruth" / "val", EdgeOptions(nms=True)).scores
    assert found.best.f == pytest.approx(evaluate(run, data).scores.values["ods"], abs=1e-6)
    values = load(run).predict(data / "images" / "val" / "val0.png").values
    assert values.shape == (1, *SIZE)
    assert 0 <= values.min() < values.max() <= 1
    thin = np.asarray(Image.open(next((tmp_path / "out").rglob("val0_thin.png"))))
    np.testing.assert_array_equal(thin, np.rint(255 * suppress(values[0])))


@pytest.mark.slow
def test_streamed_equals_whole(learned):
    _, run, _, _ = learned
    rows = [np.concatenate([scene(number)[0] for number in range(k, k + 3)], axis=1) for k in range(4)]
    image = np.concatenate(rows)
    whole = load(run).predict(image).values
    streamed = load(run, memory="20MB")
    assert streamed.plan((1, *image.shape)) is not None
    np.testing.assert_allclose(streamed.predict(image).values, whole, atol=2e-5)


def test_thin_edges_are_for_edges(trained, tmp_path):
    with pytest.raises(UserError, match="--thin is for edges"):
        predict(trained, [tmp_path], tmp_path / "out", PredictOptions(thin=True))


def test_a_quick_validation_looks_at_some_images_evenly_spread():
    names = tuple("abcdefghij")
    images = tuple(np.full((1, 10, 10), number, np.uint8) for number in range(10))
    decoded = Decoded(names, images, images, ({},) * 10, Edges)
    few = _few(decoded, 310)
    assert few.names == ("a", "e", "j")
    assert [int(image.max()) for image in few.images] == [0, 4, 9]
    assert few.values == few.images
    assert _few(decoded, None) is decoded is _few(decoded, 1000)
    assert _few(decoded, 1).names == ("a",)
