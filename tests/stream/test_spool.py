"""Spooled rows come back as they were stored, in every type, and leave no file behind."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from atrous.stream.prepare import prepare
from atrous.stream.spool import Spool
from tests.toy_models import Lambda

CONVOLUTIONS, READY = (nn.Conv1d, nn.Conv2d, nn.Conv3d), {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rows_and_blocks_come_back(dtype, tmp_path):
    ready = prepare(nn.Conv2d(1, 3, 3, padding=1), (1, 8, 10))
    value = ready.graph.output
    spool = Spool(tmp_path / "a" / "b", ready.axes[0], dtype)
    x = torch.randn(1, 3, 8, 10).to(dtype)
    spool.write(value, {2: (0, 5)}, x[:, :, :5])
    spool.write(value, {2: (5, 8), 3: (0, 4)}, x[:, :, 5:, :4])
    spool.write(value, {2: (5, 8), 3: (4, 10)}, x[:, :, 5:, 4:])
    rows = spool.read(value, {2: (3, 7)})
    assert rows.dtype == dtype
    assert torch.equal(rows, x[:, :, 3:7])
    assert rows.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(spool.read(value, {}), x)
    spool.remove()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_masks_keep_their_type_and_files_of_others_stay(tmp_path):
    ready = prepare(Lambda(lambda m, x: (x > 0).float()), (2, 9))
    mask = next(op.index for op in ready.graph.ops if op.dtype == torch.bool)
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    spool = Spool(tmp_path, ready.axes[0], torch.bfloat16)
    x = torch.randn(1, 2, 9) > 0
    spool.write(mask, {2: (0, 9)}, x)
    found = spool.read(mask, {1: (1, 2), 2: (2, 9)})
    assert found.dtype == torch.bool
    assert torch.equal(found, x[:, 1:2, 2:9])
    spool.remove()
    assert list(tmp_path.iterdir()) == [other]


def test_the_first_write_forgets_an_earlier_run(tmp_path):
    ready = prepare(nn.Conv1d(1, 1, 1), (1, 4))
    for first in (1.0, 2.0):
        spool = Spool(tmp_path, ready.axes[0], torch.float32)
        spool.write(ready.graph.output, {2: (0, 2)}, torch.full((1, 1, 2), first))
        assert spool.read(ready.graph.output, {}).tolist() == [[[first, first, 0, 0]]]


@pytest.mark.parametrize("shape", [(9,), (6, 8), (5, 4, 6)])
@pytest.mark.parametrize("along", [0, 1, 2])
@given(seed=st.integers(0, 2**16))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_box_of_any_grid_is_that_of_an_array(shape, along, seed, tmp_path):
    if along >= len(shape):
        return
    ready = READY.setdefault(len(shape), prepare(CONVOLUTIONS[len(shape) - 1](1, 3, 1), (1, *shape)))
    spool, rng = Spool(tmp_path, ready.axes[along], torch.float32), np.random.default_rng(seed)
    truth = torch.zeros(1, 3, *shape)
    for _ in range(4):
        dims = {}
        for axis in rng.permutation(len(shape))[: rng.integers(0, len(shape) + 1)]:
            lo, hi = sorted(rng.choice(shape[axis] + 1, 2, replace=False).tolist())
            dims[2 + int(axis)] = (lo, hi)
        key = tuple(slice(*dims[dim]) if dim in dims else slice(None) for dim in range(2 + len(shape)))
        rows = torch.randn(truth[key].shape)
        truth[key] = rows
        spool.write(ready.graph.output, dims, rows)
        dims.popitem() if dims else None
        key = tuple(slice(*dims[dim]) if dim in dims else slice(None) for dim in range(2 + len(shape)))
        assert torch.equal(spool.read(ready.graph.output, dims), truth[key])
    spool.remove()


def test_a_file_that_was_cut_short_is_an_error(tmp_path):
    ready = prepare(nn.Conv1d(1, 1, 1), (1, 4))
    spool = Spool(tmp_path, ready.axes[0], torch.float32)
    spool.write(ready.graph.output, {}, torch.ones(1, 1, 4))
    next(tmp_path.iterdir()).write_bytes(b"1234")
    with pytest.raises(OSError, match="ended before all rows were read or written"):
        spool.read(ready.graph.output, {})
