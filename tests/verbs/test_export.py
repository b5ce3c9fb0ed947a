"""`atrous export` from the command line and from Python: what the file answers is what `atrous predict` answers."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import atrous
from atrous.cli.main import app
from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.recipe.network import build_network
from atrous.recipe.run import create_run
from atrous.recipe.schema import validate
from atrous.training.checkpoint import write_tensors
from atrous.verbs.export import ExportOptions, _run, parse_size
from atrous.verbs.predict import predict
from tests.exporting.needs import require
from tests.genomes import random_bases, write_fasta
from tests.prediction import values_world
from tests.prediction.test_genes import make_run


def export(*words):
    """Run the verb, and return the one JSON object that it prints."""
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


ROOT = Path(__file__).resolve().parents[2]


def test_a_run_becomes_a_file_that_labels_a_picture_without_this_package(trained, digits, tmp_path):
    require("onnx")
    file = tmp_path / "digits.onnx"
    facts = export("export", trained, "-o", file, "--json")
    assert facts["files"] == [str(tmp_path / "digits.onnx.json"), str(file)]
    assert facts["proof"]["inputs"] == f"3 val samples of {digits.name}"
    assert facts["proof"]["labels_differ"] <= facts["proof"]["ties"]
    assert all(n % 2 for size in facts["proof"]["sizes"] for n in size)
    predictor = load(trained, dtype=torch.float32)
    assert facts["classes"] == list(predictor.classes)
    picture = next((digits / "images" / "test").glob("*.png"))
    runpy.run_path(str(ROOT / "examples" / "onnx_labels.py"))["main"](str(file), str(picture), str(tmp_path / "a.png"))
    found = np.asarray(Image.open(tmp_path / "a.png"))
    predict(trained, [picture], tmp_path / "labels")
    labels = np.asarray(Image.open(tmp_path / "labels" / picture.name))
    assert found.shape == labels.shape
    assert (found == labels).mean() > 0.99  # predict computes in bfloat16, and the network is hardly trained
    assert (found == predictor.predict(picture).labels).mean() > 0.9999


@pytest.mark.slow
def test_a_torch_file_from_python_on_given_inputs(trained, digits, tmp_path):
    picture = next((digits / "images" / "test").glob("*.png"))
    done = atrous.export(trained, tmp_path / "a.pt2", inputs=[picture])
    assert done.proof.inputs == "1 given inputs"
    assert done.facts["task"] == "semantic"
    windows = done.facts["windows"]
    assert len(windows["axes"]) == 2
    program = torch.export.load(tmp_path / "a.pt2").module()
    predictor, image = load(trained, dtype=torch.float32), np.asarray(Image.open(picture).convert("RGB"))
    values = np.moveaxis(image, -1, 0) if done.facts["input"]["channels"] == 3 else image[None, ..., 0]
    found = program(torch.from_numpy(values.astype(np.float32))[None])["labels"][0].numpy()
    assert (found == predictor.predict(picture).labels).mean() > 0.9999


def test_any_network_is_exported_for_the_sizes_that_it_takes(tmp_path):
    made = "tests.verbs.test_export:Strict()"
    facts = export("export", made, "--shape", "1x2x64x64", "-o", tmp_path / "a.pt2", "--json")
    assert (facts["input"]["channels"], facts["input"]["multiple"]) == (2, [4, 4])
    assert facts["outputs"] == {"output": "what the network returns, float32"}
    program = torch.export.load(tmp_path / "a.pt2").module()
    assert program(torch.zeros(1, 2, 72, 68))["output"].shape == (1, 3, 72, 68)


class Strict(torch.nn.Module):
    """A network that takes multiples of 4 alone."""

    def __init__(self):
        super().__init__()
        self.down, self.up = torch.nn.Conv2d(2, 4, 4, stride=4), torch.nn.ConvTranspose2d(4, 3, 4, stride=4)

    def forward(self, x):
        if x.shape[2] % 4 or x.shape[3] % 4:
            raise ValueError("sizes must be multiples of 4")
        return self.up(self.down(x).relu())


@pytest.mark.parametrize(
    ("options", "name", "said"),
    [
        ({"shape": (3, 64, 64)}, "a.pt2", "--shape is for networks that are no run"),
        ({"half": True}, "a.pt2", "--half: weights of torch stay float32"),
        ({"int8": True}, "a.pt2", "--int8 is for --to openvino"),
        ({"size": (64,)}, "a.pt2", "--size 64: give 2 sizes"),
        ({"to": "onnx"}, "a.pt2", r"a file for onnx ends in \.onnx"),
    ],
)
def test_mistakes_write_nothing(trained, options, name, said, tmp_path):
    with pytest.raises(UserError, match=said):
        atrous.export(trained, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_a_network_that_runs_at_no_size_is_refused(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.Flatten(), torch.nn.Linear(77, 2))
    with pytest.raises(UserError, match="Sequential: runs at no size that was tried"):
        atrous.export(network, tmp_path / "a.pt2")
    with pytest.raises(UserError, match="--inputs is for runs"):
        atrous.export(network, tmp_path / "a.pt2", inputs=["a.png"])
    assert not list(tmp_path.iterdir())


def test_sizes_that_are_none():
    with pytest.raises(UserError, match="'12,b' is not a size"):
        parse_size("12,b")


class Returning(torch.nn.Module):
    """A network that returns its output twice."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x):
        return self.conv(x), self.conv(x)


