"""Style transfer through the verbs, with a tiny random encoder: training, evaluation, pictures, a moved run."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import atrous
from atrous.cli.main import app
from atrous.errors import UserError
from atrous.verbs.style import optimize_style
from atrous.verbs.train import train

SMALL = ["model.width=4", "train.crop=[32, 32]", "train.batch_size=2", "train.validations=1"]


class TinyEncoder(nn.Module):
    """Two maps of a picture, by random weights that are always the same."""

    content_maps, style_maps = (1,), (0, 1)

    def __init__(self):
        super().__init__()
        state = torch.random.get_rng_state()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        torch.random.set_rng_state(state)
        self.requires_grad_(False)

    def forward(self, x):
        first = torch.relu(self.first((x - 127) / 64))
        return [first, torch.relu(self.second(first))]


@pytest.fixture(autouse=True)
def tiny_encoder(monkeypatch):
    monkeypatch.setattr("atrous.recipe.style_picture.Activations", TinyEncoder)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("style")
    rng = np.random.default_rng(0)
    (root / "photos").mkdir()
    for number in range(5):
        rough = rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)
        Image.fromarray(rough).resize((60, 48), Image.Resampling.BICUBIC).save(root / "photos" / f"{number}.png")
    stripes = np.where((np.arange(80) // 4 % 2 == 0)[:, None, None], [250, 200, 20], [10, 30, 120])
    Image.fromarray(np.broadcast_to(stripes, (80, 80, 3)).astype(np.uint8)).save(root / "stripes.png")
    return root


@pytest.fixture(scope="module")
def painted(photos, tmp_path_factory):
    """A run, moved away from where it was trained, whose original picture of the style is gone."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("atrous.recipe.style_picture.Activations", TinyEncoder)
        style = photos / "copy.png"
        shutil.copyfile(photos / "stripes.png", style)
        seen = []
        done = train(
            photos / "photos", task="style", epochs=12, out=tmp_path_factory.mktemp("runs") / "run", progress=False,
            settings=[*SMALL, f"task.style={style}"], on_step=lambda values: seen.append(values["loss"]),
            say=lambda text: None,
        )  # fmt: skip
        style.unlink()
        moved = tmp_path_factory.mktemp("moved") / "elsewhere"
        shutil.move(done.run.folder, moved)
        return moved, done.scores


def test_a_run_keeps_its_style_and_its_report_shows_it(painted):
    run, scores = painted
    assert (run / "style.png").exists()
    assert 'style = "style.png"' in (run / "recipe.toml").read_text()
    page = (run / "report.html").read_text(encoding="utf-8")
    assert " data-compared>" in page
    for caption in ("input", "answer", "style"):
        assert f"<figcaption>{caption}" in page
    assert set(scores.watched()) == {"perceptual_loss", "content_loss", "style_loss"}


