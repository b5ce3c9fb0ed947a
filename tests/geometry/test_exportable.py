"""A network that cannot be exported: one line with the true reason, never a traceback or a graph, in every function."""

import re

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from atrous.analysis import attribute, equivariance, filters, receptive_field, sharing, upsampling
from atrous.errors import UserError
from atrous.geometry import certify
from atrous.geometry.exportable import one_line, require_computable
from atrous.stream import Session, plan, stream
from atrous.surgery import convolutionalize, dilate, inflate
from atrous.verbs.network import load_network
from tests.toy_models import Lambda

SHAPE = (3, 32, 24)


def with_layer(function) -> nn.Module:
    return Lambda(lambda m, x: function(m.layer(x)), layer=nn.Conv2d(3, 4, 3, padding=1))


def until_nothing_changes(x):
    """The hysteresis of kornia's Canny: edges grow until they stay."""
    edges, before = (x > 0).float(), torch.zeros_like(x)
    while (edges - before).abs().sum() > 0:
        edges, before = F.max_pool2d(edges, 3, 1, 1) * (x > -1), edges
    return edges


def raising(x):
    raise ValueError("sizes must be\nmultiples of 32")


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, x, y):
        return self.layer(x) + y


class ByName(Two):
    def forward(self, *, x):
        return self.layer(x)


class Without(Two):
    def forward(self):
        return self.layer.weight


DECIDED = "depends on the values of the input"
BEFORE = {  # known before anything runs, so that every function says so
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(4, 3)), r"0\.weight has no shape yet \(a lazy module\)"),
    "lazy norm": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.LazyBatchNorm2d()), r"1\.weight has no shape yet"),
    "partly meta": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, device="meta")),
        r"1\.weight is on the device meta, without numbers: load its weights",
    ),
    "script": (lambda: torch.jit.script(nn.Conv2d(3, 4, 3)), "is a ScriptModule"),
    "trace": (lambda: torch.jit.trace(nn.Conv2d(3, 4, 3), torch.zeros(1, *SHAPE)), "is a ScriptModule"),
    "function": (lambda: F.relu, "is no torch.nn.Module"),
    "two inputs": (Two, r"takes 2 inputs \(x, y\): wrap it"),
    "by name only": (ByName, "takes x by name only: wrap it"),
    "no input": (Without, "takes no input: wrap it"),
}
WITHIN = {  # shows when the forward pass is followed
    "if": (lambda: with_layer(lambda x: x if x.mean() > 0 else -x), DECIDED),
    "loop": (lambda: with_layer(until_nothing_changes), DECIDED),
    "boolean index": (lambda: with_layer(lambda x: x[x > 0]), DECIDED),
    "nonzero": (lambda: with_layer(lambda x: x.nonzero()), DECIDED),
    "number of Python": (lambda: with_layer(lambda x: x * x.mean().item()), DECIDED),
    "size by values": (lambda: with_layer(lambda x: x[:, : int(x.sum()) % 4 + 1]), DECIDED),
    "one-hot without a number": (lambda: with_layer(lambda x: F.one_hot(x.argmax(1))), DECIDED),
    "non-maximum suppression": (
        lambda: with_layer(lambda x: torchvision.ops.nms(x.flatten()[:8].view(2, 4), x.flatten()[:2], 0.5)),
        DECIDED,
    ),
    "cond": (
        lambda: with_layer(lambda x: torch.cond(x.mean() > 0, lambda x: x * 2, lambda x: x - 1, (x,))),
        r"\(cond\): runs graphs of its own",
    ),
    "CUDA": (lambda: with_layer(lambda x: x + torch.ones(1, device="cuda")), r"works on CUDA.*device=x\.device"),
    "NumPy": (lambda: with_layer(lambda x: torch.from_numpy(x.detach().numpy())), r"leaves torch \(NumPy\)"),
    "its own error": (lambda: with_layer(raising), r"sizes must be multiples of 32 \(test_exportable\.py, line \d+\)"),
    "other channels": (lambda: nn.Conv2d(5, 4, 3), "give the shape with the channels that the network reads"),
    "too small": (lambda: nn.Conv2d(3, 4, 99), "give a larger input"),
    "no tensor": (lambda: with_layer(lambda x: "text"), "returns no tensor"),
}
ALWAYS = {
    "certify": lambda n: certify(n, SHAPE),
    "plan": lambda n: plan(n, SHAPE),
    "stream": lambda n: stream(n, torch.zeros(SHAPE)),
    "session": lambda n: Session(n, (3, None, 24)),
    "dilate": lambda n: dilate(n, 1, shape=SHAPE),
    "receptive field": lambda n: receptive_field(n, SHAPE),
    "equivariance": lambda n: equivariance(n, SHAPE),
}
WEIGHTS = {
    "convolutionalize": lambda n: convolutionalize(n, 32),
    "inflate": inflate,
    "attribution": lambda n: attribute(n, torch.zeros(SHAPE), target=0),
}


def refused(run, network) -> str:
    with pytest.raises(UserError) as caught:
        run(network)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return str(caught.value)


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("name", BEFORE)
def test_every_function_says_what_is_known_before_it_runs(name):
    build, text = BEFORE[name]
    for run in (ALWAYS | WEIGHTS).values():
        assert re.search(text, refused(run, build()))


@pytest.mark.parametrize("name", WITHIN)
def test_the_reason_is_told_in_one_line(name, capfd):
    build, text = WITHIN[name]
    for key in ("certify", "stream", "dilate") if name != "no tensor" else ("certify", "stream"):
        assert re.search(text, refused(ALWAYS[key], build())), key
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_detector_prints_no_graph(capfd):
    network = torchvision.models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    assert DECIDED in refused(ALWAYS["certify"], network)
    assert capfd.readouterr().err == ""


def test_weights_without_numbers_are_planned_and_not_run():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to("meta")
    assert certify(network, SHAPE).exact
    for run in (ALWAYS["stream"], ALWAYS["dilate"], *WEIGHTS.values(), filters, upsampling):
        assert "is on the device meta, without numbers" in refused(run, network)
    assert sharing(network, SHAPE).text()


def test_the_command_line_names_what_a_callable_returned():
    with pytest.raises(UserError, match="has no shape yet"):
        load_network("torch.nn:LazyConv2d(4, 3)")


def test_a_network_that_runs_is_let_through():
    require_computable(nn.DataParallel(nn.Conv2d(3, 4, 3)))
    require_computable(with_layer(lambda x: x))


def test_long_errors_are_cut_at_a_word():
    assert one_line(ValueError("")) == "ValueError"
    assert one_line(ValueError("a b\n c\n\nthe graph")) == "a b c"
    text = one_line(ValueError("word " * 100))
    assert len(text) <= 245
    assert text.endswith("word ...")
