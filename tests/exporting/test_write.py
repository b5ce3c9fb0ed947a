"""Each format: written, proved by its own runtime, with its metadata; a file over the tolerance leaves nothing."""

import json
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import torch

from atrous.errors import UserError
from atrous.exporting import formats, onnx_file
from atrous.exporting.facts import KEY
from atrous.exporting.formats import FORMATS, Content, choose_format
from atrous.exporting.proof import HALF_TOLERANCE, prove
from atrous.exporting.write import ProofInputs, check_place, write_file
from tests.exporting.needs import require


@pytest.fixture(scope="session")
def converted(program):
    """The program as an ONNX model, converted once."""
    require("onnx")
    return onnx_file.onnx_model(program, ["labels", "probabilities"]).SerializeToString()


@pytest.fixture
def write(program, facts, inputs, tmp_path, request, monkeypatch):
    def written(to, **options):
        require(to)
        if to != "torch":
            import onnx

            stored = request.getfixturevalue("converted")
            monkeypatch.setattr(onnx_file, "onnx_model", lambda *_, half=False: onnx.load_from_string(stored))
        kind = FORMATS[to]
        return write_file(program, kind, tmp_path / f"model{kind.suffix}", facts, inputs, **options)

    return written


@pytest.mark.parametrize("to", FORMATS)
def test_every_format_proves_itself(to, write, tmp_path):
    done = write(to)
    assert done.path.exists()
    assert sorted(done.files) == sorted(tmp_path.iterdir())
    assert done.proof.largest["probabilities"] < 1e-4
    assert done.proof.sizes == ((33, 21), (19, 45), (24, 11))
    assert json.loads((tmp_path / f"{done.path.name}.json").read_text()) == json.loads(json.dumps(done.facts))
    assert "of 1,812 labels differ" in done.text()


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_weights_in_float16_take_less_room(to, write, program, pipeline, facts, inputs, tmp_path):
    usual = write(to)
    kind = FORMATS[to]
    half = tmp_path / f"half{kind.suffix}"
    if to == "onnx":
        import onnx

        model = onnx.load_model(usual.path)
        onnx_file.store_half(onnx, model)
        onnx_file.write_onnx(model, half, {})
    else:
        kind.write(kind.make(program, [], False), half, Content(facts, True, inputs.images[0], {}))
    weights = [file.with_suffix(".bin") for file in (usual.path, half)] if to == "openvino" else [usual.path, half]
    saved = weights[0].stat().st_size - weights[1].stat().st_size
    count = sum(p.numel() for p in pipeline.network.parameters())
    assert saved > 0.8 * 2 * count  # two bytes of each weight, but for small ones; an operator takes room too
    proof = prove(kind.run(half), inputs.ours, inputs.images, runtime="half", inputs="", tolerance=HALF_TOLERANCE)
    assert proof.largest["probabilities"] > 0


def test_a_file_over_the_tolerance_leaves_nothing(program, facts, inputs, tmp_path):
    def other(image):
        found = inputs.ours(image)
        return {**found, "probabilities": found["probabilities"] + 0.01}

    with pytest.raises(UserError, match="computes other probabilities than the network"):
        write_file(
            program, FORMATS["torch"], tmp_path / "a.pt2", facts, ProofInputs(inputs.images, "made inputs", other)
        )
    assert not list(tmp_path.iterdir())


def test_an_onnx_file_has_metadata_and_named_axes(write):
    done = write("onnx")
    import onnxruntime

    session = onnxruntime.InferenceSession(done.path)
    found = session.get_modelmeta().custom_metadata_map
    assert found["names"] == "{0: 'ground', 1: 'red cell'}"
    assert json.loads(found[KEY])["proof"] == json.loads(json.dumps(done.proof.to_dict()))
    assert session.get_inputs()[0].shape == ["batch", 1, "height", "width"]
    assert [output.shape for output in session.get_outputs()] == [
        ["batch", "height", "width"], ["batch", 2, "height", "width"],
    ]  # fmt: skip


def test_an_openvino_file_has_model_info(write):
    from atrous.exporting.openvino_file import read_properties

    done = write("openvino")
    found = read_properties(done.path)
    assert found["labels"] == "ground red_cell"
    assert found["model_type"] == "Segmentation"
    assert json.loads(found[KEY])["palette"] == [[0, 0, 0], [255, 0, 0]]


