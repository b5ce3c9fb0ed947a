"""A program is the network at every size, and a layer that prevents it is named."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.errors import UserError
from atrous.exporting.pipeline import Pipeline, answers_of
from atrous.exporting.program import ExportSizes, export_from_least, export_program
from atrous.models.network import pad_to_multiple
from atrous.models.restorer import Restorer
from tests.exporting.conftest import SIZES
from tests.models.test_models import MODELS
from tests.toy_models import difference, settled


@pytest.mark.parametrize("size", [(9, 9), (32, 64), (33, 21), (40, 100)])
def test_a_program_answers_as_the_network_at_any_size(pipeline, program, size):
    x = 100 + 50 * torch.randn(3, 1, *size)
    found, wanted = program.module()(x), pipeline(x)
    assert list(found) == ["labels", "probabilities"]
    assert difference(found["probabilities"], wanted["probabilities"]) < 1e-5
    assert (found["labels"] != wanted["labels"]).sum() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ndim"), [*((name, 2) for name in MODELS), ("unet", 1), ("deeplab", 3), ("segnet", 3)]
)
def test_every_model_can_be_exported(name, ndim):
    torch.manual_seed(0)
    network = settled(MODELS[name](ndim))
    sizes = ExportSizes(tuple(2 * s + 1 for s in network.stride), (1,) * ndim)
    exported, sizes = export_from_least(Pipeline(network, answers_of(None)), 2, sizes)
    program = exported.module()
    for extra in (0, 5):
        x = torch.randn(1, 2, *(least + extra + axis for axis, least in enumerate(sizes.least)))
        with torch.no_grad():
            assert difference(program(x)["output"], network(x)) < 1e-4


def test_a_finer_output_has_a_size_that_follows_from_the_input():
    network = settled(Restorer(1, 1, 1, width=4, levels=2, blocks=1, factor=2))
    program = export_program(Pipeline(network, answers_of(None)), 1, ExportSizes((5,), (1,))).module()
    x = torch.randn(2, 1, 21)
    with torch.no_grad():
        assert difference(program(x)["output"], network(x)) < 1e-5


def test_a_program_of_one_size_takes_any_batch(pipeline):
    program = export_program(pipeline, 1, ExportSizes((9, 9), (1, 1), (17, 12))).module()
    x = torch.randn(5, 1, 17, 12)
    assert torch.equal(program(x)["labels"], pipeline(x)["labels"])


class Narrow(nn.Module):
    """Takes inputs of more than 20 positions alone."""

    def forward(self, x):
        return x.narrow(2, 0, 20) if x.shape[2] > 20 else x


def test_a_layer_that_asks_for_a_larger_input_gets_it():
    program, sizes = export_from_least(Pipeline(Narrow(), answers_of(None)), 1, ExportSizes((9,), (1,)))
    assert sizes.least == (36,)
    assert program.module()(torch.zeros(1, 1, 36))["output"].shape == (1, 1, 20)


class Flat(nn.Module):
    """Has a weight for each position, so that its size is fixed."""

    def __init__(self):
        super().__init__()
        self.first, self.dense = nn.Conv1d(1, 1, 1), nn.Linear(21, 21)

    def forward(self, x):
        return self.dense(self.first(x))


class Branch(nn.Module):
    """Does something else at even sizes."""

    def forward(self, x):
        return x + 1 if x.shape[2] % 2 == 0 else x


@pytest.mark.parametrize(
    ("network", "least", "said"),
    [
        (Flat(), 9, r"Flat: dense: cannot be exported for inputs of any size \(.*\): give --size"),
        (nn.Sequential(nn.Conv1d(1, 1, 1), Branch()), 9, r"Sequential: 1: cannot be exported for .*: give --size"),
    ],
)
def test_a_layer_that_needs_the_size_is_named(network, least, said, capfd):
    with pytest.raises(UserError, match=said):
        export_program(Pipeline(network, answers_of(None)), 1, ExportSizes((least,), (1,)))
    assert capfd.readouterr().err == ""


def test_the_flat_network_is_exported_for_its_size():
    network = Flat().eval()
    program = export_program(Pipeline(network, answers_of(None)), 1, ExportSizes((9,), (1,), (21,)))
    x = torch.randn(4, 1, 21)
    with torch.no_grad():
        assert torch.allclose(program.module()(x)["output"], network(x), atol=1e-6)


def test_padding_by_index_is_replicate_padding():
    class Padding(nn.Module):
        def forward(self, x):
            return pad_to_multiple(x, (4, 6))

    program = export_program(Pipeline(Padding(), answers_of(None)), 2, SIZES).module()
    for size in ((9, 9), (12, 12), (11, 13)):
        x = torch.randn(1, 2, *size)
        wanted = F.pad(x, (0, -size[1] % 6, 0, -size[0] % 4), mode="replicate")
        assert torch.equal(program(x)["output"], wanted)


def test_sizes_in_words():
    assert ExportSizes((64, 64), (32, 32)).text() == "any size from 64 x 64, multiples of 32 x 32"
