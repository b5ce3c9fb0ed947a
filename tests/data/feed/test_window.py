"""Samples are shuffled within a window: the batches depend on the seed and the step alone, and few samples are held."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.data.feed.batches import Batches, Dealt
from atrous.data.feed.decode import Column, Decoded, Parts
from atrous.data.feed.kept import DiskBudget, SampleStore
from atrous.data.feed.pairs import cut_shifted
from atrous.data.feed.views import Geometry, draw_view
from atrous.data.feed.window import WindowBatches, WindowOrder
from atrous.data.targets.labels import Labels
from atrous.data.targets.places import Places

SIDE, BYTES = 32, 2 * 32 * 32


def parts(index):
    """A sample whose pixels all say which one it is."""
    full = np.full((SIDE, SIDE), index, np.uint8)
    return Parts(full[None], full % 3, {})


def window_batches(tmp_path, count=40, window=6, size=4, *, memory=100 * BYTES, disk=0, crop=16):
    store = SampleStore(parts, [BYTES] * count, memory=memory, disk=DiskBudget(disk), scratch=tmp_path)
    names = tuple(str(index) for index in range(count))
    data = Decoded(names, *Column.of(store, count), Labels, sizes=((SIDE, SIDE),) * count)
    batches = Batches(data, Geometry((crop, crop), rotate=0.0), None, size, 7, 1.0)
    return WindowBatches(batches, store, WindowOrder(batches.worth(), window, 7), window)


@pytest.fixture
def made(tmp_path):
    """Makes batches, whose threads end with the test."""
    made = []

    def make(folder="a", **options):
        (tmp_path / folder).mkdir(exist_ok=True)
        made.append(window_batches(tmp_path / folder, **options))
        return made[-1]

    yield make
    for batches in made:
        batches.store.close()


@pytest.mark.parametrize(("worth", "window"), [([3, 1, 4, 1, 5, 9, 2, 6], 3), ([1] * 8, 2), ([2, 2], 50)])
def test_every_epoch_has_the_crops_of_all_samples(worth, window):
    order, epochs = WindowOrder(np.array(worth), window, 0), 6
    dealt = order.samples(0, epochs * order.per_epoch)
    # the first epoch begins with crops that one before it would have left over, and the last one leaves as many
    counts = Counter(dealt.tolist())
    for sample, times in enumerate(worth):
        assert abs(counts[sample] - epochs * times) <= times
    for first in range(0, len(dealt), 5):  # as if asked for from any crop on
        np.testing.assert_array_equal(order.samples(first, 7)[: len(dealt) - first], dealt[first : first + 7])
    again = WindowOrder(np.array(worth), window, 0)
    np.testing.assert_array_equal(again.samples(order.per_epoch, 5), dealt[order.per_epoch : order.per_epoch + 5])
    assert WindowOrder(np.array(worth), window, 1).samples(0, len(dealt)).tolist() != dealt.tolist()


def test_samples_of_a_shard_come_close_together():
    shards = [list(range(first, first + 5)) for first in range(0, 100, 5)]
    order = WindowOrder(np.ones(100, int), 4, 0, shards)
    dealt = order.samples(0, 600) // 5
    assert set(dealt[:110].tolist()) == set(range(20))
    # a crop comes at most a window late, so so many lie between the first and the last of 20 crops in a row
    assert max(len(set(dealt[first : first + 20].tolist())) for first in range(580)) <= 7
    orders = {tuple(dealt[first : first + 100].tolist()) for first in range(0, 500, 100)}
    assert len(orders) == 5  # another order of the shards in each epoch


def test_a_sample_is_needed_during_one_span_of_an_epoch():
    count, worth, window = 200, 10, 5
    order = WindowOrder(np.full(count, worth), window, 3)
    dealt = order.samples(0, order.per_epoch)
    places = {sample: np.flatnonzero(dealt == sample) for sample in range(count)}
    # of `window` samples that are mixed at a time, each has crops in a span of about window * worth of them
    lengths = [place[-1] - place[0] for place in places.values() if len(place) == worth]
    assert len(lengths) > count - 2 * window
    assert max(lengths) <= 1.5 * window * worth
    assert np.mean(np.abs(np.diff(dealt)) > 0) > 0.6  # they are mixed: the next crop is mostly of another sample


def test_batches_depend_on_the_seed_and_the_step_and_not_on_what_is_held(made):
    wide, narrow, on_disk = made(), made("b", memory=3 * BYTES), made("c", memory=3 * BYTES, disk=10 * BYTES)
    steps = [0, 1, 2, 30, 31, 57, 3]
    for step in steps:
        first = wide[step]
        for other in (narrow[step], on_disk[step]):
            torch.testing.assert_close(other.images, first.images, rtol=0, atol=0)
            torch.testing.assert_close(other.targets, first.targets, rtol=0, atol=0)
            assert other.names == first.names
        assert [float(image.median()) for image in first.images] == [float(name) for name in first.names]


def test_memory_stays_bounded_and_samples_are_decoded_ahead_once(made):
    window, count = 6, 40
    batches = made(window=window, count=count, memory=20 * BYTES)
    for step in range(batches.per_epoch):
        batches[step]
    store = batches.store
    assert store.most <= 20 * BYTES
    assert store.held <= store.most
    assert batches.per_epoch == count  # four crops of each sample, by fours
    # once each; those of the window at the beginning and the end twice, and some ahead of the next epoch
    assert count <= store.decoded <= count + 2 * window + 15


def test_without_a_window_batches_are_those_of_before(made):
    lazy = made(count=5).batches
    decoded = replace(lazy.decoded, images=list(lazy.decoded.images), values=list(lazy.decoded.values),
                      places=list(lazy.decoded.places), sizes=())  # fmt: skip
    batches = replace(lazy, decoded=decoded)
    deck = np.repeat(np.arange(5), 4)
    for step in (0, 3, 5):
        order = np.random.default_rng([7, 0, step * 4 // 20]).permutation(deck)
        chosen, rng = order[step * 4 % 20 :][:4], np.random.default_rng([7, 1, step])
        views = [draw_view(rng, int(index), (SIDE, SIDE), {}, batches.geometry) for index in chosen]
        images = [cut_shifted(decoded.images[view.index], view, (16, 16), None) for view in views]
        for made_batch in (batches[step], lazy[step]):
            torch.testing.assert_close(made_batch.images, torch.stack(images), rtol=0, atol=0)
            assert made_batch.names == tuple(str(index) for index in chosen)


def test_memory_for_fewer_samples_than_the_window_has_is_enough(made):
    batches = made(window=10, memory=3 * BYTES)
    for step in range(10):
        batches[step]
    # one more than fits is decoded where a crop waits for it
    assert batches.store.most <= 4 * BYTES


def test_what_lies_on_disk_is_not_decoded_again(made):
    count = 12
    batches = made(count=count, window=3, memory=6 * BYTES, disk=count * BYTES)
    for step in range(4 * batches.per_epoch):
        batches[step]
    assert batches.store.decoded == count
    half = made("b", count=count, window=3, memory=4 * BYTES, disk=6 * BYTES)
    for step in range(4 * half.per_epoch):
        half[step]
    assert count < half.store.decoded <= 6 + 6 * 10


def test_each_of_several_processes_decodes_its_own_share_alone(made):
    whole = made()
    shares = [made(f"rank{rank}") for rank in range(2)]
    for step in (0, 1, 5):
        dealt = [Dealt(batches, 4, rank, 2)[step] for rank, batches in enumerate(shares)]
        torch.testing.assert_close(torch.cat([part.images for part in dealt]), whole[step].images, rtol=0, atol=0)
        assert dealt[0].names + dealt[1].names == whole[step].names
    asked = []
    alone = made("alone")
    alone.store._read = lambda index: (asked.append(index), parts(index))[1]
    needed = alone._needed(0, range(0, 1))
    assert len(needed) < len(alone._needed(0, range(0, 4)))
    Dealt(alone, 4, 0, 4)[0]
    alone.store.close()
    assert set(asked) <= set(needed)


def test_an_error_of_a_file_is_raised_where_it_is_needed_and_the_read_is_tried_again(tmp_path):
    tries = []

    def read(index):
        tries.append(index)
        if len(tries) == 1:
            raise OSError("the store ended the connection")
        return parts(index)

    store = SampleStore(read, [BYTES] * 2, memory=10 * BYTES, disk=DiskBudget(0), scratch=tmp_path)
    try:
        with pytest.raises(OSError, match="ended the connection"):
            store(0)
        assert store.held == 0
        assert store(0).image.max() == 0
        assert tries == [0, 0]
    finally:
        store.close()


def test_samples_of_validation_are_decoded_in_turn(tmp_path):
    store = SampleStore(parts, [BYTES] * 9, memory=4 * BYTES, disk=DiskBudget(0), scratch=tmp_path, in_turn=2)
    try:
        column = Column(store, 0, range(9))
        assert [int(image.max()) for image in column] == list(range(9))
        assert [int(image.max()) for image in column.picked([4, 2])] == [4, 2]
        assert store.most <= 4 * BYTES
        data = Decoded(tuple("abcdefghi"), *Column.of(store, 9), Labels, sizes=((SIDE, SIDE),) * 9)
        some = data.some([8, 1])
        assert (some.names, some.sizes, int(some.images[0].max())) == (("i", "b"), ((SIDE, SIDE),) * 2, 8)
    finally:
        store.close()


def test_pasted_objects_come_from_the_batch(made):
    batches = made(count=12)
    pasting = replace(batches, batches=replace(batches.batches, paste=1.0))
    first, again = pasting[3], pasting[3]
    torch.testing.assert_close(first.images, again.images, rtol=0, atol=0)
    assert set(np.unique(first.images.round())) <= {float(name) for name in first.names} | {0.0}


def test_boxes_of_samples_on_disk_are_kept(tmp_path):
    def read(index):
        image = np.full((1, SIDE, SIDE), index, np.uint8)
        return Parts(image, Places((SIDE, SIDE), np.full((1, 4), index, float), np.array([index])), {})

    store = SampleStore(read, [BYTES] * 3, memory=BYTES, disk=DiskBudget(100 * BYTES), scratch=tmp_path)
    try:
        for _ in range(2):
            for index in range(3):
                found = store(index)
                assert isinstance(found.image, np.memmap)
                assert (found.values.places.tolist(), found.values.classes.tolist()) == ([[index] * 4], [index])
        assert store.decoded == 3
    finally:
        store.close()
