"""The graph does to raw values what `atrous.data.preprocess` does, and answers as the task does."""

import numpy as np
import pytest
import torch
from torch import nn

from atrous.data.preprocess import Preparation
from atrous.errors import UserError
from atrous.exporting.pipeline import Pipeline, Preparing, answers_of
from atrous.prediction.inputs import prepared
from atrous.tasks.semantic import Semantic
from atrous.tasks.stars import StarTask
from atrous.tasks.stranded import Stranded
from atrous.tasks.values import RegressionTask


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(
    "preparation",
    [
        Preparation(),
        Preparation(("zscore",), fill=(3.0,)),
        Preparation(("clip",), (10.0, 20.0), (60.0, 70.0), fill=(1.0, 2.0)),
        Preparation(("zscore", "clip"), (0.0, 20.0), (0.0, 70.0)),
        Preparation(("zscore",), nodata=(-9999.0, 7.0)),
        Preparation(nodata=(7.0,), fill=(5.0, 6.0)),
    ],
)
def test_the_graph_prepares_values_as_the_package_does(preparation, ndim):
    rng = np.random.default_rng(0)
    image = rng.normal(50, 30, (2, *(9, 7, 5)[:ndim])).astype(np.float32)
    flat = image.reshape(2, -1)
    flat[0, 1], flat[1, 2], flat[0, 3], flat[1, 4] = np.nan, np.inf, -9999, 7
    wanted = np.asarray(prepared(image, preparation).source[...])
    found = Preparing(preparation, 2, ndim)(torch.from_numpy(image)[None])[0].numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_each_input_of_a_batch_has_its_own_mean_and_a_constant_one_stays_finite():
    prepare = Preparing(Preparation(("zscore",)), 1, 1)
    found = prepare(torch.tensor([[[1.0, 3.0]], [[10.0, 50.0]], [[4.0, 4.0]]]))
    assert found.flatten().tolist() == [-1, 1, -1, 1, 0, 0]


def test_integers_are_not_looked_at_for_gaps():
    image = torch.tensor([[[1.0, torch.nan]]])
    assert Preparing(Preparation(), 1, 1, gaps=False)(image).isnan().any()


def test_the_answers_are_those_of_the_task():
    logits = torch.randn(2, 3, 5, 4)
    classes = ("a", "b", "c")
    several, one = answers_of(Stranded(classes)), answers_of(Semantic(classes))
    assert torch.equal(one["labels"](logits), logits.argmax(1).to(torch.uint8))
    assert torch.equal(several["probabilities"](logits), logits.sigmoid())
    assert torch.equal(several["labels"](logits), Stranded(classes).decode(logits))
    warm = Stranded(classes, threshold=0.3, temperature=2.0)  # labels do not depend on the temperature
    assert torch.equal(answers_of(warm)["labels"](logits), warm.decode(logits))
    genes = Stranded(("CDS+", "CDS-"), frames=True, genetic_codes=(11,))
    output = torch.randn(2, genes.out_channels, 30)
    torch.testing.assert_close(answers_of(genes)["probabilities"](output), output[:, :2].sigmoid())
    numbers = answers_of(RegressionTask(("height",), (10.0,), (2.0,)))
    assert torch.equal(numbers["values"](logits[:, :1]), 10 + 2 * logits[:, :1])
    assert list(answers_of(StarTask())) == ["maps"]
    assert answers_of(None)["output"](logits) is logits


class Named(nn.Module):
    """Returns a dictionary, as networks of torchvision do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 1)

    def forward(self, x):
        return {"out": self.conv(x), "aux": x}


def test_the_network_is_copied_and_a_dictionary_gives_its_entry_out():
    network = Named().double().train()
    pipeline = Pipeline(network, answers_of(None))
    assert pipeline(torch.zeros(1, 1, 5))["output"].shape == (1, 2, 5)
    assert network.training
    assert network.conv.weight.dtype == torch.float64
    assert network.conv.weight.requires_grad


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda x: (x, x), "Returning: returns 2 results, and a file has one"),
        (lambda x: {"masks": x}, "Returning: returns a dictionary of masks, and"),
        (lambda x: None, "Returning: returns a NoneType, and"),
    ],
)
def test_a_network_of_several_results_is_refused(returned, said):
    class Returning(nn.Module):
        def forward(self, x):
            return returned(x)

    with pytest.raises(UserError, match=said):
        Pipeline(Returning(), answers_of(None))(torch.zeros(1, 1, 4))
