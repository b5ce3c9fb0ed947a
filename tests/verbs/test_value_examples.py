"""What the report shows of numbers: the best and the worst, before and after with a slider."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from atrous.verbs.train import train

SMALL = ("model.width=4", "train.crop=[24, 24]", "train.batch_size=2", "train.validations=1")


@pytest.mark.parametrize(("task", "settings"), [("denoise", []), ("super-resolution", ["task.scale=2"])])
def test_restorations_have_a_slider(tmp_path, task, settings):
    (tmp_path / "data").mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(tmp_path / "data" / f"{number}.png")
    done = train(
        tmp_path / "data", task=task, epochs=1, settings=[*SMALL, *settings], out=tmp_path / "run", progress=False
    )
    page = (done.run.folder / "report.html").read_text(encoding="utf-8")
    assert " data-compared>" in page
    for caption in ("input", "answer", "truth", "error (white:"):
        assert f"<figcaption>{caption}" in page
    assert "psnr of this image" in page


def test_numbers_are_shown_without_one(tmp_path):
    for name in ("images", "depth"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for number in range(4):
        values = np.random.default_rng(number).normal(size=(40, 48)).astype(np.float32)
        values[:4] = np.nan
        Image.fromarray(np.full((40, 48), 50 * number, np.uint8)).save(tmp_path / "data/images" / f"{number}.png")
        tifffile.imwrite(tmp_path / "data/depth" / f"{number}.tif", values)
    small = ["model.depth=10", "model.encoder_width=8", "model.width=8", "train.validations=1"]
    train(tmp_path / "data", task="regression", epochs=1, settings=small, out=tmp_path / "run", progress=False)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert " data-compared>" not in page
    assert "mae of this image" in page