@pytest.mark.slow
def test_a_torch_file_runs_without_this_package(write, inputs, tmp_path, monkeypatch):
    done = write("torch")
    np.save(tmp_path / "x.npy", inputs.images[0][None].astype(np.float32))
    code = (
        "import sys, torch, numpy\n"
        "sys.modules['atrous'] = None\n"
        "extra = {'atrous.json': ''}\n"
        f"program = torch.export.load({str(done.path)!r}, extra_files=extra)\n"
        f"found = program.module()(torch.from_numpy(numpy.load({str(tmp_path / 'x.npy')!r})))\n"
        f"numpy.save({str(tmp_path / 'y.npy')!r}, found['labels'].numpy())\n"
        "print(extra['atrous.json'])\n"
    )
    monkeypatch.chdir(tmp_path)
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert (np.load(tmp_path / "y.npy")[0] != inputs.ours(inputs.images[0])["labels"]).sum() <= 1
    assert json.loads(ran.stdout)["classes"] == ["ground", "red cell"]


def test_a_package_of_bioimageio_holds_what_its_description_names(write, inputs):
    import yaml

    done = write("bioimageio")
    with zipfile.ZipFile(done.path) as package:
        rdf = yaml.safe_load(package.read("rdf.yaml"))
        assert set(package.namelist()) >= {"model.onnx", "README.md", "test_image.npy", "test_labels.npy"}
        with package.open("test_labels.npy") as file:
            np.testing.assert_array_equal(np.load(file)[0], inputs.ours(inputs.images[0])["labels"])
    assert rdf["format_version"].startswith("0.5")
    assert rdf["inputs"][0]["axes"][2] == {"type": "space", "id": "y", "size": {"min": 9, "step": 1}}
    assert rdf["outputs"][1]["axes"][1]["channel_names"] == ["ground", "red_cell"]
    assert rdf["config"][KEY]["proof"]["inputs"] == "made inputs"


def test_bioimageio_core_passes_the_package(write):
    pytest.importorskip("bioimageio.core", reason='pip install "atrous[bioimageio]"')
    said = write("bioimageio").facts["checked"]
    if "does not work with" in said:
        pytest.skip(said)
    assert said.startswith("passed by bioimageio.core")


@pytest.mark.parametrize(
    ("to", "name", "said"),
    [
        (None, "a.pt", "its suffix names no format: give --to, one of onnx"),
        ("tflite", "a.tflite", "--to tflite: choose one of onnx"),
        ("torch", "a.onnx", "a file for torch ends in .pt2"),
    ],
)
def test_formats_that_do_not_exist(to, name, said, tmp_path):
    with pytest.raises(UserError, match=said):
        choose_format(to, tmp_path / name)


def test_a_runtime_of_another_distribution_has_a_version_too(monkeypatch):
    """The module onnxruntime may come from onnxruntime-gpu."""

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(formats, "version", missing)
    assert FORMATS["torch"].runner == f"torch.export of torch {torch.__version__}"


def test_nothing_is_overwritten(tmp_path):
    kind = FORMATS["openvino"]
    (tmp_path / "a.bin").write_text("mine")
    with pytest.raises(UserError, match=r"a\.bin: exists already"):
        check_place(tmp_path / "a.xml", kind)
    with pytest.raises(UserError, match="its folder does not exist"):
        check_place(tmp_path / "there" / "a.xml", kind)
    assert [file.name for file in check_place(tmp_path / "b.xml", kind)] == ["b.bin", "b.xml.json", "b.xml"]


def test_eight_bits_are_measured_and_accepted(write, tmp_path):
    pytest.importorskip("nncf", reason='pip install "atrous[int8]"')
    from atrous.exporting.quantize import quantized

    rng = np.random.default_rng(1)
    images = [rng.integers(0, 255, (1, 33, 21)).astype(np.uint8) for _ in range(4)]
    done = write("openvino", change=lambda model: quantized(model, images))
    assert done.proof.tolerance is None
    assert done.proof.largest["probabilities"] > 1e-4
    assert done.facts["before quantization"]["largest"]["probabilities"] < 1e-4
    assert "in float32, before the quantization" in done.text()
