"""The demo from end to end, with a training of a few seconds and a small large image."""

import json

import pytest

from atrous.demo import run as module
from atrous.demo.run import Demo, demo
from atrous.errors import UserError
from atrous.recipe.schema import read_recipe


@pytest.mark.slow
def test_the_demo_makes_data_trains_and_predicts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGE", 512)
    lines: list[str] = []
    result = demo(tmp_path, minutes=0.05, say=lines.append)
    assert result.data == tmp_path / "demo-data"
    assert (result.data / "dataset.toml").is_file()
    for part in ("report.html", "scores-test.json", "pictures/large.png", "pictures/labels/large.png"):
        assert (result.run / part).is_file(), part
    assert json.loads((result.run / "scores-test.json").read_text())["miou"] == pytest.approx(result.miou)
    assert 0 < result.large_miou <= 1
    page = (result.run / "report.html").read_text()
    assert "48 test scenes" in page
    assert "One scene of 512 x 512 pixels" in page
    assert f"{result.miou:.3f}" in page[page.index('id="further"') :]
    assert read_recipe(result.run / "recipe.toml").train.least_steps == 22
    assert list(result.seconds) == ["data", "check", "train", "evaluate", "predict"]
    assert [line.strip()[:3] for line in lines if line.strip()[1:3] == "/5"] == ["1/5", "2/5", "3/5", "4/5", "5/5"]


@pytest.mark.parametrize("name", ["demo", "demo-data"])
def test_nothing_is_overwritten(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=f"{name}: exists already"):
        demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_result_is_json(tmp_path):
    result = Demo(tmp_path / "data", tmp_path / "run", 0.5, 0.25, {"train": 1.26})
    content = json.loads(json.dumps(result.to_dict()))
    assert content == {
        "data": str(tmp_path / "data"),
        "run": str(tmp_path / "run"),
        "miou": 0.5,
        "large_miou": 0.25,
        "seconds": {"train": 1.3},
    }
