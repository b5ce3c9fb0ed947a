"""Painting over HTTP: strokes are in the mask on the disk when the answer comes, and weights come to the labels."""

import json
import signal
import subprocess
import sys

import httpx
import nibabel
import numpy as np
import pytest
from PIL import Image

from atrous.data.formats import read_values
from atrous.labels import IGNORE
from atrous.prediction.predictor import load
from atrous.recipe.run import open_run
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.paint_folder import PaintedFolder, live_folder
from atrous.serve.paint_session import PaintSession
from atrous.serve.viewer import Viewer
from atrous.verbs.evaluate import evaluate
from benchmarks.crashes import make_grid_run

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from atrous.serve.app import create_app

TOKEN = "a-token-of-24-letters"
RNG = np.random.default_rng(0)
CLASSES = {"classes": [{"name": "ground", "color": "102030"}, {"name": "cell", "color": "ff0000"}]}
STOPS = [sys.executable, "-c", "import sys; sys.stdin.readline()"]
"""In place of a training: a process that waits for one line."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in")
    for name in ("a", "b"):
        Image.fromarray(RNG.integers(0, 256, (48, 64)).astype(np.uint8)).save(folder / f"{name}.png")
    volume = nibabel.Nifti1Image(RNG.integers(0, 256, (50, 40, 12)).astype(np.uint8), np.eye(4))
    nibabel.save(volume, folder / "c.nii")
    return folder


class Painting:
    """A client, its session, and where it paints."""

    def __init__(self, folder, tmp_path, monkeypatch, run=None):
        monkeypatch.setattr("atrous.serve.paint_session.training_command", lambda *arguments: STOPS)
        predictor = None if run is None else load(run)
        viewer = Viewer(find_files([folder], predictor, print), CacheFolder(tmp_path / "cache"), predictor)
        self.root = tmp_path / "painted"
        self.session = PaintSession(self.root, viewer, start=run, runs=tmp_path / "runs")
        app = create_app(viewer, TOKEN, frozenset({"127.0.0.1"}), painting=self.session)
        self.client = TestClient(app, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {TOKEN}"})

    def get(self, path, code=200, **options):
        return self._answer(self.client.get(f"/api/paint{path}", **options), code)

    def post(self, path, code=200, **body):
        return self._answer(self.client.post(f"/api/paint{path}", json=body), code)

    def _answer(self, answer, code):
        assert answer.status_code == code, answer.text
        return answer.json()

    def box(self, number, label, top, left, bottom, right, **more):
        return self.post(
            f"/inputs/{number}/strokes", kind="box", label=label, points=[[top, left], [bottom, right]], **more
        )


@pytest.fixture
def painting(folder, tmp_path, monkeypatch):
    one = Painting(folder, tmp_path, monkeypatch)
    with one.client:
        yield one


@pytest.fixture
def classed(painting):
    painting.client.put("/api/paint/classes", json=CLASSES)
    return painting


def test_classes_are_named(painting):
    assert painting.get("") == {
        "open": True, "can_begin": False, "folder": "painted", "classes": [], "counts": [],
    }  # fmt: skip
    answer = painting.client.put("/api/paint/classes", json=CLASSES).json()
    assert answer["classes"] == CLASSES["classes"]
    assert (painting.root / "dataset.toml").exists()
    twice = {"classes": [CLASSES["classes"][0]] * 2}
    assert "its own" in painting.client.put("/api/paint/classes", json=twice).json()["detail"]
    assert (
        painting.client.put("/api/paint/classes", json={"classes": [{"name": "a", "color": "red"}]}).status_code == 422
    )


def test_a_stroke_is_on_the_disk_when_the_answer_comes(classed):
    facts = classed.box(0, 1, 2, 3, 10, 9)
    assert (facts["revision"], facts["counts"], facts["can_undo"], facts["can_redo"]) == (1, [0, 48], True, False)
    mask = read_values(classed.root / "masks" / "a.png")
    assert (mask[2:10, 3:9] == 1).all()
    assert np.count_nonzero(mask != IGNORE) == 48
    classed.post("/inputs/0/strokes", kind="brush", label=0, points=[[20.5, 20.5], [20.5, 40.5]], radius=1.0)
    classed.post("/inputs/0/strokes", kind="brush", label=None, points=[[3.5, 4.5]], radius=0.5)
    mask = read_values(classed.root / "masks" / "a.png")
    assert mask[20, 30] == 0
    assert mask[3, 4] == IGNORE
    assert classed.post("/inputs/0/undo")["counts"][1] == 48
    assert classed.post("/inputs/0/redo")["counts"][1] == 47
    assert classed.get("")["counts"] == classed.get("/inputs/0")["counts"]


def test_tiles_of_the_mask(classed):
    classed.box(0, 1, 2, 3, 10, 9)
    answer = classed.client.get("/api/paint/inputs/0/mask/0/0/0")
    assert answer.headers["Atrous-Revision"] == "1"
    tile = np.frombuffer(answer.content, np.uint8).reshape(48, 64)
    np.testing.assert_array_equal(tile, read_values(classed.root / "masks" / "a.png"))
    assert classed.client.get("/api/paint/inputs/0/mask/3/0/0").status_code == 404
    assert classed.client.get("/api/paint/inputs/7").status_code == 404


def test_planes_of_a_volume_are_painted(classed):
    facts = classed.box(2, 1, 4, 5, 10, 20, axis=1, index=30)
    assert facts["planes"] == [[[40, 50]], [[12, 50]], [[12, 40]]]
    mask = read_values(classed.root / "masks" / "c.zarr")
    assert (mask[4:10, 30, 5:20] == 1).all()
    assert np.count_nonzero(mask != IGNORE) == 90
    tile = np.frombuffer(classed.client.get("/api/paint/inputs/2/mask/0/0/0?axis=1&index=30").content, np.uint8)
    np.testing.assert_array_equal(tile.reshape(12, 50), mask[:, 30])


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "brush", "label": 2, "points": [[1, 1]]},
        {"kind": "brush", "label": 0, "points": []},
        {"kind": "brush", "label": 0, "points": [[1, 1]] * 3001},
        {"kind": "brush", "label": 0, "points": [[1, "x"]]},
        {"kind": "brush", "label": 0, "points": [[1, 1]], "radius": 1e9},
        {"kind": "polygon", "label": 0, "points": [[1, 1], [2, 2]]},
        {"kind": "spray", "label": 0, "points": [[1, 1]]},
        {"kind": "fill", "label": 0, "points": [[-5, 1]]},
        {"kind": "box", "label": 254, "points": [[1, 1], [2, 2]]},
    ],
)
def test_wrong_strokes_are_refused_and_change_nothing(classed, body):
    answer = classed.client.post("/api/paint/inputs/0/strokes", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert not (classed.root / "masks").exists()


def test_without_a_class_nothing_is_painted(painting):
    assert "class 0" in painting.post("/inputs/0/strokes", 422, kind="brush", label=0, points=[[1, 1]])["detail"]
    assert not painting.root.exists()


def test_a_server_without_painting_says_so(folder, tmp_path):
    viewer = Viewer(find_files([folder], None, print), CacheFolder(tmp_path / "cache"))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(
        create_app(viewer, TOKEN, frozenset({"127.0.0.1"})), base_url="http://127.0.0.1", headers=headers
    ) as client:
        assert client.get("/api/paint").json()["open"] is False
        assert client.post("/api/paint/inputs/0/undo").status_code in (404, 405)


def test_training_starts_with_two_classes_and_stops(classed):
    classed.box(0, 1, 2, 3, 10, 9)
    assert "two classes" in classed.post("/training", 422)["detail"]
    classed.box(1, 0, 2, 3, 10, 9)
    assert classed.post("/training")["state"] == "starting"
    assert classed.client.post("/api/paint/training?on=false").json()["state"] in ("stopping", "off")
    assert "no network" in classed.post("/save", 422, name="a")["detail"]
    assert "no network" in classed.get("/inputs/0/where", 422)["detail"]


@pytest.fixture
def learned(classed):
    """As a training leaves it: weights in the folder of the run in training."""
    make_grid_run(live_folder(classed.root), ndim=2, task={"classes": ["ground", "cell"]})
    for number in (0, 1):
        classed.box(number, 0, 0, 0, 20, 20)
        classed.box(number, 1, 30, 30, 40, 40)
    return classed


def test_new_weights_label_the_view(learned, folder):
    client = learned.client
    assert client.get("/api/run").json()["name"] is None
    learned.session.take_weights()
    run = client.get("/api/run").json()
    assert (run["name"], run["version"]) == ("live", 1)
    found = np.frombuffer(client.get("/api/inputs/0/labels/0/0/0?raw=true").content, np.uint8).reshape(48, 64)
    np.testing.assert_array_equal(found, load(live_folder(learned.root)).predict(folder / "a.png").labels)
    for _ in range(3):
        learned.session.take_weights()
        assert client.get("/api/inputs/0/labels/0/0/0?raw=true").status_code == 200
    assert client.get("/api/paint/training").json()["version"] == 4


def test_uncertain_places_are_offered(learned):
    learned.session.take_weights()
    places = learned.get("/inputs/0/where?count=3")
    assert 1 <= len(places) <= 3
    assert all(0 <= one["row"] < 48 and 0 <= one["column"] < 64 and 0 < one["uncertainty"] <= 1 for one in places)
    doubts = [one["uncertainty"] for one in places]
    assert doubts == sorted(doubts, reverse=True)
    inside = learned.get("/inputs/0/where?top=20&left=30&bottom=48&right=64&count=2")
    assert all(one["row"] >= 20 and one["column"] >= 30 for one in inside)


def test_a_saved_run_is_evaluated(learned, tmp_path):
    learned.session.take_weights()
    (live_folder(learned.root) / "metrics.csv").write_text("step,seconds,split\n9,60,train\n20,150,val\n")
    folder = learned.post("/save", name="mine")["folder"]
    assert folder == str(tmp_path / "runs" / "mine")
    run = open_run(folder)
    assert (run.recipe.data.train, run.recipe.data.val) == ("train", "val")
    assert run.recipe.train.minutes == 2.5  # of the trainings before this server was started
    assert "exists already" in learned.post("/save", 422, name="mine")["detail"]
    for name in ("../x", "a/b", "", ".x"):
        assert learned.client.post("/api/paint/save", json={"name": name}).status_code == 422
    measured = evaluate(folder, learned.root, split="all").scores
    assert measured.classes == ("ground", "cell")


def test_painting_with_a_run_begins_with_its_classes(folder, tmp_path, monkeypatch):
    make_grid_run(tmp_path / "run", ndim=2)
    one = Painting(folder / "a.png", tmp_path, monkeypatch, tmp_path / "run")
    with one.client:
        classes = one.get("")["classes"]
    assert [each["name"] for each in classes] == list(open_run(tmp_path / "run").recipe.task.classes)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_a_killed_server_has_lost_no_stroke(folder, tmp_path):
    words = ["serve", str(folder), "--paint", str(tmp_path / "painted"), "--no-browser", "--port", "0", "--json"]
    command = [sys.executable, "-m", "atrous", *words, "--cache", str(tmp_path / "cache")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with server:
        facts = json.loads(server.stdout.readline())
        headers = {"Authorization": f"Bearer {facts['token']}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{facts['port']}/api/paint/", headers=headers) as client:
            client.put("classes", json=CLASSES)
            stroke = {"kind": "box", "label": 1, "points": [[2, 3], [10, 9]]}
            assert client.post("inputs/0/strokes", json=stroke).json()["counts"] == [0, 48]
        server.kill()
        server.wait()
    assert np.count_nonzero(read_values(tmp_path / "painted" / "masks" / "a.png") == 1) == 48
    again = PaintedFolder(tmp_path / "painted")  # the lock went with the process
    assert again.counts()[1] == 48
    again.close()
