"""Two runs never write into one zarr array at once; one run writes whole shards."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import zarr
from torch import nn

from atrous.errors import UserError
from atrous.stream import stream
from atrous.stream.sole import sole_writer, zarr_path

HOLD = """
import sys, zarr
from atrous.stream.sole import sole_writer
with sole_writer(zarr.open_array(sys.argv[1], mode="r+")):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def array(tmp_path):
    return zarr.create_array(
        tmp_path / "out.zarr", shape=(2, 64, 24), chunks=(2, 4, 24), shards=(2, 16, 24), dtype="f4"
    )


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 2, 3, padding=1).eval()


@pytest.mark.slow
def test_another_process_is_refused_while_one_writes(array, tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 64, 24)).astype("f4")
    path = tmp_path / "out.zarr"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=r"out\.zarr: another run is writing into it") as caught:
            stream(network(), x, array, strip=5)
        assert "\n" not in str(caught.value)
        other.communicate("")
    wanted = network()(torch.from_numpy(x)[None])[0].detach().numpy()
    for options in ({"strip": 5}, {"strategy": "windows"}, {"strip": 7, "blocks": 2}):
        array[...] = 0
        stream(network(), x, array, **options)
        np.testing.assert_allclose(array[...], wanted, atol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == ["out.zarr"]


def test_the_lock_is_released_when_a_run_fails(array):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), sole_writer(array):
            _ = 1 / 0


def test_other_sinks_have_no_lock(tmp_path):
    assert zarr_path(np.zeros(3)) is None
    assert zarr_path(None) is None
    assert zarr_path(zarr.create_array(zarr.storage.MemoryStore(), shape=(3,), dtype="f4")) is None
    with sole_writer(np.zeros(3)), sole_writer(None):
        assert list(tmp_path.iterdir()) == []
