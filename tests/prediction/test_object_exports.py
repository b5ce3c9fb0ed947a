"""Exports of objects through the job loop: COCO of several inputs in one file, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.data.description import Description
from atrous.data.layouts.table import find_layout
from atrous.data.object_files.found import FoundObjects
from atrous.errors import UserError
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.object_exports import ObjectExport, ObjectSource, exports, merge_coco, parse_kinds
from atrous.prediction.output import Output
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from tests.slides import write_svs

SIZE = (20, 30)


class Nothing(Output):
    """An output that finds what a test says."""

    def begin(self, opened, streamed):
        """Do nothing."""

    def finish(self):
        """Do nothing."""

    def discard(self):
        """Do nothing."""


def found():
    numbers = np.zeros(SIZE, np.uint32)
    numbers[2:6, 3:9], numbers[10:15, 20:25] = 1, 2
    return FoundObjects(SIZE, np.zeros(2, int), np.array([0.5, 0.75], np.float32), numbers)


def test_results_of_several_inputs_are_one_coco_file(tmp_path):
    jobs = []
    for name in ("a", "more/b"):
        path = tmp_path / "in" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(path)
        item = Input((path,), path.relative_to(tmp_path / "in").with_suffix(".tif"))
        source = ObjectSource(Nothing(), found, dict)
        outputs = exports(item, tmp_path / "out" / item.relative, source, ("coco",))
        outputs[0].begin(Opened(np.zeros((1, *SIZE)), SIZE), False)
        outputs[0].finish()
        jobs.append((item, outputs))
    merged = merge_coco(jobs, tmp_path / "out", ())
    assert merged == tmp_path / "out" / "coco.json"
    (tmp_path / "in" / "coco.json").write_bytes(merged.read_bytes())
    layout = find_layout(tmp_path / "in", Description())
    assert layout.problems == ()
    samples = {sample.name: sample for members in layout.splits.values() for sample in members}
    assert sorted(samples) == ["a", "more/b"]
    for sample in samples.values():
        np.testing.assert_array_equal(sample.target.read(), found().numbers)
    assert [c["name"] for c in json.loads(merged.read_text())["categories"]] == ["object"]


def test_objects_of_a_slide_have_the_size_of_their_level(tmp_path):
    slide = write_svs(tmp_path / "a.svs", np.zeros((4 * SIZE[0], 4 * SIZE[1], 3), np.uint8), mpp=0.25, factors=(1, 4))
    item = Input((slide,), Path("a.tif"))
    outputs = exports(item, tmp_path / "out" / "a.tif", ObjectSource(Nothing(), found, dict), ("coco", "geojson"))
    for output in outputs:
        output.begin(Opened(np.zeros((1, *SIZE)), SIZE), False)
        output.finish()
    first = json.loads(outputs[1].paths[0].read_text())["features"][0]["geometry"]["coordinates"][0]
    assert sorted(map(tuple, first))[0] == (12, 8)  # in pixels of the finest level
    for one in (outputs, exports(item, tmp_path / "out" / "a.tif", ObjectSource(Nothing(), found, dict), ("coco",))):
        merged = merge_coco([(item, one)], tmp_path / "out", (), spacing=(1.0, 1.0))
        assert merged is not None
        image = json.loads(merged.read_text())["images"][0]
        assert (image["height"], image["width"]) == SIZE


@pytest.mark.parametrize(
    ("kind", "size"), [("coco", (3, 4, 5)), ("coco", (9,)), ("imagej", (9,)), ("geojson", (3, 4, 5)), ("dota", (9,))]
)
def test_what_cannot_be_written_so_is_refused(tmp_path, kind, size):
    output = ObjectExport(kind, tmp_path / "a", ObjectSource(Nothing(), found, dict), "a")
    with pytest.raises(UserError, match=f"--objects {kind} is for images"):
        output.begin(Opened(np.zeros((1, *size)), size), False)


def test_unknown_kinds_are_refused():
    assert parse_kinds(" coco, imagej,coco") == ("coco", "imagej")
    with pytest.raises(UserError, match="--objects voc: choose of coco, geojson, imagej, dota, parquet"):
        parse_kinds("voc")


def test_dota_is_for_boxes():
    source = ObjectSource(Nothing(), found, dict)
    with pytest.raises(UserError, match="--objects dota: it holds boxes"):
        exports(None, Path("a.png"), source, ("dota",))


def test_objects_are_for_tasks_that_find_them(trained, tmp_path):
    with pytest.raises(UserError, match="--objects is for found objects"):
        predict(trained, [tmp_path], tmp_path / "out", PredictOptions(objects="coco"))
