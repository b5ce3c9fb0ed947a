"""Mapped files give back their memory and keep their content."""

import resource
import sys
from pathlib import Path

import numpy as np
import pytest

from atrous.source import release


def resident() -> int:
    """Bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_mapped_file_gives_back_its_memory_and_keeps_what_was_written(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (64 << 20,))
    before = resident()
    array[:] = 7
    filled = resident()
    release(array[10:20])
    assert filled - before > 60 << 20
    assert resident() - before < 10 << 20
    assert (array == 7).all()
    del array
    assert (np.load(tmp_path / "a.npy") == 7).all()


def test_changes_of_a_private_mapping_and_of_an_array_in_memory_are_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(10_000))
    private, plain = np.load(tmp_path / "a.npy", mmap_mode="c"), np.zeros(4)
    private[:], plain[:] = 3, 5
    release(private)
    release(plain)
    assert (private == 3).all()
    assert (plain == 5).all()
