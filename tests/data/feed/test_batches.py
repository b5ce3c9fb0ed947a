"""Batches depend on the seed and the step alone, and show every sample."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from atrous.data.dataset import open_dataset
from atrous.data.feed.augment import Color
from atrous.data.feed.batches import Batch, Batches, Dealt, ahead, joined_batch
from atrous.data.feed.decode import Decoded, decode
from atrous.data.feed.pairs import Apart
from atrous.data.feed.views import Geometry, draw_view
from atrous.data.restoration import Degradation, Restoration
from atrous.data.targets.fine_image import FineValues
from atrous.data.targets.labels import Labels
from atrous.data.targets.own_image import OwnImage
from tests.object_folders import write_voc


def decoded(sizes):
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 3, size).astype(np.uint8) for size in sizes]
    images = [np.stack([label] * 3) for label in labels]
    places = [{k: np.argwhere(label == k) for k in range(3)} for label in labels]
    return Decoded(tuple(map(str, range(len(sizes)))), tuple(images), tuple(labels), tuple(places), Labels)


def batches(sizes, size=3, seed=0, **geometry):
    return Batches(decoded(sizes), Geometry((16, 16), **geometry), Color(), size, seed, 1.0)


def test_a_step_is_the_same_whenever_it_is_asked_for():
    first, second = batches([(20, 20)] * 5), batches([(20, 20)] * 5)
    resumed = list(islice(ahead(second, 4), 3))
    for step, batch in enumerate(resumed, start=4):
        assert torch.equal(first[step].images, batch.images)
        assert torch.equal(first[step].targets, batch.targets)
    assert not torch.equal(first[0].images, batches([(20, 20)] * 5, seed=1)[0].images)


def test_every_sample_once_an_epoch_and_large_ones_by_their_crops():
    made = batches([(20, 20), (32, 32), (20, 20)], size=2)
    assert made.per_epoch == 3
    seen = Counter(index for step in range(6) for index in made._chosen(step))
    assert seen == {0: 2, 1: 8, 2: 2}


def test_whole_samples_come_once_an_epoch_in_their_own_size():
    made = Batches(
        decoded([(20, 24), (32, 40)]), Geometry((16, 16), (1, 1), 0, (False, False)), None, 1, 0, 1.0, whole=True
    )
    assert made.per_epoch == 2
    for step in range(2):
        batch, (index,) = made[step], made._chosen(step)
        assert batch.targets[0].equal(torch.from_numpy(made.decoded.values[index]).long())
        torch.testing.assert_close(batch.images[0], torch.from_numpy(made.decoded.images[index]).float())


@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 90))
def test_a_crop_that_fits_lies_inside(seed, foreground, turn):
    data = decoded([(64, 48)])
    geometry = Geometry((8, 8), (0.8, 2.0), turn, (True, True), foreground)
    view = draw_view(np.random.default_rng(seed), 0, data.size(0), data.places[0], geometry)
    reach = np.abs(view.matrix) @ np.array([4.0, 4.0])
    assert (view.center - reach >= -1e-9).all()
    assert (view.center + reach <= np.array([64, 48]) + 1e-9).all()


def test_foreground_crops_find_the_rare_class():
    label = np.zeros((200, 200), np.uint8)
    label[150:153, 40:43] = 1
    data = Decoded(("a",), (label[None],), (label,), ({k: np.argwhere(label == k) for k in (0, 1)},), Labels)
    rng = np.random.default_rng(0)

    def share(foreground):
        geometry = Geometry((32, 32), (1, 1), 0, (False, False), foreground)
        views = [draw_view(rng, 0, data.size(0), data.places[0], geometry) for _ in range(300)]
        return np.mean([np.abs(v.center - [151.5, 41.5]).max() < 16 for v in views])

    assert share(0.0) < 0.1
    assert share(1.0) > 0.35


def test_names_that_differ_by_a_folder_share_no_scratch_file(tmp_path):
    names = ("a/b", "a_b", "a-b", "a.b", "A_B", "a/B")
    for value, name in enumerate(names, 1):
        for folder, fill in (("images", 10 * value), ("masks", value)):
            path = tmp_path / "data" / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), fill, np.uint8)).save(path)
    dataset, scratch = open_dataset(tmp_path / "data"), tmp_path / "scratch"
    scratch.mkdir()
    decoded = decode(dataset, dataset.samples, limit=0, scratch=scratch)
    found = [name.removeprefix("images/") for name in decoded.names]
    assert sorted(found) == sorted(names)
    for name, image, label in zip(found, decoded.images, decoded.values, strict=True):
        assert isinstance(image, np.memmap)
        assert np.unique(image).tolist() == [10 * (names.index(name) + 1)]
        assert np.unique(label).size == 1
    assert len({int(np.asarray(label).flat[0]) for label in decoded.values}) == len(names)


def test_a_crop_by_itself_has_its_own_targets():
    labels = Batch(torch.zeros(2, 1, 4), torch.tensor([[1, 1, 1, 1], [2, 2, 2, 2]]))
    assert labels.targets_of(1).tolist() == [[2] * 4] * 2
    rows = torch.tensor([[0.0, 1, 3, 0], [1, 0, 2, 1], [1, 2, 4, 0]])
    boxes = Batch(torch.zeros(2, 1, 4), rows, numbered=True)
    assert boxes.targets_of(1).tolist() == [[0, 0, 2, 1], [0, 2, 4, 0], [1, 0, 2, 1], [1, 2, 4, 0]]


@pytest.mark.parametrize("limit", [1 << 30, 0])
def test_decoding_in_memory_and_mapped_is_the_same(digits, limit, tmp_path):
    dataset = open_dataset(digits)
    here = decode(dataset, dataset.splits["val"], limit=1 << 30, scratch=tmp_path)
    there = decode(dataset, dataset.splits["val"], limit=limit, scratch=tmp_path)
    assert all(isinstance(a, np.memmap) == (limit == 0) for a in there.images)
    for a, b in zip(here.images + here.values, there.images + there.values, strict=True):
        np.testing.assert_array_equal(a, b)
    for label, places in zip(there.values, there.places, strict=True):
        assert set(places) == set(np.unique(label))
        assert all((label[tuple(where.T)] == k).all() for k, where in places.items())


def test_boxes_stay_in_memory_where_images_do_not(tmp_path):
    dataset = open_dataset(write_voc(tmp_path / "data"))
    decoded = decode(dataset, dataset.splits["val"], limit=0, scratch=tmp_path)
    assert all(isinstance(image, np.memmap) for image in decoded.images)
    for sample, values in zip(dataset.splits["val"], decoded.values, strict=True):
        np.testing.assert_array_equal(values.places, sample.target.read().places)


@pytest.mark.parametrize("size", [(20, 26), (12, 14, 10), (60,), (6, 5)])
def test_crops_of_pairs_of_two_sizes_show_the_same(size):
    """Each position of the image is the mean of the block of the target that lies there, also where it is mirrored."""
    factor, ndim = 2, len(size)
    fine = np.random.default_rng(0).normal(size=(1, *(n * factor for n in size))).astype(np.float32)
    coarse = fine
    for axis in range(1, ndim + 1):
        blocks = (*coarse.shape[:axis], coarse.shape[axis] // factor, factor, *coarse.shape[axis + 1 :])
        coarse = coarse.reshape(blocks).mean(axis=axis + 1)
    data = Decoded(("a",), (coarse,), (fine,), ({},), FineValues)
    geometry = Geometry((8,) * ndim, (1.0, 1.0), 0.0, (True,) * ndim, 0.0, keep=tuple(range(ndim)))
    made = Batches(data, geometry, None, 4, 0, 1.0, factor=factor)
    for step in range(4):
        batch = made[step]
        assert batch.targets.shape == (4, 1, *(16,) * ndim)
        seen = batch.targets
        for axis in range(2, ndim + 2):
            seen = seen.unflatten(axis, (8, factor)).mean(axis + 1)
        known = ~torch.isnan(seen)
        assert known.any()
        torch.testing.assert_close(seen[known], batch.images[known], atol=1e-4, rtol=1e-4)


PAIR = {"apart": Apart(2.0, color=True)}
NOISY = {"restoration": Restoration(Degradation(noise=2.0)), "color": None}


@pytest.mark.parametrize("options", [{}, {"apart": Apart(2.0)}, PAIR, NOISY], ids=["one", "alike", "apart", "noisy"])
def test_the_shares_of_all_devices_are_the_batch_of_one(options):
    """Five crops for two devices: three and two, with the draws of the whole batch."""
    data = decoded([(20, 20)] * 3)
    if "apart" in options:
        data = replace(data, images=tuple(np.concatenate([image, image]) for image in data.images))
    if "restoration" in options:
        data = replace(data, values=data.images, places=({},) * 3, target=FineValues)
    made = replace(Batches(data, Geometry((16, 16)), Color(gamma=0.5), 5, 3, 1.0), **options)
    for step in (0, 7):
        parts = [Dealt(made, 5, rank, 2)[step] for rank in range(2)]
        assert [len(part.images) for part in parts] == [3, 2]
        both, whole = joined_batch(parts), made[step]
        assert torch.equal(both.images, whole.images)
        torch.testing.assert_close(both.targets, whole.targets, rtol=0, atol=0, equal_nan=True)
        assert both.names == whole.names


def test_batches_that_are_made_whole_are_dealt_too():
    rows = torch.tensor([[0.0, 5], [2, 6], [2, 7]])

    class Made:
        per_epoch = 4

        def __getitem__(self, step):
            return Batch(torch.arange(3.0).view(3, 1, 1) + step, rows, ("x", "y", "z"), numbered=True)

    parts = [Dealt(Made(), 3, rank, 2)[1] for rank in range(2)]
    assert [part.targets.tolist() for part in parts] == [[[0, 5]], [[0, 6], [0, 7]]]
    assert joined_batch(parts).targets.equal(rows)
    assert joined_batch(parts).images.flatten().tolist() == [1, 2, 3]
    assert Dealt(Made(), 3, 0, 2).per_epoch == 4


@pytest.mark.parametrize("threads", [0, 3])
def test_batches_come_in_order(threads):
    made = batches([(20, 20)] * 5)
    for step, batch in enumerate(islice(ahead(made, 2, threads=threads), 6), start=2):
        assert torch.equal(made[step].images, batch.images)


def test_without_threads_a_batch_is_made_when_it_is_asked_for():
    made, asked = batches([(20, 20)] * 5), []

    class Watched:
        per_epoch = 1

        def __getitem__(self, step):
            asked.append(step)
            return made[step]

    given = ahead(Watched(), 2, threads=0)
    next(given)
    assert asked == [2]


def test_whole_samples_of_odd_size_have_whole_positions_of_the_coarser_grid():
    image = np.arange(31 * 44, dtype=np.float32).reshape(1, 31, 44)
    one = Decoded(("a",), (image,), (image,), ({},), OwnImage)
    geometry = Geometry((16, 16), (1, 1), 0, (False, False), keep=(0, 1))
    made = Batches(one, geometry, None, 1, 0, 1.0, Restoration(Degradation(scale=3)), whole=True)
    assert made[0].images.shape == (1, 1, 10, 14)
    assert made[0].targets.shape == (1, 1, 30, 42)
