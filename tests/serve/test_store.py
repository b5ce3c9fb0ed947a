"""Labels are known where they were written, and nowhere else."""

import numpy as np
import pytest

from atrous.serve.levels import NoTile
from atrous.serve.store import BLOCK, UNKNOWN, FillSink, LabelStore

SIZE = (300, 500)
LABELS = np.random.default_rng(0).integers(0, 9, SIZE).astype(np.uint8)
ALL = (slice(0, 300), slice(0, 500))


def write(store, *region):
    store.write(region, LABELS[region])


def test_what_was_written_is_known_and_the_rest_is_not(tmp_path):
    store = LabelStore(tmp_path, SIZE)
    assert store.missing(ALL) == ALL
    write(store, slice(128, 300), slice(0, 256))
    assert store.missing((slice(128, 300), slice(0, 256))) is None
    assert store.missing((slice(100, 140), slice(0, 100))) == (slice(0, 128), slice(0, 128))
    values, exact = store.tile((0, 0), 0, 0, 0)
    assert not exact
    np.testing.assert_array_equal(values[128:], LABELS[128:256, :256])
    assert set(values[:128].ravel()) == {UNKNOWN}
    write(store, *ALL)
    assert store.complete
    assert store.share == 1
    assert store.tile((0, 0), 0, 0, 1)[1]


def test_blocks_that_are_covered_in_part_are_not_known(tmp_path):
    store = LabelStore(tmp_path, SIZE)
    write(store, slice(0, 200), slice(5, 500))
    assert store.missing((slice(0, 128), slice(128, 500))) is None
    assert store.missing((slice(0, 1), slice(0, 1))) is not None
    assert store.missing((slice(128, 129), slice(300, 301))) is not None


def test_a_coarse_tile_has_the_labels_in_the_middle_of_what_its_pixels_cover(tmp_path):
    store = LabelStore(tmp_path, SIZE)
    write(store, *ALL)
    values, exact = store.tile((0, 0), 1, 0, 0)
    assert exact
    np.testing.assert_array_equal(values, LABELS[1::2, 1::2])
    with pytest.raises(NoTile):
        store.tile((0, 0), 2, 0, 0)
    with pytest.raises(NoTile):
        store.tile((0, 0), 0, 2, 0)


def test_planes_of_a_volume(tmp_path):
    labels = np.random.default_rng(0).integers(0, 3, (20, 30, 40)).astype(np.uint8)
    store = LabelStore(tmp_path, labels.shape)
    store.write((slice(0, 20), slice(0, 30), slice(0, 40)), labels)
    for axis in range(3):
        values, exact = store.tile((axis, 7), 0, 0, 0)
        assert exact
        np.testing.assert_array_equal(values, labels.take(7, axis))
    for cut in ((3, 0), (0, 20), (-1, 0)):
        with pytest.raises(NoTile):
            store.tile(cut, 0, 0, 0)


def test_another_process_finds_what_was_written(tmp_path):
    write(LabelStore(tmp_path, SIZE), slice(0, 128), slice(0, 128))
    again = LabelStore(tmp_path, SIZE)
    assert again.missing((slice(0, 100), slice(0, 100))) is None
    np.testing.assert_array_equal(again.tile((0, 0), 0, 0, 0)[0][:128, :128], LABELS[:128, :128])


def test_labels_that_are_gone_are_no_longer_known(tmp_path):
    write(LabelStore(tmp_path, SIZE), *ALL)
    (tmp_path / "labels.npy.progress.npz").touch()
    (tmp_path / "labels.npy").write_bytes(b"damaged")
    assert LabelStore(tmp_path, SIZE).share == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["known.npy", "labels.npy"]


def test_the_nearest_part_to_the_middle_comes_first_and_all_parts_come(tmp_path):
    store = LabelStore(tmp_path, SIZE)
    parts = []
    while (box := store.missing(ALL)) is not None:
        parts.append(store.nearest(box, 128 * 128, ALL))
        write(store, *parts[-1])
    assert parts[0][0] == slice(128, 256)
    assert parts[0][1].start in (128, 256)
    assert len(parts) == store._known.size
    assert store.complete


@pytest.mark.parametrize(
    ("size", "most", "parts"), [(1152, 1024, 1), (1408, 1024, 1), (1664, 1024, 2), (4096, 1024, 4)]
)
def test_a_box_barely_larger_than_a_part_is_not_cut(tmp_path, size, most, parts):
    store = LabelStore(tmp_path, (size, size))
    box = (slice(0, size), slice(0, size))
    found = []
    while (missing := store.missing(box)) is not None:
        found.append(store.nearest(missing, most**2, box))
        store.write(found[-1], np.zeros([part.stop - part.start for part in found[-1]], np.uint8))
    assert len(found) == parts**2
    assert max(part.stop - part.start for one in found for part in one) <= 1.5 * most


@pytest.mark.parametrize("rows", [7, 100, 300])
@pytest.mark.parametrize("columns", [500, 200])
def test_strips_thinner_than_blocks_become_known_as_they_come(tmp_path, rows, columns):
    store = LabelStore(tmp_path, SIZE)
    sink = FillSink(store)
    for left in range(0, 500, columns):
        right = min(left + columns, 500)
        for top in range(0, 300, rows):
            sink[top : top + rows, left:right] = LABELS[top : top + rows, left:right]
            full = min(top + rows, 300) // BLOCK[2] * BLOCK[2]
            inside = right // BLOCK[2] * BLOCK[2]
            first = -(-left // BLOCK[2]) * BLOCK[2]
            if full and first < inside:
                assert store.missing((slice(0, full), slice(first, inside))) is None
    np.testing.assert_array_equal(store.labels, LABELS)
    np.testing.assert_array_equal(sink[3:5], LABELS[3:5])
    assert store.complete == (columns == 500 or rows == 300)
    store.finish()
    assert store.complete


def test_strips_of_columns_become_known_too(tmp_path):
    store = LabelStore(tmp_path, SIZE)
    sink = FillSink(store)
    for left in range(0, 500, 60):
        sink[:, left : left + 60] = LABELS[:, left : left + 60]
    assert store.complete
    assert sink.filename == tmp_path / "labels.npy"


def test_a_closed_store_is_opened_by_whoever_needs_it(tmp_path):
    store = LabelStore(tmp_path, SIZE)
    write(store, *ALL)
    store.close()
    assert not store.is_open
    np.testing.assert_array_equal(store.tile((0, 0), 0, 0, 1)[0], LABELS[:256, 256:])
    assert (store.is_open, store.complete) == (True, True)
