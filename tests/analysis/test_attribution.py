"""Attributions with a known answer, and those of captum if it is installed."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from atrous._nd import CONV
from atrous.analysis import AttributionSettings, attribute, strongest_class
from atrous.analysis.attribution import METHODS
from atrous.errors import UserError
from tests import toy_models
from tests.toy_models import settled


def small(ndim: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        CONV[ndim](2, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        CONV[ndim](4, 4, 3, stride=2, padding=1),
        nn.Softplus(),
        CONV[ndim](4, 3, 1),
    ).double()


def picture(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_integrated_gradients_are_complete(ndim):
    """They add up to the score minus the score of the baseline (Sundararajan et al. 2017, axiom 1)."""
    network, x = small(ndim), picture(2, *[10] * ndim)
    region = [(1, 4)] * ndim
    result = attribute(network, x, target=1, region=region, settings=AttributionSettings(steps=400))
    with torch.no_grad():
        part = (0, 1, *[slice(1, 4)] * ndim)
        truth = network(x[None])[part].mean() - network(torch.zeros_like(x)[None])[part].mean()
    assert result.values.sum() == pytest.approx(float(truth), abs=1e-3 * np.abs(result.values).sum())
    assert result.completeness == pytest.approx(abs(result.values.sum() - float(truth)) / abs(float(truth)))


def test_smooth_networks_need_few_steps():
    network = nn.Sequential(nn.Conv1d(1, 4, 3), nn.Tanh(), nn.Conv1d(4, 1, 3)).double()
    result = attribute(network, picture(1, 20), target=0, settings=AttributionSettings(steps=16), baseline=0.5)
    assert result.completeness is not None
    assert result.completeness < 1e-8


def test_positions_outside_of_the_receptive_field_have_no_attribution():
    x = picture(2, 16, 16)
    for method in ("gradients", "integrated", "occlusion"):
        settings = AttributionSettings(patch=1)
        result = attribute(small(), x, target=0, region=[(4, 5), (4, 5)], method=method, settings=settings)
        inside = np.zeros((16, 16), bool)
        inside[6:11, 6:11] = True  # output 4 reads 7..9 of the first layer's, which read 6..10
        assert (result.values[~inside] == 0).all(), method
        assert np.count_nonzero(result.values[inside]) == 25, method


def test_a_linear_network_by_every_method():
    """Gradients are the weights; integrated gradients and occlusion of one position are the weights times the input."""
    network = nn.Conv1d(1, 1, 5, bias=False).double()
    x = picture(1, 5)
    weight = network.weight.detach().flatten().numpy()
    for method, truth in (("gradients", np.abs(weight)), ("integrated", weight * x[0].numpy())):
        np.testing.assert_allclose(attribute(network, x, target=0, method=method).values, truth, rtol=1e-10)
    result = attribute(network, x, target=0, method="occlusion", settings=AttributionSettings(patch=1))
    np.testing.assert_allclose(result.values, weight * x[0].numpy(), rtol=1e-10)


def test_grad_cam_of_the_paper_by_hand():
    network, x = small(), picture(2, 12, 12)
    features = network[:3](x[None]).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(network[3:](features)[0, 2].mean(), features)
    cam = (gradient.mean((2, 3), keepdim=True) * features).sum(1, keepdim=True).relu()
    truth = nn.functional.interpolate(cam, size=(12, 12), mode="bilinear")[0, 0].detach()
    result = attribute(network, x, target=2, method="grad-cam", settings=AttributionSettings(layer="2"))
    np.testing.assert_allclose(result.values, truth.numpy(), atol=1e-12)


def test_grad_cam_takes_the_coarsest_grid():
    network = settled(toy_models.unet(2)).double()
    result = attribute(network, picture(2, 32, 32), target=0, method="grad-cam")
    named = attribute(
        network, picture(2, 32, 32), target=0, method="grad-cam", settings=AttributionSettings(layer="third")
    )
    np.testing.assert_array_equal(result.values, named.values)


def test_against_captum():
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    network, x = small(), picture(2, 10, 10)
    result = attribute(network, x, target=1, settings=AttributionSettings(steps=20))
    theirs = captum.IntegratedGradients(lambda y: network(y).mean((2, 3))).attribute(
        x[None], target=1, n_steps=20, method="gausslegendre"
    )
    np.testing.assert_allclose(result.values, theirs[0].sum(0).detach().numpy(), atol=1e-10)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("method", ["gradients", "grad-cam"])
def test_pictures(ndim, method, tmp_path):
    network = small(ndim)
    result = attribute(network, picture(2, *[8] * ndim), target=0, method=method)
    assert result.draw(tmp_path / "map.png").stat().st_size > 1000
    assert json.loads(json.dumps(result.to_dict()))["method"] == method
    assert "95 %" in result.text()
    assert all(not m._forward_hooks for m in network.modules())
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize(("options", "message"), [
    ({"method": "magic"}, "choose from"),
    ({"target": 3}, "channels 0 to 2"),
    ({"region": [(0, 9), (0, 2)]}, "within"),
    ({"region": [(0, 2)]}, "within"),
    ({"method": "grad-cam", "settings": AttributionSettings(layer="9")}, "no such module"),
    ({"method": "occlusion", "settings": AttributionSettings(patch=20)}, "fit"),
    ({"settings": AttributionSettings(steps=0)}, "at least one"),
])  # fmt: skip
def test_mistakes(options, message):
    with pytest.raises(UserError, match=message):
        attribute(small(), picture(2, 16, 16), **{"target": 0, **options})


@pytest.mark.parametrize("method", METHODS)
def test_a_classifier(method):
    """Its output has no spatial axes, so there is only the empty region."""
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    x = picture(2, 12, 12).float()
    target = strongest_class(network, x)
    scores = network(x[None])[0].tolist()
    assert scores[target] == max(scores)
    result = attribute(network, x, target=target, method=method)
    assert result.score == pytest.approx(scores[target])
    assert result.values.any()
    with pytest.raises(UserError, match="region"):
        attribute(network, x, target=0, region=[(0, 1), (0, 1)])


def test_a_layer_that_gives_several_tensors_is_refused():
    class Levels(nn.Module):
        def forward(self, x):
            return [x, x + 1]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.levels, self.head = Levels(), nn.Conv2d(2, 1, 1).double()

        def forward(self, x):
            return self.head(self.levels(x)[0])

    with pytest.raises(UserError, match="has no feature maps"):
        attribute(Net(), picture(2, 6, 6), target=0, method="grad-cam", settings=AttributionSettings(layer="levels"))


def test_networks_that_do_not_fit_are_refused():
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    with pytest.raises(UserError, match=r"Two: takes 2 inputs \(x, y\)"):
        attribute(Two(), picture(2, 6, 6), target=0)
    with pytest.raises(UserError, match="return one result per input"):
        attribute(nn.Flatten(0), picture(2, 6, 6), target=0)
