"""Held rows come back as they were, from memory and from disk."""

import pytest
import torch

from atrous.stream.held import HeldRows
from atrous.stream.run import Buffer


@pytest.mark.parametrize("on_disk", [False, True])
def test_rows_come_back_once(tmp_path, on_disk):
    rows = torch.arange(24.0).reshape(1, 2, 12)
    held = HeldRows(tmp_path / "held" if on_disk else None)
    held.put(0, {})
    held.put(1, {3: Buffer(7, rows[:, :, 4:6]), 5: Buffer(0, rows[:, :1].long())})
    back = held.take(1)
    assert back[3][0] == 7
    torch.testing.assert_close(back[3][1], rows[:, :, 4:6])
    assert back[3][1].untyped_storage().nbytes() == 16
    torch.testing.assert_close(back[5][1], rows[:, :1].long())
    assert held.take(0) == {}
    assert not on_disk or not list((tmp_path / "held").iterdir())
