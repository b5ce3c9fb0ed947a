"""Painting begins on the page, in a folder of the opened one."""

import numpy as np
import pytest
from PIL import Image

from atrous.serve import server as module
from atrous.serve.server import ServeOptions, serve

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
from fastapi.testclient import TestClient

TOKEN = "a-token-of-24-letters"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(folder / "a.png")
    return folder


def served(inputs, cache, monkeypatch, ask, **options):
    """Start the server as the command does, and ask it in place of listening."""

    def answer(uvicorn, app, listening):
        listening.close()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with TestClient(app, base_url="http://127.0.0.1", headers=headers) as client:
            ask(client)

    monkeypatch.setattr(module, "_answer", answer)
    started = []
    serve(inputs, ServeOptions(cache=cache, port=0, token=TOKEN, **options), started=started.append)
    return started[0]


def test_painting_begins_in_the_opened_folder_and_its_files_are_not_shown_again(images, tmp_path, monkeypatch):
    def ask(client):
        facts = client.get("/api/paint").json()
        assert (facts["open"], facts["can_begin"]) == (False, True)
        assert client.get("/api/paint/inputs/0").status_code == 404
        for name in ("../x", "a/b", ".x", ""):
            assert client.post("/api/paint/begin", json={"name": name}).status_code == 422
        facts = client.post("/api/paint/begin", json={"name": "cells"}).json()
        assert (facts["open"], facts["folder"], facts["can_begin"]) == (True, "cells", False)
        assert "begun already" in client.post("/api/paint/begin", json={"name": "other"}).json()["detail"]
        client.put("/api/paint/classes", json={"classes": [{"name": "cell", "color": "ff0000"}]})
        stroke = {"kind": "box", "label": 0, "points": [[1, 1], [3, 4]]}
        assert client.post("/api/paint/inputs/0/strokes", json=stroke).json()["counts"] == [6]
        assert (np.asarray(Image.open(images / "cells" / "masks" / "a.png")) == 0).sum() == 6

    assert served([images], tmp_path / "cache", monkeypatch, ask).inputs == 1

    def again(client):
        assert client.post("/api/paint/begin", json={"name": "cells"}).json()["counts"] == [6]

    assert served([images], tmp_path / "cache", monkeypatch, again).inputs == 1


def test_where_no_folder_is_open_nothing_begins(images, tmp_path, monkeypatch):
    def ask(client):
        assert client.get("/api/paint").json()["can_begin"] is False
        answer = client.post("/api/paint/begin", json={"name": "cells"})
        assert "no folder is open" in answer.json()["detail"]

    served([images / "a.png"], tmp_path / "cache", monkeypatch, ask)


def test_a_link_is_not_painted_into(images, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (images / "cells").symlink_to(tmp_path / "elsewhere")

    def ask(client):
        assert "is a link" in client.post("/api/paint/begin", json={"name": "cells"}).json()["detail"]

    served([images], tmp_path / "cache", monkeypatch, ask)
    assert list((tmp_path / "elsewhere").iterdir()) == []
