"""Objects over HTTP: every change is in the label image on the disk when the answer comes."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from atrous.data.dataset import open_dataset
from atrous.data.formats import read_values
from atrous.errors import UserError
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.object_folder import CorrectedFolder
from atrous.serve.object_image import ObjectImage
from atrous.serve.object_session import ObjectSession
from atrous.serve.server import ServeOptions, serve
from atrous.serve.viewer import Viewer
from benchmarks.crashes import make_grid_run

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from atrous.serve.app import create_app

TOKEN = "a-token-of-24-letters"
SQUARE = [[2, 2], [2, 12], [12, 12], [12, 2]]
SECOND = [[20, 30], [20, 50], [40, 50], [40, 30]]


class Correcting:
    """A client, its session, and where it corrects."""

    def __init__(self, tmp_path, predictor=None):
        (tmp_path / "in").mkdir(exist_ok=True)
        values = np.random.default_rng(0).integers(0, 256, (300, 400)).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / "in" / "a.png")
        nibabel.save(nibabel.Nifti1Image(np.zeros((30, 20, 10), np.uint8), np.eye(4)), tmp_path / "in" / "v.nii")
        viewer = Viewer(find_files([tmp_path / "in"], None, print), CacheFolder(tmp_path / "cache"))
        self.root = tmp_path / "cells"
        self.session = ObjectSession(self.root, viewer, predictor)
        app = create_app(viewer, TOKEN, frozenset({"127.0.0.1"}), objects=self.session)
        self.client = TestClient(app, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {TOKEN}"})

    def get(self, path, code=200):
        return self._answer(self.client.get(f"/api/objects{path}"), code)

    def post(self, path, code=200, **body):
        return self._answer(self.client.post(f"/api/objects/inputs/{path}", json=body or None), code)

    def _answer(self, answer, code):
        assert answer.status_code == code, answer.text
        return answer.json()

    @property
    def mask(self):
        return read_values(self.root / "masks" / "a.tif")


@pytest.fixture
def correcting(tmp_path):
    one = Correcting(tmp_path)
    with one.client:
        yield one


def test_objects_are_outlined_split_merged_and_deleted(correcting):
    assert correcting.get("") == {"open": True, "folder": "cells", "finds": False}
    assert correcting.get("/inputs/0")["saved"] == ""
    assert not correcting.root.exists()
    correcting.post("0/edits", kind="outline", points=SQUARE)
    facts = correcting.post("0/edits", kind="outline", points=SECOND)
    assert (facts["count"], facts["saved"], facts["can_undo"]) == (2, "masks/a.tif", True)
    assert correcting.get("/inputs/0/number?row=5&column=5") == {"number": 1, "area": 100}
    assert correcting.post("0/edits", kind="split", points=[[30, 28], [30, 52]])["count"] == 3
    np.testing.assert_array_equal(np.unique(correcting.mask[20:40, 30:50]), [2, 3])
    assert correcting.post("0/edits", kind="merge", points=[[22, 40], [38, 40]])["count"] == 2
    assert len(np.unique(correcting.mask[20:40, 30:50])) == 1
    assert correcting.post("0/edits", kind="delete", points=[[5, 5]])["count"] == 1
    assert not correcting.mask[2:12, 2:12].any()
    assert [correcting.post("0/undo")["count"] for _ in range(3)] == [2, 3, 2]
    facts = correcting.post("0/redo")
    assert (facts["count"], facts["can_redo"]) == (3, True)
    assert len(np.unique(correcting.mask)) == 4
    for body in ({"kind": "split", "points": [[100, 100], [110, 110]]}, {"kind": "outline", "points": [[1, 1]]}):
        assert "\n" not in correcting.post("0/edits", 422, **body)["detail"]
    assert correcting.post("0/find", 422)["detail"].startswith("no network is open that finds objects")
    assert "objects are corrected in images" in correcting.get("/inputs/1", 422)["detail"]


def test_what_was_corrected_is_an_ordinary_data_set(correcting):
    correcting.post("0/edits", kind="outline", points=SQUARE)
    dataset = open_dataset(correcting.root)
    [sample] = dataset.samples
    assert sample.target is not None
    assert (sample.target.read() > 0).sum() == 100
    with pytest.raises(UserError, match="another atrous serve"):
        CorrectedFolder(correcting.root)
    correcting.session.close()
    again = CorrectedFolder(correcting.root)
    image = again.image(correcting.session.viewer.file(0), (300, 400))
    assert image.count == 1
    again.close()


def test_a_data_set_that_cannot_be_begun_is_said_in_one_line(correcting, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("atrous.serve.object_folder.write_text", full)
    said = correcting.post("0/edits", 422, kind="outline", points=SQUARE)["detail"]
    assert "dataset.toml: cannot be written (No space left on device)" in said
    assert correcting.get("/inputs/0")["count"] == 0


def test_the_numbers_of_few_images_stay_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("atrous.serve.object_folder.KEPT", 1)
    for name in ("a", "b"):
        Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / f"{name}.png")
    folder = CorrectedFolder(tmp_path / "cells")
    files = find_files([tmp_path / "a.png", tmp_path / "b.png"], None, print)
    for file in files:
        folder.image(file, (30, 40)).edit("outline", [(2, 2), (2, 9), (9, 9)])
        assert len(folder._images._used) == 1
    again = folder.image(files[0], (30, 40))
    assert (again.count, again.revision) == (1, 1)
    folder.close()


def test_tiles_have_the_numbers_of_the_objects(correcting):
    correcting.post("0/edits", kind="outline", points=SECOND)
    answer = correcting.client.get("/api/objects/inputs/0/tiles/0/0/0")
    tile = np.frombuffer(answer.content, "<u4").reshape(256, 256)
    np.testing.assert_array_equal(tile, correcting.mask[:256, :256])
    answer = correcting.client.get("/api/objects/inputs/0/tiles/1/0/0")
    assert answer.headers["Atrous-Revision"] == "1"
    np.testing.assert_array_equal(np.frombuffer(answer.content, "<u4").reshape(150, 200), correcting.mask[1::2, 1::2])
    assert correcting.get("/inputs/0/tiles/2/0/0", 404)["detail"]
    assert correcting.get("/inputs/0/tiles/0/2/0", 404)["detail"]


def test_masks_that_are_there_are_corrected_in_their_own_format(correcting, tmp_path):
    numbers = np.zeros((300, 400), np.uint16)
    numbers[10:20, 10:20], numbers[30:40, 10:20] = 9, 300
    root = tmp_path / "there"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    (root / "dataset.toml").write_text('task = "instances"\n')
    (root / "images" / "a.png").write_bytes((tmp_path / "in" / "a.png").read_bytes())
    Image.fromarray(numbers).save(root / "masks" / "a.png")
    folder = CorrectedFolder(root)
    file = find_files([root / "images" / "a.png"], None, print)[0]
    image = folder.image(file, (300, 400))
    assert image.count == 2
    image.edit("delete", [(12, 12)])
    numbers[numbers == 9] = 0
    np.testing.assert_array_equal(read_values(root / "masks" / "a.png"), numbers)
    assert sorted(path.name for path in (root / "masks").iterdir()) == ["a.png"]
    folder.close()
    with pytest.raises(UserError, match="20 x 30"):
        ObjectImage(root / "masks" / "a.png", (20, 30), lambda: None)


def test_other_folders_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("x")
    with pytest.raises(UserError, match=r"holds x.txt and no dataset.toml"):
        CorrectedFolder(tmp_path / "a")
    (tmp_path / "a" / "dataset.toml").write_text('classes = ["a", "b"]\n')
    with pytest.raises(UserError, match='task = "instances"'):
        CorrectedFolder(tmp_path / "a")
    with pytest.raises(UserError, match="is a file"):
        CorrectedFolder(tmp_path / "a" / "x.txt")
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "a.png")
    options = ServeOptions(cache=tmp_path / "cache", paint=tmp_path / "p", objects=tmp_path / "o")
    with pytest.raises(UserError, match="give one of them"):
        serve([tmp_path / "a.png"], options)


def test_objects_of_the_network_are_those_of_predict(tmp_path):
    from atrous.prediction.predictor import load

    task = {"kind": "instances", "options": {"ndim": 2, "scale": 4.0, "apart": 4.0}}
    make_grid_run(tmp_path / "run", task=task)
    predictor = load(tmp_path / "run")
    one = Correcting(tmp_path, predictor)
    with one.client:
        assert one.get("")["finds"] is True
        facts = one.post("0/find")
        want = predictor.predict(tmp_path / "in" / "a.png")
        assert facts["count"] == len(want) > 1
        np.testing.assert_array_equal(one.mask, want.instances)
        assert one.post("0/undo")["count"] == 0
    with pytest.raises(UserError, match="give --objects FOLDER"):
        serve([tmp_path / "in"], ServeOptions(run=tmp_path / "run", cache=tmp_path / "cache"))