def test_a_network_of_several_results_is_told_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"Returning: returns 2 results, .* wrap it in a module"):
        atrous.export(Returning(), tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


class OneSize(torch.nn.Module):
    """A network for 21 x 30 alone."""

    def __init__(self):
        super().__init__()
        self.conv, self.place = torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.Parameter(torch.randn(21, 30))

    def forward(self, x):
        return self.conv(x) + self.place


def test_a_network_of_one_size_is_exported_for_that_size(tmp_path):
    with pytest.raises(UserError, match=r"OneSize: runs at no size that was tried .*: give --size for a network"):
        atrous.export(OneSize(), tmp_path / "a.pt2")
    with pytest.raises(UserError, match="nor at 21,31"):
        atrous.export(OneSize(), tmp_path / "a.pt2", size=(21, 31))
    done = atrous.export(OneSize(), tmp_path / "a.pt2", size=(21, 30))
    assert done.facts["input"]["fixed"] == [21, 30]
    assert done.proof.sizes == ((21, 30),) * 3


def test_a_genome_and_two_images_are_described_and_can_be_given(tmp_path):
    """What an export says of its input and proves it on, without the export itself."""

    def looked_at(run, *given):
        subject = _run(run, ExportOptions(inputs=given), None)
        return subject.facts(subject.sizes, {})["input"], subject.inputs(subject.sizes)

    fasta = write_fasta(tmp_path / "x.fa", {"s": random_bases(np.random.default_rng(0), 900)})
    image, inputs = looked_at(make_run(tmp_path / "genes"), fasta)
    assert image["channel names"] == ["A", "C", "G", "T"]
    assert "shares of A, C, G and T" in image["type"]
    assert {float(crop.sum(axis=0).max()) for crop in inputs.images} == {1.0}
    model = {"in_channels": 2, "mean": [0.0] * 2, "std": [255.0] * 2, "depth": 10, "encoder_width": 4, "width": 4}
    task = {"kind": "change", "classes": ["same", "changed"]}
    recipe = validate({"data": {"root": "pairs"}, "task": task, "model": model}, "test")
    run = create_run(tmp_path / "change", recipe, {}, [])
    write_tensors(run.weights, build_network(recipe.model, 2).state_dict(), {})
    for name in ("before", "after"):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)).save(tmp_path / f"{name}.png")
    image, inputs = looked_at(run, f"{tmp_path / 'before.png'}+{tmp_path / 'after.png'}")
    assert inputs.origin == "1 given inputs"
    assert [len(crop) for crop in inputs.images] == [2, 2, 2]
    assert inputs.ours(inputs.images[0])["labels"].shape == inputs.images[0].shape[1:]
    assert image["to do before"].startswith("put the channels of the image after behind")


def test_a_given_data_set_calibrates_and_proves(tmp_path):
    """Training images are 70 everywhere, those of validation 90: the crops say where they come from."""
    model = {"in_channels": 1, "mean": [0.0], "std": [255.0], "depth": 10, "encoder_width": 4, "width": 4}
    recipe = validate({"data": {"root": "gone"}, "task": {"classes": ["a", "b"]}, "model": model}, "test")
    run = create_run(tmp_path / "run", recipe, {}, [])
    write_tensors(run.weights, build_network(recipe.model, 2).state_dict(), {})
    for split, value in (("train", 70), ("val", 90)):
        for folder, pixels in (("images", np.full((40, 50), value)), ("masks", np.eye(40, 50))):
            (tmp_path / "new" / folder / split).mkdir(parents=True)
            for number in range(2):
                path = tmp_path / "new" / folder / split / f"{split}{number}.png"
                Image.fromarray(pixels.astype(np.uint8)).save(path)

    def looked_at(**options):
        subject = _run(run, ExportOptions(**options), None)
        return subject.calibration(subject.sizes), subject.inputs(subject.sizes)

    calibrating, proving = looked_at(data=tmp_path / "new")
    assert [np.unique(crop).tolist() for crop in calibrating] == [[70], [70]]
    assert [np.unique(crop).tolist() for crop in proving.images] == [[90]] * 3
    assert proving.origin == "2 val samples of new"
    with pytest.raises(UserError, match=r"gone, which is not there: give the data set's folder with --data"):
        looked_at()
    with pytest.raises(UserError, match="nowhere: no such folder"):
        atrous.export(run, tmp_path / "a.pt2", data=tmp_path / "nowhere")  # no made inputs in its place
    volumes = [np.zeros((40, 20, 20), np.uint8)] * 2
    with pytest.raises(UserError, match="has 3 axes, but the run labels data of 2"):
        looked_at(data=(volumes, volumes))
    with pytest.raises(UserError, match="--data and --dataset are for runs"):
        atrous.export(OneSize(), tmp_path / "a.pt2", data=tmp_path / "new")
    assert not (tmp_path / "a.pt2").exists()


def test_labels_of_signals_are_compared_as_the_file_has_them(tmp_path):
    """The file decodes each sample by itself, though the labels of the run keep least lengths, and it says so."""
    run = values_world.make_run(tmp_path / "run", (30, 30, 30))
    signal = tmp_path / "signal.npz"
    np.savez(signal, signal=values_world.broken_signal()[0], rate=100.0)
    subject = _run(run, ExportOptions(inputs=(signal,)), None)
    facts, inputs = subject.facts(subject.sizes, {}), subject.inputs(subject.sizes)
    assert facts["shortest intervals"] == [30, 30, 30]
    assert "shorter than those that atrous gives" in facts["outputs"]["labels"]
    answer = inputs.ours(inputs.images[0])
    np.testing.assert_array_equal(answer["labels"], answer["probabilities"].argmax(0))
    assert (answer["labels"] != load(run, dtype=torch.float32).predict(inputs.images[0]).labels).any()
