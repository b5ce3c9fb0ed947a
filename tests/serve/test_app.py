"""The HTTP API: what it says of files, its tiles, and labels that are those of `atrous predict`."""

import io
import re
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
import zarr
from PIL import Image

from atrous.data.formats import LabelSink, read_label
from atrous.prediction.predictor import load
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.viewer import Viewer
from atrous.serve.worker import Busy
from atrous.verbs.predict import predict
from benchmarks.crashes import make_grid_run

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from atrous.serve.app import create_app

TOKEN = "a-token-of-24-letters"
RNG = np.random.default_rng(0)
WIDE = RNG.integers(0, 256, (3, 600, 700)).astype(np.uint8)


def bomb(path):
    """A PNG of a few hundred bytes that declares 200,000 x 200,000 pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("served") / "inputs"
    folder.mkdir()
    scene = sorted((digits / "images" / "test").iterdir())[0]
    (folder / "a.png").write_bytes(scene.read_bytes())
    bomb(folder / "b.png")
    zarr.create_array(folder / "c.zarr", data=WIDE, chunks=(3, 128, 128))
    (folder.parent / "secret.png").write_bytes(scene.read_bytes())
    return folder


def client_of(files, cache, predictor=None, **options):
    viewer = Viewer(find_files(files, predictor, print), CacheFolder(cache), predictor)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    app = create_app(viewer, TOKEN, frozenset({"127.0.0.1"}))
    return TestClient(app, base_url="http://127.0.0.1:8765", headers=headers, **options)


@pytest.fixture(scope="module")
def looking(folder, tmp_path_factory):
    """A server without a network."""
    with client_of([folder], tmp_path_factory.mktemp("cache")) as client:
        yield client


@pytest.fixture(scope="module")
def labeling(folder, tmp_path_factory, trained):
    """A server whose network streams every input."""
    predictor = load(trained, memory="1GB", dtype=torch.float32)
    with client_of([folder], tmp_path_factory.mktemp("cache"), predictor) as client:
        client.want = predictor.predict(folder / "c.zarr", probabilities=True)
        yield client


def picture(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))[..., :3]


def raw(answer, width):
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, np.uint8).reshape(-1, width)


def test_files_are_listed_and_described(looking):
    found = looking.get("/api/inputs").json()
    names = ("a.png", "b.png", "c.zarr")
    assert found == {"total": 3, "inputs": [{"id": number, "name": name} for number, name in enumerate(names)]}
    assert looking.get("/api/inputs?start=2&count=5").json()["inputs"] == [{"id": 2, "name": "c.zarr"}]
    facts = looking.get("/api/inputs/2").json()
    assert (facts["shape"], facts["dtype"], facts["tile"]) == ([3, 600, 700], "uint8", 256)
    assert facts["planes"][0]["levels"] == [[600, 700], [300, 350], [150, 175]]
    assert [channel["color"] for channel in facts["channels"]] == ["ff0000", "00ff00", "0000ff"]
    assert looking.get("/api/run").json()["name"] is None
    assert [channel["name"] for channel in looking.get("/api/inputs/0").json()["channels"]] == ["Red", "Green", "Blue"]


def test_a_scan_is_described_in_millimeters_and_shown_in_its_own_window(tmp_path):
    values = (np.arange(4 * 5 * 6) % 40 + 10).reshape(6, 5, 4).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, 3, 1])), tmp_path / "v.nii")
    with client_of([tmp_path / "v.nii"], tmp_path / "cache") as client:
        facts = client.get("/api/inputs/0").json()
        tile = picture(client.get("/api/inputs/0/tiles/0/0/0?axis=1&index=2"))
    assert (facts["unit"], facts["spacing"]) == ("mm", [3, 1, 1])
    assert [plane["count"] for plane in facts["planes"]] == [4, 5, 6]
    assert facts["planes"][1]["levels"] == [[12, 6]]
    assert (facts["channels"][0]["low"], facts["channels"][0]["high"]) == (12, 48)  # of its middle slice
    want = np.clip((values[:, 2].T.astype(float) - 12) / 36, 0, 1) * 255  # (slices, columns)
    assert np.abs(tile[1::3, :, 0] - want).max() <= 1


def test_tiles_show_the_image(looking):
    tile = picture(looking.get("/api/inputs/2/tiles/0/1/2"))
    np.testing.assert_array_equal(tile, np.moveaxis(WIDE[:, 256:512, 512:], 0, -1))
    small = picture(looking.get("/api/inputs/2/tiles/1/0/0"))
    want = WIDE.reshape(3, 300, 2, 350, 2).mean((2, 4))[:, :256, :256]
    assert np.abs(np.moveaxis(small, -1, 0) - want).max() <= 1
    gray = picture(looking.get("/api/inputs/2/tiles/0/0/0", params={"channels": "1:0:255:ffffff"}))
    np.testing.assert_array_equal(gray[..., 2], WIDE[1, :256, :256])
    assert looking.get("/api/inputs/2/progress").json() == 1


def test_the_value_of_a_position(looking):
    found = looking.get("/api/inputs/2/value?row=5&column=7").json()
    assert found == {"position": [5, 7], "values": WIDE[:, 5, 7].tolist()}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("inputs/3", 404), ("inputs/-1", 422), ("inputs/x", 422), ("inputs/2/tiles/9/0/0", 404),
        ("inputs/2/tiles/0/9/0", 404), ("inputs/2/tiles/0/0/0?channels=7:0:1:ffffff", 422),
        ("inputs/2/tiles/0/0/0?channels=nonsense", 422), ("inputs/2/value?row=600&column=0", 422),
        ("inputs/2/tiles/0/0/0?axis=1", 422), ("inputs/2/labels", 422), ("inputs/99999999999999999999", 422),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(looking, path, code):
    answer = looking.get(f"/api/{path}")
    assert answer.status_code == code
    assert answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_a_bomb_is_refused_without_being_decoded(looking):
    for path in ("inputs/1", "inputs/1/tiles/0/0/0", "inputs/1/value?row=0&column=0"):
        answer = looking.get(f"/api/{path}")
        assert answer.status_code == 422
        assert "200000 x 200000" in answer.json()["detail"]


def test_other_files_are_out_of_reach(looking, folder):
    assert (folder.parent / "secret.png").exists()
    for path in (
        "/api/inputs/../../secret.png", "/api/inputs/..%2F..%2Fsecret.png", "/api/inputs/%2e%2e/secret.png/value",
        "/../secret.png", "/..%2f..%2fsecret.png", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/..\\secret.png",
    ):  # fmt: skip
        answer = looking.get(path)
        assert answer.status_code in (404, 422), path
        assert b"PNG" not in answer.content


def test_a_link_out_of_the_folder_is_refused_even_when_it_is_made_later(folder, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes((folder / "a.png").read_bytes())
    with client_of([tmp_path / "in"], tmp_path / "cache") as client:
        (tmp_path / "in" / "a.png").unlink()
        (tmp_path / "in" / "a.png").symlink_to(folder.parent / "secret.png")
        answer = client.get("/api/inputs/0/tiles/0/0/0")
    assert answer.status_code == 422
    assert "link that leaves" in answer.json()["detail"]


def test_requests_from_elsewhere_are_refused(looking):
    path = "/api/inputs/0"
    assert looking.get(path, headers={"Host": "evil.example:8765"}).status_code == 421
    assert looking.get(path, headers={"Origin": "http://evil.example"}).status_code == 403
    assert looking.get(path, headers={"Authorization": ""}).status_code == 401
    assert looking.post(f"{path}/view", content=bytes(10**6)).status_code == 413
    answer = looking.get(path, headers={"Origin": "http://127.0.0.1:8765"})
    assert answer.status_code == 200
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_a_bug_shows_nothing_to_the_client(folder, tmp_path, monkeypatch):
    def fail(*arguments):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("atrous.serve.app.input_facts", fail)
    with client_of([folder], tmp_path, raise_server_exceptions=False) as client:
        answer = client.get("/api/inputs/0")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_the_api_describes_itself(looking):
    paths = looking.get("/api/openapi.json").json()["paths"]
    assert "/api/inputs/{number}/labels/{level}/{row}/{column}" in paths
    assert all(method.get("description") for path in paths.values() for method in path.values())
    assert {"/api/inputs/{number}/curves", "/api/inputs/{number}/features", "/api/evaluation"} <= set(paths)
    given = [one for path in paths.values() for method in path.values() for one in method.get("parameters", [])]
    assert [one["name"] for one in given if not one.get("description")] == []


def test_label_tiles_are_those_of_the_whole_image(labeling):
    labels = labeling.want.labels
    found = raw(labeling.get("/api/inputs/2/labels/0/1/1?raw=true"), 256)
    np.testing.assert_array_equal(found, labels[256:512, 256:512])
    answer = labeling.get("/api/inputs/2/labels/1/0/1?raw=true")
    assert answer.headers["Atrous-Exact"] == "true"
    np.testing.assert_array_equal(raw(answer, 350 - 256), labels[1:512:2, 513::2])
    colors = np.array(load_palette(labeling))
    shown = picture(labeling.get("/api/inputs/2/labels/0/1/1"))
    np.testing.assert_array_equal(shown, colors[labels[256:512, 256:512]])


def load_palette(client):
    classes = client.get("/api/run").json()["classes"]
    return [tuple(bytes.fromhex(one["color"])) for one in classes]


def test_the_probability_of_a_position(labeling):
    found = labeling.get("/api/inputs/2/probability?row=599&column=3").json()
    want = labeling.want.probabilities[:, 599, 3]
    np.testing.assert_allclose(found["probabilities"], want, atol=1e-4)
    assert found["label"] == int(want.argmax())
    assert labeling.get("/api/inputs/2/probability?row=600&column=3").status_code == 422


def test_a_preview_covers_the_view(labeling):
    answer = labeling.get("/api/inputs/2/preview?top=10&left=20&bottom=200&right=320")
    assert (answer.headers["Atrous-Height"], answer.headers["Atrous-Width"]) == ("190", "300")
    found, want = raw(answer, 300), labeling.want.labels[10:200, 20:320]
    assert (found == want).mean() > 0.5


def until(client, path, holds, seconds=60):
    begin = time.monotonic()
    while not holds(facts := client.get(path).json()):
        assert time.monotonic() - begin < seconds, facts
        time.sleep(0.02)
    return facts


def test_the_view_is_computed_and_then_the_rest(folder, tmp_path, trained):
    """What was computed by views, and what fills the rest, is the answer of the whole image."""
    predictor = load(trained, memory="1GB", dtype=torch.float32)
    want = predictor.predict(folder / "c.zarr").labels
    path = "/api/inputs/2/labels"
    with client_of([folder], tmp_path, predictor) as client:
        assert client.get(f"{path}/0/0/0?exact=false").status_code == 204
        until(client, path, lambda facts: facts["size"] == [600, 700])
        box = {"top": 300, "left": 200, "bottom": 380, "right": 300}
        assert client.post("/api/inputs/2/view", json=box).status_code == 200
        facts = until(client, path, lambda facts: facts["known"] > 0)
        assert 0 < facts["known"] < 0.5
        known = client.get(f"{path}/0/1/0?exact=false&raw=true")
        assert known.headers["Atrous-Exact"] == "false"
        tile = raw(known, 256)
        assert set(tile[:, :128].ravel()) == {254}
        np.testing.assert_array_equal(tile[:128, 128:], want[256:384, 128:256])
        assert client.get("/api/inputs/2/labels.png").status_code == 422
        client.post("/api/inputs/2/fill")
        until(client, path, lambda facts: facts["known"] == 1 and not facts["filling"])
        for suffix in (".png", ".tif"):
            answer = client.get(f"/api/inputs/2/labels{suffix}")
            assert f'filename="c_labels{suffix}"' in answer.headers["content-disposition"]
            (tmp_path / f"saved{suffix}").write_bytes(answer.content)
            np.testing.assert_array_equal(read_label(tmp_path / f"saved{suffix}"), want)


def test_the_page_says_what_predict_writes(folder, tmp_path, trained, labeling):
    """A small image, in the arithmetic of the run, as the command line labels it: equal to the last label."""
    predict(trained, [folder / "a.png"], tmp_path / "out")
    want = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    with client_of([folder / "a.png"], tmp_path / "cache", load(trained)) as client:
        found = raw(client.get("/api/inputs/0/labels/0/0/0?raw=true"), want.shape[1])
        np.testing.assert_array_equal(found, want)
        best = client.get("/api/inputs/0/probability?row=30&column=40").json()
    assert best["label"] == want[30, 40]


@pytest.mark.slow
def test_planes_of_a_volume_are_labeled(tmp_path):
    make_grid_run(tmp_path / "run", ndim=3)
    np.save(tmp_path / "v.npy", RNG.integers(0, 256, (40, 48, 56)).astype(np.uint8))
    predictor = load(tmp_path / "run", memory="1GB", dtype=torch.float32)
    want = predictor.predict(tmp_path / "v.npy").labels
    with client_of([tmp_path / "v.npy"], tmp_path / "cache", predictor) as client:
        for axis, index in ((0, 7), (1, 47), (2, 20)):
            answer = client.get(f"/api/inputs/0/labels/0/0/0?raw=true&axis={axis}&index={index}")
            np.testing.assert_array_equal(raw(answer, 48 if axis == 2 else 56), want.take(index, axis))
        found = client.get("/api/inputs/0/probability?axis=1&index=47&row=3&column=5").json()
        assert (found["position"], found["label"]) == ([3, 47, 5], want[3, 47, 5])
        assert client.get("/api/inputs/0/labels").json()["planes"] == [[[48, 56]], [[40, 56]], [[40, 48]]]


def test_an_input_that_does_not_fit_the_network_is_said(tmp_path, trained):
    np.save(tmp_path / "a.npy", np.zeros((5, 40, 50), np.float32))
    with client_of([tmp_path / "a.npy"], tmp_path / "cache", load(trained)) as client:
        facts = until(client, "/api/inputs/0/labels", lambda facts: facts["problem"])
        assert "5 channels, but the network reads 3" in facts["problem"]
        assert client.get("/api/inputs/0/labels/0/0/0").status_code == 422
        assert client.get("/api/inputs/0/tiles/0/0/0").status_code == 200


def test_stopping_ends_the_work(folder, tmp_path, trained):
    predictor = load(trained, memory="1GB", dtype=torch.float32)
    viewer = Viewer(find_files([folder], predictor, print), CacheFolder(tmp_path), predictor)
    app = create_app(viewer, TOKEN, frozenset({"127.0.0.1"}))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url="http://127.0.0.1", headers=headers) as client:
        client.post("/api/inputs/2/fill")
    _, worker = viewer.labeled(2)
    worker._thread.join(120)  # a step that has begun is finished
    assert not worker._thread.is_alive()
    with pytest.raises(Busy):
        worker.ask(lambda between: 0)


def test_two_who_save_at_the_same_time_get_one_file(tmp_path, monkeypatch):
    make_grid_run(tmp_path / "run", ndim=2)
    Image.fromarray(RNG.integers(0, 256, (20, 30)).astype(np.uint8)).save(tmp_path / "a.png")
    predictor = load(tmp_path / "run")
    viewer = Viewer(find_files([tmp_path / "a.png"], predictor, print), CacheFolder(tmp_path / "cache"), predictor)
    labeled, worker = viewer.labeled(0)
    worker.ask(labeled.fill).result()
    begun, gate, finish = threading.Semaphore(0), threading.Event(), LabelSink.finish

    def slowly(sink, **options):
        begun.release()
        gate.wait(60)
        return finish(sink, **options)

    monkeypatch.setattr(LabelSink, "finish", slowly)
    with ThreadPoolExecutor(2) as pool:
        saved = [pool.submit(labeled.write, ".png") for _ in range(2)]
        assert begun.acquire(timeout=60)
        assert not begun.acquire(timeout=0.3)  # the second one waits for the first
        gate.set()
        assert saved[0].result() == saved[1].result()
    np.testing.assert_array_equal(read_label(saved[0].result()), predictor.predict(tmp_path / "a.png").labels)
    viewer.close()


def test_the_program_on_the_page_of_the_docs_runs():
    page = (Path(__file__).resolve().parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    exec(compile("\n".join(blocks), "serve.md", "exec"), {"__name__": "serve"})
    links = [target for target in re.findall(r"\]\(([^)#]+)", page) if not target.startswith("http")]
    assert all((Path(__file__).resolve().parents[2] / "docs" / target).exists() for target in links)
