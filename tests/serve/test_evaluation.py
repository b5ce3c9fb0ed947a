"""What a run says of its evaluation: its worst samples with their true labels, the confusion, and the report."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from atrous.prediction.predictor import load
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.viewer import Viewer
from atrous.verbs.evaluate import open_split

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from atrous.serve.app import create_app

TOKEN = "a-token-of-24-letters"


def client_of(run, files, cache):
    predictor = load(run)
    viewer = Viewer(find_files(files, predictor, print), CacheFolder(cache), predictor)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    app = create_app(viewer, TOKEN, frozenset({"127.0.0.1"}))
    return TestClient(app, base_url="http://127.0.0.1", headers=headers)


@pytest.fixture(scope="module")
def client(trained, digits, tmp_path_factory):
    """A server that has opened one of the images of validation, and one that had no part in it."""
    shown = [sorted((digits / "images" / split).iterdir())[0] for split in ("test", "val")]
    with client_of(trained, shown, tmp_path_factory.mktemp("cache")) as client:
        yield client


def test_the_worst_samples_are_listed_and_opened(client, trained, digits):
    assert client.get("/api/inputs/0").json()["truth"] is False
    assert client.get("/api/inputs/0/truth").status_code == 404
    found = client.get("/api/evaluation").json()
    scores = json.loads((trained / "scores.json").read_text())
    assert (found["split"], found["metric"], found["problem"], found["report"]) == ("val", "miou", "", True)
    assert found["confusion"] == scores["confusion"]
    assert found["metrics"]["pixel_accuracy"] == scores["pixel_accuracy"]
    values = [one["value"] for one in found["worst"]]
    assert len(values) == 3
    assert values == sorted(values)
    opened = {one["name"]: one["input"] for one in found["worst"]}
    assert sorted(opened.values()) == [1, 2, 3]  # the one that was open keeps its number
    assert client.get("/api/inputs").json()["total"] == 4
    first = sorted((digits / "images" / "val").iterdir())[0]
    assert opened[next(name for name in opened if name.endswith(first.stem))] == 1
    assert client.get("/api/evaluation").json() == found


def test_the_true_labels_are_those_of_the_data_set(client, trained):
    worst = client.get("/api/evaluation").json()["worst"][0]
    number = worst["input"]
    assert client.get(f"/api/inputs/{number}").json()["truth"] is True
    _, samples = open_split(load(trained), None, None, "val")
    want = next(sample for sample in samples if sample.name == worst["name"]).target.read()
    facts = client.get(f"/api/inputs/{number}/truth").json()
    assert (facts["size"], facts["complete"], facts["planes"]) == ([64, 64], True, [[[64, 64]]])
    tile = client.get(f"/api/inputs/{number}/truth/0/0/0?raw=true")
    assert tile.headers["Atrous-Exact"] == "true"
    np.testing.assert_array_equal(np.frombuffer(tile.content, np.uint8).reshape(64, 64), want)
    assert client.get(f"/api/inputs/{number}/truth/1/0/0").status_code == 404
    shown = client.get(f"/api/inputs/{number}/tiles/0/0/0")
    assert shown.status_code == 200


def test_the_report_runs_no_script(client, trained):
    answer = client.get("/api/report")
    assert answer.text == (trained / "report.html").read_text()
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert client.get("/api/report", headers={"Authorization": ""}).status_code == 401


@pytest.fixture
def copy(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "run", [tmp_path / "a.png"], tmp_path / "cache"


def change(run, **facts):
    scores = json.loads((run / "scores.json").read_text())
    (run / "scores.json").write_text(json.dumps({key: value for key, value in (scores | facts).items() if value != ""}))


def test_data_that_are_gone_and_runs_of_earlier_versions_are_said(copy, tmp_path):
    change(copy[0], split="nowhere")
    with client_of(*copy) as client:
        found = client.get("/api/evaluation").json()
    assert "no split 'nowhere'" in found["problem"]
    assert [one["input"] for one in found["worst"]] == [None] * 3
    change(copy[0], ranking="", metric="")
    with client_of(*copy) as client:
        found = client.get("/api/evaluation").json()
    assert (found["worst"], found["metric"]) == ([], "")
    assert "an earlier version" in found["problem"]


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_run_without_an_evaluation_is_said(copy, content):
    (copy[0] / "scores.json").unlink()
    (copy[0] / "report.html").unlink()
    if content is not None:
        (copy[0] / "scores.json").write_text(content)
    with client_of(*copy) as client:
        answer = client.get("/api/evaluation")
        assert answer.status_code == 422
        assert ("is damaged" if content else "was not evaluated") in answer.json()["detail"]
        assert client.get("/api/report").status_code == 422


def test_without_a_network_there_is_no_evaluation(copy):
    viewer = Viewer(find_files(copy[1], None, print), CacheFolder(copy[2]))
    app = create_app(viewer, TOKEN, frozenset({"127.0.0.1"}))
    with TestClient(app, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        assert client.get("/api/evaluation").status_code == 422
        assert client.get("/api/inputs/0/truth").status_code == 404
