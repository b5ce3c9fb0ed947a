"""Streamed equals whole: for every kind of operator, every way to cut."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.errors import UserError
from atrous.stream import Prepared, Refused, plan, prepare, stream, windows
from tests import toy_models
from tests.toy_models import difference, settled, two_dimensional

TOLERANCE = 5e-5
NETWORKS = two_dimensional()


def whole(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(x[None])[0]


def example(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@cache
def prepared(name: str) -> tuple[torch.Tensor, Prepared, torch.Tensor]:
    """An input, the network ready for it, and its output: exporting a network takes longer than running it."""
    network, x = settled(NETWORKS[name]), example(2, 28, 44)
    return x, prepare(network, (2, 28, 44)), whole(network, x)


@pytest.mark.parametrize("name", NETWORKS)
def test_streamed_equals_whole_however_it_is_cut(name):
    x, ready, wanted = prepared(name)
    cuts = [{"strip": 1}, {"strip": 5}, {"strip": 64}]
    if name != "tokens":
        cuts += [{"strip": 7, "axis": 1}, {"strip": 8, "blocks": 3}, {"strip": 9, "axis": 1, "blocks": 2}]
    for cut in cuts:
        found = torch.from_numpy(stream(ready, x.numpy(), **{"axis": 0, **cut}))
        assert found.shape == wanted.shape
        assert difference(found, wanted) <= TOLERANCE, cut


@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "tokens"])
def test_region(name):
    x, ready, wanted = prepared(name)
    _, h, w = wanted.shape
    for region in (
        (slice(h // 3, h // 3 + 5), slice(w // 2, w)),
        (slice(0, 2), slice(1, 2)),
        (slice(h - 1, h), slice(0, w)),
    ):
        found = torch.from_numpy(stream(ready, x.numpy(), strip=6, region=region))
        assert found.shape == wanted[:, *region].shape
        assert float((found - wanted[:, *region]).abs().max()) <= TOLERANCE * float(wanted.abs().max())


WINDOWED = ["strided", "grouped", "same", "valid", "reflect", "transposed", "transposed gaps", "avg pool", "segnet"]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((name, (2, 88, 91)) for name in [*WINDOWED, "unet", "bilinear", "shuffle", "channels last", "crop between"]),
        *((name, (2, 96, 72)) for name in ("strided", "transposed", "unet")),
    ],
)
def test_windows(name, size, monkeypatch):
    monkeypatch.setitem(windows.CORE, 2, 24)
    network, x = settled(NETWORKS[name]), example(*size)
    if name in ("segnet", "shuffle", "unet"):
        x = x[:, :, : x.shape[2] // 4 * 4].contiguous()
    wanted, ready = whole(network, x), prepare(network, tuple(x.shape))
    assert plan(ready, tuple(x.shape), strategy="windows").blocks >= 4
    assert difference(torch.from_numpy(stream(ready, x.numpy(), strategy="windows")), wanted) <= TOLERANCE
    region = (slice(10, 40), slice(5, 30))
    found = torch.from_numpy(stream(ready, x.numpy(), strategy="windows", region=region))
    assert float((found - wanted[:, *region]).abs().max()) <= TOLERANCE * float(wanted.abs().max())


def test_windows_refuse_a_network_that_is_another_one_at_the_whole_size():
    with pytest.raises(Refused, match="something else on a window"):
        stream(settled(toy_models.unet(2)), example(2, 1201, 64).numpy(), strategy="windows")


def test_windows_refuse_a_network_that_reads_its_size():
    network = toy_models.chain(2, lambda x: x * (x.shape[2] / 50))
    with pytest.raises(Refused, match="something else on a window"):
        stream(settled(network), example(2, 1200, 64).numpy(), strategy="windows")


@pytest.mark.parametrize(
    "name", ["group norm", "squeeze excitation", "bilinear corners", "bilinear odd", "coordinates"]
)
def test_windows_refuse_what_depends_on_the_whole(name):
    with pytest.raises(Refused, match="windows cannot be exact"):
        plan(settled(NETWORKS[name]), (2, 96, 72), strategy="windows")


@pytest.mark.parametrize("name", ["group norm", "squeeze excitation", "pyramid", "instance norm"])
@pytest.mark.parametrize("blocks", [1, 2])
def test_spooled_barriers_compute_nothing_twice(name, blocks, tmp_path):
    network, x = settled(NETWORKS[name]), example(2, 44, 36)
    ready = prepare(network, (2, 44, 36))
    found = stream(ready, x.numpy(), strip=8, blocks=blocks, spool=tmp_path / "spool")
    assert difference(torch.from_numpy(found), whole(network, x)) <= TOLERANCE
    assert not list((tmp_path / "spool").iterdir())
    again, spooled = (plan(ready, (2, 44, 36), strip=8, spool=s) for s in (None, tmp_path))
    assert spooled.macs / spooled.macs_whole <= 1.02 < again.macs / again.macs_whole


@pytest.mark.parametrize("size", [(2, 101), (2, 37, 26), (2, 13, 11, 18)])
@pytest.mark.parametrize("strip", [3, 16])
def test_one_two_and_three_dimensions(size, strip):
    network, x = settled(toy_models.unet(len(size) - 1)), example(*size)
    for axis in range(len(size) - 1):
        assert (
            difference(torch.from_numpy(stream(network, x.numpy(), strip=strip, axis=axis)), whole(network, x))
            <= TOLERANCE
        )


@pytest.mark.parametrize("name", toy_models.refused())
def test_refusal_names_module_and_operator(name):
    network, operator = toy_models.refused()[name]
    with pytest.raises(Refused) as caught:
        stream(network, example(2, 16, 16).numpy())
    assert caught.value.operator == operator
    assert caught.value.module
    assert operator in str(caught.value)


def test_nothing_is_computed_twice():
    found = plan(settled(toy_models.unet(2)), (2, 4096, 64), strip=32)
    assert len(found.passes) == 1
    assert found.macs / found.macs_whole <= 1.02
    assert found.peak_bytes < 0.1 * found.whole_bytes
    assert "strips of 32 rows" in found.text()


def test_memory_does_not_grow_with_length():
    peaks = [plan(settled(toy_models.unet(2)), (2, length, 64), strip=32).peak_bytes for length in (1024, 65536)]
    assert peaks[0] == peaks[1]


def test_memory_limit_cuts_into_blocks_or_refuses():
    network = settled(toy_models.unet(2))
    cut = plan(network, (2, 4096, 65536), memory="6MiB", axis=0)
    assert cut.blocks > 1
    assert cut.peak_bytes <= 6 * 2**20
    with pytest.raises(UserError, match="MiB at least"):
        plan(network, (2, 4096, 65536), memory="20KiB")


def test_the_network_is_left_as_found():
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Dropout())
    network[1].eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    stream(network, example(1, 20, 20).numpy(), dtype=torch.float64)
    assert [m.training for m in network] == [True, False, True]
    assert all(torch.equal(before[k], v) and v.dtype == before[k].dtype for k, v in network.state_dict().items())


@pytest.mark.parametrize("post", ["argmax", "softmax", "sigmoid", 0.2, torch.tanh])
def test_post_processing_inside_the_stream(post):
    network, x = settled(toy_models.unet(2)), example(2, 40, 24)
    found = stream(network, x.numpy(), strip=8, post=post)
    logits = whole(network, x)
    wanted = {
        "argmax": lambda: logits.argmax(0),
        "softmax": lambda: logits.softmax(0),
        "sigmoid": logits.sigmoid,
        0.2: lambda: logits > 0.2,
        torch.tanh: logits.tanh,
    }[post]()
    assert found.dtype == (np.uint8 if post in ("argmax", 0.2) else np.float32)
    assert np.abs(found - wanted.numpy()).max() <= 1e-5


def test_sources_and_sinks(tmp_path):
    network, x = settled(toy_models.unet(2)), (example(2, 40, 24) * 50 + 100).clamp(0, 255).to(torch.uint8)
    wanted = whole(network, x.float())
    source = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=tuple(x.shape))
    source[:] = x.numpy()
    sink = np.lib.format.open_memmap(tmp_path / "y.npy", mode="w+", dtype=np.float32, shape=tuple(wanted.shape))
    assert stream(network, source, sink, strip=8) is sink
    assert difference(torch.from_numpy(np.array(sink)), wanted) <= TOLERANCE
    with pytest.raises(UserError, match="the sink has shape"):
        stream(network, source, np.zeros((1, 2, 3)))
    with pytest.raises(UserError, match="cannot be sliced"):
        stream(network, 3)


def test_large_coordinates_keep_aten_s_weights():
    """At row 100000 the float32 index formula of a resize differs visibly from the exact one; ours follows ATen."""
    network = toy_models.Lambda(lambda m, x: nn.functional.interpolate(x, size=(150_001,), mode="linear"))
    x = example(1, 100_000)
    assert difference(torch.from_numpy(stream(network, x.numpy(), strip=999)), whole(network, x)) <= 1e-6


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "factor"), [((20, 22), 1.04), ((20, 22), 2.04), ((150, 8), 1.005), ((150, 8), 2.005)])
def test_a_factor_that_gives_the_lengths_of_another(mode, size, factor):
    """ATen goes by the lengths in some kernels and by the factor in others, also by how large the output is."""
    network = toy_models.Lambda(lambda m, x: F.interpolate(x, scale_factor=factor, mode=mode))
    x = example(4, *size)
    wanted, ready = whole(network, x), prepare(network, (4, *size))
    assert wanted.shape[1:] == tuple(n * int(factor) for n in size)
    for cut in ({"axis": 0}, {"axis": 1}, {"axis": 0, "blocks": 2}):
        assert difference(torch.from_numpy(stream(ready, x.numpy(), strip=5, **cut)), wanted) <= TOLERANCE


@pytest.mark.parametrize(("mode", "factor"), [("linear", 1.04), ("linear", 2.04), ("nearest", 1.04), ("nearest", 2.04)])
def test_a_factor_that_gives_the_lengths_of_another_on_a_line(mode, factor):
    network, x = toy_models.Lambda(lambda m, x: F.interpolate(x, scale_factor=factor, mode=mode)), example(2, 20)
    assert difference(torch.from_numpy(stream(network, x.numpy(), strip=5)), whole(network, x)) <= TOLERANCE


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear"])
def test_resizes_of_float64_are_as_precise(mode):
    network = toy_models.Lambda(lambda m, x: m.a(F.interpolate(x, size=28_001, mode=mode)), a=nn.Conv1d(1, 1, 1))
    network, x = network.double(), example(1, 20_001).double()
    assert difference(torch.from_numpy(stream(network, x.numpy(), strip=999)), whole(network, x)) <= 1e-12


def test_without_multiplications_windows_are_not_chosen():
    network, x = toy_models.Lambda(lambda m, x: F.avg_pool2d(x, 3, 1, 1) * (1 / x.shape[2])), example(1, 1500, 20)
    assert plan(network, (1, 1500, 20)).strategy == "strips"
    assert difference(torch.from_numpy(stream(network, x.numpy())), whole(network, x)) <= TOLERANCE


def test_windows_take_the_output_asked_for(monkeypatch):
    monkeypatch.setitem(windows.CORE, 1, 64)
    network = toy_models.Lambda(lambda m, x: {"out": m.a(x), "aux": m.b(x)}, a=nn.Conv1d(1, 1, 3), b=nn.Conv1d(1, 1, 3))
    x = example(1, 300)
    found = torch.from_numpy(stream(network, x.numpy(), output="aux", strategy="windows"))
    assert difference(found, network.b(x[None])[0].detach()) <= TOLERANCE


def test_a_global_pool_with_its_own_divisor():
    network, x = toy_models.chain(2, lambda x: x + F.avg_pool2d(x, x.shape[2:], divisor_override=7)), example(2, 12, 9)
    assert difference(torch.from_numpy(stream(network.eval(), x.numpy(), strip=4)), whole(network, x)) <= TOLERANCE


@pytest.mark.parametrize("pads", [(-1, 2), (2, -1), (-2, -1)])
def test_circular_padding_with_a_side_cropped(pads):
    network, x = toy_models.Lambda(lambda m, x: F.pad(x, pads, "circular")), torch.arange(6.0)[None]
    assert np.array_equal(stream(network, x.numpy(), strip=2), whole(network, x).numpy())


@pytest.mark.slow
def test_two_threads_prepare_one_network():
    network = settled(toy_models.unet(2)).train()
    with ThreadPoolExecutor(2) as pool:
        ready = list(pool.map(lambda _: prepare(network, (2, 16, 16)), range(8)))
    assert all(module.training for module in network.modules())
    assert len({len(r.graph.ops) for r in ready}) == 1


@pytest.mark.parametrize("norm", [False, True])
def test_frames_of_a_batch_each_by_itself(norm):
    """The first axis is the batch of 2-D operators: streams; the others do where no norm takes statistics per frame."""
    network, x = settled(toy_models.frames(norm)), example(2, 9, 12, 10)
    ready, wanted = prepare(network, (2, 9, 12, 10)), whole(network, x)
    for cut in [{"strip": 1}, {"strip": 4}, *([] if norm else [{"strip": 3, "blocks": 2}, {"strip": 4, "axis": 1}])]:
        assert difference(torch.from_numpy(stream(ready, x.numpy(), **{"axis": 0, **cut})), wanted) <= TOLERANCE
    if norm:
        with pytest.raises(Refused, match="several images in one batch"):
            stream(ready, x.numpy(), axis=1)


def test_outputs_without_channels():
    """A head that squeezes its one channel away, and labels made inside the network."""
    x = example(2, 40, 24)
    for head in (lambda m, x: m.a(x)[:, :1].squeeze(1), lambda m, x: m.a(x).argmax(1)):
        network = toy_models.Lambda(head, a=nn.Conv2d(2, 3, 3, padding=1))
        wanted = whole(network, x).numpy()
        for cut in ({"strip": 7}, {"strip": 9, "blocks": 2}, {"strategy": "windows"}):
            found = stream(network, x.numpy(), **cut)
            assert found.dtype == wanted.dtype
            assert np.allclose(found, wanted, atol=1e-5)
        part = stream(network, x.numpy(), region=(slice(3, 9), slice(5, 6)))
        assert np.allclose(part, wanted[3:9, 5:6], atol=1e-5)
    with pytest.raises(UserError, match="needs channels"):
        stream(network, x.numpy(), post="argmax")


def test_constants_and_masks_in_lower_precision():
    network = toy_models.Lambda(
        lambda m, x: m.a(torch.cat([x * (x > 0).float(), torch.linspace(0, 1, x.shape[3]).expand_as(x)], 1)),
        a=nn.Conv2d(4, 3, 3),
    )
    x = example(2, 20, 20)
    found = torch.from_numpy(stream(network, x.numpy(), strip=4, dtype=torch.bfloat16))
    assert difference(found, whole(network, x)) <= 2e-2


def test_networks_without_weights():
    pad = toy_models.Lambda(lambda m, x: nn.functional.pad(x, (1, 2, 9, 11)))
    x = example(2, 20, 20)
    assert np.array_equal(stream(pad, x.numpy(), strip=1), whole(pad, x).numpy())
    region = (slice(0, 2), slice(0, 2))
    assert np.array_equal(stream(pad, x.numpy(), strip=1, region=region), whole(pad, x)[:, *region].numpy())


def test_blocks_need_an_axis_to_cut():
    network = toy_models.chain(2, lambda x: x + x.flip(3))
    with pytest.raises(UserError, match="no second axis"):
        stream(settled(network), example(2, 16, 16).numpy(), blocks=2)


def test_lower_precision_and_several_outputs():
    network = toy_models.Lambda(lambda m, x: {"out": m.a(x), "aux": x}, a=nn.Conv2d(2, 3, 3))
    x = example(2, 20, 20)
    wanted = torch.nn.functional.conv2d(x[None], network.a.weight, network.a.bias)[0]
    assert difference(torch.from_numpy(stream(network, x.numpy(), strip=4)), wanted.detach()) <= TOLERANCE
    assert (
        difference(torch.from_numpy(stream(network, x.numpy(), strip=4, dtype=torch.bfloat16)), wanted.detach()) <= 2e-2
    )
    assert np.array_equal(stream(network, x.numpy(), output="aux"), x.numpy())
    with pytest.raises(UserError, match="choose one"):
        stream(network, x.numpy(), output="nothing")


def test_rows_that_only_output_padding_makes_in_blocks():
    parts = nn.ConvTranspose2d(3, 3, (3, 1), stride=(2, 1), output_padding=(1, 0)), nn.Conv2d(3, 3, 3, padding=1)
    network, x = settled(nn.Sequential(*parts)), torch.randn(3, 32, 8)
    with torch.inference_mode():
        wanted = network(x[None])[0]
    for blocks in (1, 2):
        found = torch.from_numpy(stream(network, x.numpy(), axis=0, strip=4, blocks=blocks))
        assert difference(found, wanted) <= 5e-5
