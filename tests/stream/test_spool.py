"""Spooled rows come back as they were stored, in every type, and leave no file behind."""

import pytest
import torch
from torch import nn

from atrous.stream.prepare import prepare
from atrous.stream.spool import Spool
from tests.toy_models import Lambda


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rows_and_blocks_come_back(dtype, tmp_path):
    graph = prepare(nn.Conv2d(1, 3, 3, padding=1), (1, 8, 10)).graph
    value = graph.output
    spool = Spool(tmp_path / "a" / "b", graph, dtype)
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
    graph = prepare(Lambda(lambda m, x: (x > 0).float()), (2, 9)).graph
    mask = next(op.index for op in graph.ops if op.dtype == torch.bool)
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    spool = Spool(tmp_path, graph, torch.bfloat16)
    x = torch.randn(1, 2, 9) > 0
    spool.write(mask, {2: (0, 9)}, x)
    found = spool.read(mask, {1: (1, 2), 2: (2, 9)})
    assert found.dtype == torch.bool
    assert torch.equal(found, x[:, 1:2, 2:9])
    spool.remove()
    assert list(tmp_path.iterdir()) == [other]


def test_the_first_write_forgets_an_earlier_run(tmp_path):
    graph = prepare(nn.Conv1d(1, 1, 1), (1, 4)).graph
    for first in (1.0, 2.0):
        spool = Spool(tmp_path, graph, torch.float32)
        spool.write(graph.output, {2: (0, 2)}, torch.full((1, 1, 2), first))
        assert spool.read(graph.output, {}).tolist() == [[[first, first, 0, 0]]]
