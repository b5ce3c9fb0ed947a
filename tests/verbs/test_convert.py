"""`atrous convert` writes what can be loaded again, and refuses in one line."""

import json
import re

import pytest
import torch

from atrous.errors import UserError
from atrous.verbs.convert import _export, convert, load_converted
from atrous.verbs.network import load_network
from tests.command import atrous

CLASSIFIER = "torchvision.models:shufflenet_v2_x0_5(weights=None, num_classes=5)"


def test_help_has_an_example():
    done = atrous("convert", "--help")
    assert done.returncode == 0
    assert "Example: atrous" in done.stdout


@pytest.mark.slow
def test_a_classifier_becomes_a_file_and_a_network_again(tmp_path):
    file = tmp_path / "fcn.safetensors"
    done = atrous("convert", CLASSIFIER, "convolutionalize", "--input-size", 64, "-o", file, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["max_error"] < 1e-4
    assert facts["file"] == str(file)
    network = load_converted(file)
    assert network(torch.randn(1, 3, 96, 64)).shape == (1, 5, 2, 1)
    assert not network.training


def test_dilate_inflate_and_transplant_from_files(tmp_path):
    torch.manual_seed(0)
    convolution = "torch.nn:Conv2d(3, 4, 3, 2, 1)"
    done = convert(convolution, "dilate", tmp_path / "a.safetensors", shape=(3, 32, 32), output_stride=1)
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(load_converted(tmp_path / "a.safetensors")(x), done.network(x))
    convert(convolution, "inflate", tmp_path / "b.safetensors", kernel=1)
    assert load_converted(tmp_path / "b.safetensors")(x[:, :, None]).shape == (1, 4, 1, 16, 16)
    done = convert(convolution, "transplant", tmp_path / "c.safetensors", source=convolution)
    assert torch.equal(load_converted(tmp_path / "c.safetensors")(x), done.network(x))


@pytest.mark.slow
def test_a_program_runs_without_the_code(tmp_path):
    file = tmp_path / "fcn.pt2"
    done = convert(CLASSIFIER, "convolutionalize", file, shape=(3, 96, 96), input_size=64)
    x = torch.randn(1, 3, 96, 96)
    found = torch.export.load(file).module()(x)
    assert torch.allclose(found, done.network.eval()(x), atol=1e-5)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("surgery", "options", "name", "said"),
    [
        ("dilate", {}, "a.safetensors", "needs --output-stride"),
        ("dilate", {"output_stride": 2, "axis": 1}, "a.safetensors", "does not take --axis"),
        ("melt", {}, "a.safetensors", "is not a conversion"),
        ("dilate", {"output_stride": 2}, "a.pt", "ends in one of"),
        ("dilate", {"output_stride": 2}, "there/a.pt2", "folder does not exist"),
        ("dilate", {"output_stride": 2}, "a.pt2", "--shape 3,256,256"),
    ],
)
def test_mistakes_write_nothing(surgery, options, name, said, tmp_path):
    with pytest.raises(UserError, match=said):
        convert("torch.nn:Conv2d(3, 4, 3, 2, 1)", surgery, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(4, 96, 96), (3, 96), (3, 1, 1)])
def test_a_program_for_a_shape_that_the_network_cannot_read_is_refused(shape, tmp_path, capfd):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.MaxPool2d(2))
    with pytest.raises(UserError, match=re.escape(f"Sequential: cannot be exported at input shape {shape}: ")):
        _export(network, tmp_path / "a.pt2", shape)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr().err == ""


def test_the_command_exits_with_two(tmp_path):
    out = tmp_path / "a.safetensors"
    done = atrous("convert", "torch.nn:GroupNorm(1, 3)", "dilate", "--output-stride", 2, "-o", out)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    out.write_bytes(b"")
    assert "exists already" in atrous("convert", CLASSIFIER, "dilate", "-o", out).stderr


def test_files_of_others_are_refused(tmp_path, trained):
    with pytest.raises(UserError, match="not written by atrous convert"):
        load_converted(trained / "model.safetensors")
    assert load_network(str(trained)) is not None