def test_a_moved_run_is_evaluated(painted, photos):
    run, scores = painted
    done = CliRunner().invoke(app, ["evaluate", str(run), str(photos / "photos"), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["content_loss"] == pytest.approx(scores.to_dict()["content_loss"], rel=1e-5)
    assert found["style_loss"] == pytest.approx(scores.to_dict()["style_loss"], rel=1e-5)


def test_without_the_picture_it_predicts_but_is_not_measured(painted, photos, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(painted[0], run)
    (run / "style.png").unlink()
    assert atrous.load(run).predict(photos / "photos" / "0.png").values.shape == (3, 48, 60)
    with pytest.raises(UserError, match=r"style\.png: no such file"):
        atrous.evaluate(run, photos / "photos")


def test_pictures_are_written_beside_what_they_were(painted, photos, tmp_path):
    out = tmp_path / "out"
    source = str(photos / "photos" / "0.png")
    done = CliRunner().invoke(app, ["predict", str(painted[0]), source, "-o", str(out), "--overlay"])
    assert done.exit_code == 0, done.output
    picture = np.asarray(Image.open(out / "0.png"))
    assert (picture.shape, picture.dtype) == ((48, 60, 3), np.uint8)
    values = atrous.load(painted[0]).predict(source).values
    assert values.dtype == np.float32
    np.testing.assert_array_equal(picture, np.moveaxis(np.rint(values), 0, -1))
    both = np.asarray(Image.open(out / "0_overlay.png"))
    before = both[2::5, 2 : both.shape[1] // 2 : 5].astype(int)  # enlarged five times, on the scale of 8 bits
    assert np.abs(before - np.asarray(Image.open(source))).mean() < 4


def test_training_lowers_the_loss(painted):
    run, _ = painted
    rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    losses = [float(row[rows[0].index("loss")]) for row in rows[1:] if row[rows[0].index("loss")]]
    assert losses[-1] < losses[0]


def test_a_run_is_followed_and_resumed(painted, photos, tmp_path):
    run, _ = painted
    again = train(recipe=run / "recipe.toml", data=photos / "photos", epochs=1, out=tmp_path / "again", report=False)
    assert (again.run.folder / "style.png").read_bytes() == (run / "style.png").read_bytes()
    resumed = train(photos / "photos", resume=again.run.folder, report=False)
    assert resumed.outcome.step == again.outcome.step


def test_mistakes_are_told_before_anything_is_read(photos, tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "tiny.png")
    for settings, said in (
        ([], "give --set task.style=FILE"),
        ([f"task.style={tmp_path / 'nowhere.png'}"], "no such file"),
        ([f"task.style={tmp_path / 'tiny.png'}"], "20 x 20: a style needs a picture"),
    ):
        with pytest.raises(UserError, match=said):
            train(photos / "photos", task="style", epochs=1, settings=settings, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_gray_style_is_told(photos, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 70), dtype=np.uint8)).save(tmp_path / "gray.png")
    told = []
    train(
        photos / "photos", task="style", epochs=1, settings=[*SMALL, f"task.style={tmp_path / 'gray.png'}"],
        out=tmp_path / "run", say=told.append, progress=False, report=False,
    )  # fmt: skip
    assert any("a gray picture" in line for line in told)


def test_pictures_in_memory(photos, tmp_path):
    images = [np.moveaxis(np.asarray(Image.open(path)), -1, 0) for path in sorted((photos / "photos").glob("*.png"))]
    done = atrous.train(
        (images, images), task="style", epochs=1, out=tmp_path / "run", progress=False, report=False,
        settings=[*SMALL, f"task.style={photos / 'stripes.png'}"],
    )  # fmt: skip
    assert atrous.load(done.run).predict(images[0]).values.shape == (3, 48, 60)


def test_optimizing_pixels_lowers_the_same_loss(painted, photos):
    source, task = photos / "photos" / "0.png", atrous.load(painted[0]).task
    found = optimize_style(source, steps=40, task=task)
    assert found.picture.shape == (3, 48, 60)
    assert 0 <= found.picture.min() <= found.picture.max() <= 255
    assert len(found.history) == 40
    assert found.losses["perceptual_loss"] < 0.5 * found.history[0]
    image = torch.from_numpy(np.moveaxis(np.asarray(Image.open(source)), -1, 0).copy())[None]
    terms = task.terms(torch.from_numpy(found.picture)[None], image)
    assert found.losses["style_loss"] == pytest.approx(float(terms.style), rel=1e-5)


def test_the_blocks_of_the_page_run(tmp_path, monkeypatch):
    page = (Path(__file__).resolve().parents[2] / "docs" / "style.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, {})


def test_what_cannot_be_optimized_is_said(photos):
    style = photos / "stripes.png"
    with pytest.raises(UserError, match="give the style's picture, or a task"):
        optimize_style(style)
    with pytest.raises(UserError, match="give a picture of 8 bits"):
        optimize_style(np.zeros((3, 8, 8)), style)
    gray = optimize_style(np.full((30, 30), 100, np.uint8), style, 1)
    assert gray.picture.shape == (3, 30, 30)
