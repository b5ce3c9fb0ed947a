"""The metadata say what others look for, and what the caller must do."""

import ast
import json

from atrous.data.background import Background
from atrous.data.preprocess import Expected, Preparation, Wanted
from atrous.exporting.facts import KEY, describe_input, properties
from atrous.exporting.program import ExportSizes

SIZES = ExportSizes((33, 33), (1, 1))


def test_the_flat_texts_can_be_read_as_those_of_ultralytics(facts):
    found = properties(facts)
    assert all(isinstance(text, str) for text in found.values())
    assert ast.literal_eval(found["names"]) == {0: "ground", 1: "red cell"}
    assert int(found["stride"]) == 4
    assert ast.literal_eval(found["imgsz"]) == [12, 12]
    assert (found["task"], found["channels"], found["batch"]) == ("semantic", "1", "1")
    assert json.loads(found[KEY]) == facts


def test_another_grid_is_said_to_be_the_callers():
    scans = Expected(spacing=(1.5, 1.0), resampled=True, channels=Wanted(1, ("t1",)), range=(0.0, 900.0))
    image = describe_input(1, 2, Preparation(("zscore",)), scans, SIZES)
    assert image["spacing"] == [1.5, 1.0]
    assert "resample the input to the spacing [1.5, 1.0]" in image["to do before"]
    assert image["channel names"] == ["t1"]
    assert image["in the graph"]["intensity"] == ["zscore"]
    assert "to do before" not in describe_input(1, 2, Preparation(), Expected(spacing=(1.0, 1.0)), SIZES)
    assert describe_input(1, 2, Preparation(spacing=(2.0, 2.0)), None, SIZES)["spacing"] == [2.0, 2.0]


def test_how_two_images_are_stacked_is_said():
    pair = describe_input(6, 2, None, Expected(images=2), SIZES)
    assert pair["to do before"] == "put the channels of the image after behind those of the image before"
    video = ExportSizes((9, 9, 9), (1, 1, 1))
    camera = describe_input(6, 3, None, Expected(images=2, background=Background(8, 32)), video)
    assert camera["background"] == {"frames": 8, "span": 32}
    assert camera["to do before"].startswith("put the channels of its background behind those of each frame")


def test_a_file_for_one_size_says_it(facts):
    only = {**facts, "input": {**facts["input"], "fixed": [64, 48]}}
    assert ast.literal_eval(properties(only)["imgsz"]) == [64, 48]
