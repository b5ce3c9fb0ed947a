"""An exported ONNX file on windows gives what the network gives on the whole input; others are refused by name."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.exporting.facts import describe, describe_input, properties
from atrous.exporting.onnx_file import onnx_model, write_onnx
from atrous.exporting.pipeline import Pipeline, answers_of
from atrous.exporting.program import ExportSizes, export_program
from atrous.exporting.window_facts import window_facts
from atrous.geometry.field import AxisField
from atrous.stream import stream
from atrous.stream.onnx_network import _windows
from tests.exporting.conftest import SIZES, TASK, small_network
from tests.exporting.needs import require
from tests.toy_models import difference


@pytest.fixture(scope="module", autouse=True)
def needs():
    require("onnx")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return small_network()


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    pipeline = Pipeline(network, answers_of(TASK))
    model = onnx_model(export_program(pipeline, 1, SIZES), list(pipeline.answers))
    path = tmp_path_factory.mktemp("exported") / "a.onnx"
    write_onnx(model, path, properties(_facts(window_facts(network, 1, 2, (1, 1)), SIZES)))
    return path


def _facts(windows, sizes):
    image = describe_input(1, len(sizes.least), None, None, sizes)
    return describe("unet", "semantic", TASK.classes, ((0, 0, 0), (1, 1, 1)), list(answers_of(TASK)), image, windows)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 255, (1, 203, 310)).astype(np.uint8)


@pytest.fixture(scope="module")
def whole(network, image):
    with torch.no_grad():
        return TASK.probabilities(network(torch.from_numpy(image)[None].float()))[0]


def test_a_file_on_windows_is_the_network_on_the_whole_input(file, image, whole):
    done = []
    found = stream(
        file, image, engine="onnxruntime", memory=60 * 100 * 100, output="probabilities", progress=done.append
    )
    assert len(done) >= 4
    assert done[-1] == 1
    assert difference(torch.from_numpy(found), whole) <= 5e-5
    labels = stream(str(file), image, engine="onnxruntime", memory=60 * 100 * 100)
    assert labels.dtype == np.uint8
    assert (labels != whole.argmax(0).numpy()).sum() <= 2


def test_a_region_and_post_processing(file, image, whole):
    region = (slice(50, 120), slice(200, 310))
    found = stream(file, image, engine="onnxruntime", output=1, region=region, post="argmax")
    assert (found != whole.argmax(0).numpy()[region]).sum() <= 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "torch"}, "is run by ONNX Runtime: give engine='onnxruntime'"),
        ({"engine": "onnxruntime", "strip": 4}, "ONNX files run on windows, which take no strip"),
        ({"engine": "onnxruntime", "strategy": "strips"}, "which take no strategy='strips'"),
        ({"engine": "onnxruntime", "output": "masks"}, "output='masks': it gives labels, probabilities"),
        ({"engine": "onnxruntime", "region": (slice(0, 9),)}, "region has 1 slices"),
    ],
)
def test_options_that_are_not_for_files(file, image, options, said):
    with pytest.raises(UserError, match=said):
        stream(file, image, **options)


def test_a_source_that_the_file_does_not_take(file):
    with pytest.raises(UserError, match="reads 1 channels and 2 axes"):
        stream(file, np.zeros((3, 64, 64), np.float32), engine="onnxruntime")
    with pytest.raises(UserError, match=r"takes any size from 9 x 9, the source has the size \(64, 8\)"):
        stream(file, np.zeros((1, 64, 8), np.float32), engine="onnxruntime")


def test_no_window_is_smaller_than_the_least_size():
    facts = {"input": {"least": [97]}, "windows": {"axes": [{"period": 4}], "bytes_per_position": 1e9}}
    field = AxisField(0, 1000, 1000, 1.0, 5, -2.0, (2, 2))
    network: Any = SimpleNamespace(facts=facts)
    (windows,) = _windows(network, {0: field}, 1.0, {0: (0, 1000)}).values()
    assert len(windows) > 5
    assert min(window.stop - window.start for window in windows) >= 97


@pytest.mark.slow
def test_a_file_of_another_maker_is_refused(tmp_path, image):
    program = export_program(Pipeline(nn.Conv2d(1, 1, 1), answers_of(None)), 1, SIZES)
    write_onnx(onnx_model(program, ["output"]), tmp_path / "b.onnx", {"names": "{0: 'a'}"})
    with pytest.raises(UserError, match=r"b\.onnx: says nothing of its stride and halo"):
        stream(tmp_path / "b.onnx", image, engine="onnxruntime")
    (tmp_path / "c.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"c\.onnx: ONNX Runtime cannot load it"):
        stream(tmp_path / "c.onnx", image, engine="onnxruntime")
    with pytest.raises(UserError, match="no such file"):
        stream(tmp_path / "d.onnx", image, engine="onnxruntime")


@pytest.mark.slow
def test_what_prevents_windows_is_said(tmp_path, image):
    model = onnx_model(export_program(Pipeline(nn.Conv2d(1, 1, 1), answers_of(None)), 1, SIZES), ["output"])
    refused = {"refused": "pool (mean): needs the whole extent"}
    for windows, sizes, said in (
        (refused, SIZES, "cannot be run on windows: pool"),
        ({"axes": [{"period": 1, "stride": 1.0, "halo": [0, 0]}] * 2, "bytes_per_position": 8.0},
         ExportSizes((9, 9), (1, 1), (64, 64)), "is for the size 64 x 64 only"),
        ({"axes": [{"period": 4, "stride": 1.0, "halo": [0, 0]}] * 2, "bytes_per_position": 8.0},
         ExportSizes((12, 12), (4, 4)), "multiples of 4 x 4, the source has the size"),
    ):  # fmt: skip
        write_onnx(model, tmp_path / "e.onnx", properties(_facts(windows, sizes)))
        with pytest.raises(UserError, match=said):
            stream(tmp_path / "e.onnx", image, engine="onnxruntime")
