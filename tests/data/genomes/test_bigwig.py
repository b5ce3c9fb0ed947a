"""bigWig files: the values that pyBigWig writes and reads; damage is named."""

import struct

import numpy as np
import pyBigWig
import pytest

from atrous.data.genomes.bigwig import BigWig

SIZES = {"chr1": 5000, "chr2": 70_000, "tiny": 3}


def write(path, kind, rng, zooms=10):
    """Entries of one kind, by pyBigWig."""
    file = pyBigWig.open(str(path), "w")
    file.addHeader(list(SIZES.items()), maxZooms=zooms)
    if kind == "bedgraph":
        starts = np.sort(rng.choice(60_000, 3000, replace=False)) + 10
        ends = np.minimum(starts + rng.integers(1, 40, 3000), np.append(starts[1:], 69_000))
        file.addEntries(["chr1"], [5], ends=[17], values=[2.5])
        file.addEntries(["chr2"] * 3000, starts.tolist(), ends=ends.tolist(), values=rng.normal(size=3000).tolist())
    elif kind == "variable":
        file.addEntries("chr1", [3, 90, 4000], values=[1.0, 2.0, 3.0], span=20)
        file.addEntries("chr2", list(range(0, 60_000, 30)), values=rng.normal(size=2000).tolist(), span=7)
    else:
        file.addEntries("chr1", 100, values=rng.normal(size=4000).tolist(), span=1, step=1)
        file.addEntries("chr2", 7, values=rng.normal(size=500).tolist(), span=3, step=90)
        file.addEntries("tiny", 0, values=[1.0, 2.0, 3.0], span=1, step=1)
    file.close()
    return path


@pytest.mark.parametrize("kind", ["bedgraph", "variable", "fixed"])
def test_values_are_those_of_pybigwig(tmp_path, kind):
    rng = np.random.default_rng(0)
    path = write(tmp_path / "a.bw", kind, rng)
    ours, theirs = BigWig(path), pyBigWig.open(str(path))
    assert ours.chroms == theirs.chroms()
    for name, size in SIZES.items():
        places = [(0, size), (1, 2), (size - 2, size), *np.sort(rng.integers(0, size, (20, 2))).tolist()]
        for start, stop in places:
            if stop > start:
                truth = np.asarray(theirs.values(name, start, stop), np.float32)
                np.testing.assert_array_equal(ours.values(name, start, stop), truth)
    theirs.close()


def test_many_sequences_make_a_deep_tree(tmp_path):
    path = tmp_path / "a.bw"
    sizes = [(f"contig{i:05d}", 50 + i) for i in range(3000)]
    file = pyBigWig.open(str(path), "w")
    file.addHeader(sizes)
    for name, _ in sizes:
        file.addEntries(name, 3, values=[1.0, 2.0], span=1, step=1)
    file.close()
    found = BigWig(path)
    assert found.chroms == dict(sizes)
    assert found.values("contig02999", 2, 6).tolist()[1:3] == [1.0, 2.0]


@pytest.mark.parametrize(("place", "content", "said"), [
    (0, b"\0\0\0\0", "does not begin as bigWig"),
    (0, struct.pack("<I", 0x8789F2EB), "bigBed"),
    (8, b"\xff" * 8, "refers to"),
    (24, b"\xff" * 8, "refers to"),
    (24, bytes(8), "index is damaged"),
    (8, bytes(8), "list of sequences is damaged"),
])  # fmt: skip
def test_damage_is_named(tmp_path, place, content, said):
    path = write(tmp_path / "a.bw", "fixed", np.random.default_rng(0))
    data = bytearray(path.read_bytes())
    data[place : place + len(content)] = content
    path.write_bytes(data)
    with pytest.raises(ValueError, match=said):
        BigWig(path)
