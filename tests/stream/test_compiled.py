"""Compiled segments give the same rows, whatever compiles them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from atrous.errors import UserError
from atrous.stream import Options, plan, prepare, stream
from atrous.stream import stream as stream_function
from atrous.stream.compiled import Ring, eager_compiler
from atrous.stream.job import StreamJob
from atrous.stream.prepare import output_region
from tests import toy_models
from tests.toy_models import difference, settled, two_dimensional

NAMES = [
    "unet",
    "strided",
    "same",
    "reflect",
    "transposed",
    "transposed gaps",
    "max pool",
    "avg pool inner",
    "segnet",
    "nearest",
    "bilinear",
    "bilinear odd",
    "bicubic",
    "shuffle",
    "group norm",
    "squeeze excitation",
    "pyramid",
    "channels last",
    "pad and crop",
    "expand",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("strip", "blocks"), [(4, 1), (12, 1), (8, 2)])
def test_segments_equal_whole(name, strip, blocks):
    network, x = settled(two_dimensional()[name]), torch.randn(2, 76, 36, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = network(x[None])[0]
    ready = prepare(network, (2, 76, 36))
    made = plan(ready, (2, 76, 36), axis=0, strip=strip, blocks=blocks)
    job = StreamJob(ready, made, output_region(ready.graph, ready.axes, None), compiler=eager_compiler)
    assert difference(torch.from_numpy(job.run(x.numpy())), wanted) <= 5e-5
    if name in ("unet", "strided", "transposed", "bilinear", "group norm"):
        assert any(ready.compiled.values())


def causal() -> torch.nn.Module:
    """Padded on both sides, cropped at the end, three times."""
    layers = []
    for i in range(3):
        layers.append(torch.nn.Conv1d(2 if i == 0 else 4, 4, 3, padding=2**i * 2, dilation=2**i))
        layers.append(toy_models.Lambda(lambda m, x, p=2**i * 2: F.relu(x[:, :, :-p])))
    return torch.nn.Sequential(*layers)


CROPS = {
    "causal": (causal(), (2, 400)),
    "joined": (two_dimensional()["joined"], (2, 76, 36)),
    "end": (toy_models.chain(2, lambda x: F.relu(x[:, :, :-1, :-1])), (2, 96, 12)),
    "within": (toy_models.chain(2, lambda x: F.relu(x[:, :, :71])), (2, 76, 12)),
    "nearly all": (toy_models.chain(2, lambda x: F.relu(x[:, :, :17])), (2, 18, 12)),
}


@pytest.mark.parametrize("name", CROPS)
def test_crops_at_the_end(name):
    network, shape = settled(CROPS[name][0]), CROPS[name][1]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    ready = prepare(network, shape)
    made = plan(ready, shape, axis=0, strip=16)
    job = StreamJob(ready, made, output_region(ready.graph, ready.axes, None), compiler=eager_compiler)
    assert difference(torch.from_numpy(job.run(x.numpy())), network(x[None])[0].detach()) <= 5e-5
    if name == "causal":
        assert any(ready.compiled.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("axis", [0, 1])
def test_openvino(dtype, axis):
    pytest.importorskip("openvino")
    network, x = settled(toy_models.unet(2)), torch.randn(2, 200, 164, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = network(x[None])[0]
    found = torch.from_numpy(stream_function(network, x.numpy(), engine="openvino", dtype=dtype, strip=16, axis=axis))
    assert difference(found, wanted) <= (5e-5 if dtype == torch.float32 else 3e-2)


def test_openvino_tells_nobody_about_the_network(monkeypatch):
    pytest.importorskip("openvino")  # which says of itself that it was imported
    telemetry = pytest.importorskip("openvino_telemetry")

    def refuse(*args: object, **named: object) -> None:
        raise AssertionError(f"would be sent over the network: {args} {named}")

    for name in ("send_event", "start_session"):
        monkeypatch.setattr(telemetry.Telemetry, name, refuse)
    x = np.random.default_rng(0).standard_normal((2, 64, 32), np.float32)
    network = settled(toy_models.unet(2))
    assert stream_function(network, x, engine="openvino").shape == stream_function(network, x).shape


def test_unknown_engines_are_named():
    with pytest.raises(UserError, match="engine='tpu'"):
        stream(settled(toy_models.unet(2)), torch.zeros(2, 16, 16).numpy(), engine="tpu")


def test_ring_keeps_rows_in_place():
    ring = Ring(2, (1, 3, 0, 5), torch.empty(0))
    expected = torch.arange(40.0)
    at = 0
    for count in (3, 5, 1, 8, 8, 8):
        ring.view(at, at + count).copy_(expected[at : at + count].reshape(1, 1, count, 1).expand(1, 3, count, 5))
        at += count
        ring.extend(at)
        ring.drop(at - 4)
        held = ring.view(max(0, at - 4), at)
        assert torch.equal(held[0, 0, :, 0], expected[max(0, at - 4) : at])
        assert held.is_contiguous(memory_format=torch.channels_last)
    assert ring.storage.shape[2] < 40
    beyond = ring.view(at - 6, at + 9)  # rows that are not held are there to be written, and those held stay
    assert torch.equal(beyond[0, 0, 2:6, 0], expected[at - 4 : at])


def test_windows_of_other_axes_and_dimensions():
    for ndim, shape in ((1, (2, 400)), (2, (2, 24, 200)), (3, (2, 96, 12, 12))):
        network = settled(toy_models.unet(ndim))
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            wanted = network(x[None])[0]
        ready = prepare(network, shape)
        made = plan(ready, shape, axis=1 if ndim == 2 else 0, strip=16)
        region = output_region(ready.graph, ready.axes, None)
        job = StreamJob(ready, made, region, Options(engine="test"), eager_compiler)
        assert difference(torch.from_numpy(job.run(x.numpy())), wanted) <= 5e-5
        assert any(ready.compiled.values())


def test_windows_compiled():
    pytest.importorskip("openvino")
    network, x = settled(toy_models.unet(2)), torch.randn(2, 1400, 90, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = network(x[None])[0]
    found = torch.from_numpy(stream_function(network, x.numpy(), engine="openvino", strategy="windows"))
    assert difference(found, wanted) <= 5e-5


def test_the_plan_says_what_the_other_strategy_would_cost():
    made = plan(settled(toy_models.unet(2)), (2, 4096, 2048))
    assert made.strategy == "strips"
    assert "windows would do 1." in made.reason


def test_windows_do_not_resume():
    with pytest.raises(UserError, match="resume=True works with strips"):
        stream(settled(toy_models.unet(2)), torch.zeros(2, 16, 16).numpy(), strategy="windows", resume=True)
