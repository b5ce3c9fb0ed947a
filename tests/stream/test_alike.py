"""Networks that are another function at another length are told from those that are not."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.stream.alike import first_difference, per_position
from atrous.stream.prepare import prepare
from tests import toy_models
from tests.toy_models import Lambda

ALIKE = {
    "unet": toy_models.unet(1),
    "bins": Lambda(lambda m, x: F.adaptive_avg_pool1d(x, x.shape[2] // 4)),
    "resize": Lambda(lambda m, x: F.interpolate(x, size=2 * x.shape[2])),
    "borders": Lambda(lambda m, x: F.pad(x, (2, 1), mode="reflect")),
    "view": Lambda(lambda m, x: x.reshape(1, 2, x.shape[2] // 2, 2).flatten(2)),
    "mean": Lambda(lambda m, x: x - x.mean(2, keepdim=True)),
    "crop": Lambda(lambda m, x: x[:, :, 1 : x.shape[2] - 1]),
    "expanded": Lambda(lambda m, x: x + x.amax(2, keepdim=True).expand(1, 2, x.shape[2])),
}
DIFFERENT = {
    "scale": (Lambda(lambda m, x: F.relu(x) * x.shape[2]), "mul"),
    "pad": (Lambda(lambda m, x: F.pad(F.relu(x), (x.shape[2] % 3, 0))), ("pad", "constant_pad_nd")),
    "stride": (Lambda(lambda m, x: F.max_pool1d(F.relu(x), 2, 1 + x.shape[2] // 12)), "max_pool1d"),
    "borders": (Lambda(lambda m, x: F.pad(x, (x.shape[2] // 8, 1), mode="replicate")), ("pad", "replication_pad1d")),
    "behind": (Lambda(lambda m, x: F.pad(x, (1, x.shape[2] // 8), mode="replicate")), ("pad", "replication_pad1d")),
    "mode": (Lambda(lambda m, x: F.pad(x, (1, 1), mode="reflect" if x.shape[2] < 20 else "replicate")), None),
    "ratio": (Lambda(lambda m, x: F.interpolate(x, size=40)), "upsample_nearest1d"),
    "corners": (
        Lambda(lambda m, x: F.interpolate(x, scale_factor=2, mode="linear", align_corners=x.shape[2] > 20)),
        "upsample_linear1d",
    ),
    "bins": (Lambda(lambda m, x: F.adaptive_avg_pool1d(x, 4)), "adaptive_avg_pool1d"),
    "kind": (Lambda(lambda m, x: F.relu(x) if x.shape[2] < 20 else F.silu(x)), "relu"),
    "more": (Lambda(lambda m, x: F.relu(x) if x.shape[2] < 20 else F.relu(x).tanh()), "relu"),
    "less": (Lambda(lambda m, x: F.relu(x).tanh() if x.shape[2] < 20 else F.relu(x)), "tanh"),
}


@pytest.mark.parametrize("name", ALIKE)
def test_networks_that_are_the_same_at_every_length(name):
    short, long = (prepare(ALIKE[name], (2, length)).axes[0] for length in (16, 24))
    assert first_difference(short, long) is None
    assert first_difference(long, short) is None
    assert per_position(short) is None


def test_unpooling_is_the_same_at_every_length():
    short, long = (prepare(toy_models.segnet(), (2, length, 8)).axes[0] for length in (16, 24))
    assert first_difference(short, long) is None


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_first_operator_that_differs_is_named(name):
    network, kind = DIFFERENT[name]
    short, long = (prepare(network, (2, length)).axes[0] for length in (16, 24))
    found = first_difference(short, long)
    assert found is not None
    assert found is short.graph.ops[found.index]
    assert kind is None or found.kind in ((kind,) if isinstance(kind, str) else kind)
    assert first_difference(long, short) is not None
    assert first_difference(short, short) is None


def test_coordinates_are_numbers_per_position():
    ready = prepare(toy_models.coordinates(), (2, 9, 7))
    assert per_position(ready.axes[0]) is not None
    shift = Lambda(lambda m, x: x + torch.arange(float(x.shape[2])))
    found = per_position(prepare(shift, (1, 9)).axes[0])
    assert found is not None
    assert found.kind == "add"


@pytest.mark.parametrize(
    "network",
    [
        Lambda(lambda m, x: x + torch.full((1, 1, x.shape[2]), 0.5)),  # filled with one number
        Lambda(lambda m, x: x + torch.ones(1, 1, 1)),  # one row for all
        Lambda(lambda m, x: x + F.interpolate(x.mean(2, keepdim=True), size=x.shape[2])),
        nn.Conv1d(1, 1, 3, padding=1),
    ],
)
def test_what_is_alike_at_all_positions_is_not(network):
    assert per_position(prepare(network, (1, 9)).axes[0]) is None
