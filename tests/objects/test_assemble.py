"""The objects of the whole grid, whatever the strips, blocks and their order."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from atrous.objects.assemble import anchors, assemble, keep, measured_again, renumbered, strips, tabulate
from atrous.objects.boxes import DenseBoxes
from atrous.objects.decoder import NO_DATA
from atrous.objects.peaks import peaks
from atrous.objects.stars import Stars
from atrous.objects.suppress import Suppression
from atrous.objects.table import ObjectSums
from atrous.objects.votes import Votes
from tests.objects.worlds import random_discs, star_maps, vote_maps


@pytest.fixture(autouse=True)
def thin_strips(monkeypatch):
    """Strips may be as thin as the tests ask for."""
    monkeypatch.setattr("atrous.objects.assemble.LEAST", 1)


def world(kind, shape=(90, 120), noise=0.05):
    if kind.endswith("polyhedra"):
        shape = (26, 44, 48)
        numbers, centers, radii = random_discs(shape, 22, (3, 5.5))
        steps = (1.6, 0.8, 0.78) if kind.startswith("flat") else (1.0, 1.0, 1.0)
        return numbers, star_maps(shape, centers, radii, noise=noise), Stars(threshold=0.7, reach=20, steps=steps)
    numbers, centers, radii = random_discs(shape, 25, (3, 12))
    steps = (1.25, 0.8) if kind.startswith("flat") else (1.0, 1.0)
    if kind.endswith("stars"):
        return numbers, star_maps(shape, centers, radii, noise=noise), Stars(reach=40, steps=steps)
    return numbers, vote_maps(numbers, centers, noise=noise), Votes(astray=5, steps=steps)


def decoded(maps, decoder, rows):
    labels = np.full(maps.shape[1:], 99, np.uint32)
    objects = assemble(maps, decoder, labels, rows=rows)
    return labels, objects


def same(one, other):
    assert np.array_equal(one[0], other[0])
    assert one[1].table.keys() == other[1].table.keys()
    for name, values in one[1].table.items():
        assert values.tobytes() == other[1].table[name].tobytes(), name


KINDS = ["stars", "votes", "polyhedra", "flat stars", "flat votes", "flat polyhedra"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_strips_do_not_change_the_objects(kind, rows):
    _, maps, decoder = world(kind)
    whole = decoded(maps, decoder, 90)
    assert len(whole[1].candidates) > 15
    same(whole, decoded(maps, decoder, rows))


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_in_any_order_give_the_objects_of_the_whole(kind):
    _, maps, decoder = world(kind)
    grid = maps.shape[1:]
    whole = decoded(maps, decoder, 90)
    cuts = [(slice(0, cut), slice(cut, n)) for n, cut in ((n, 3 * n // 7) for n in grid)]
    blocks = list(product(*cuts))
    order = [blocks[i] for i in np.random.default_rng(1).permutation(len(blocks))]
    kept = keep(maps, decoder, iter(order), in_order=False)
    parts, labels = [], np.zeros(grid, np.uint32)
    for block in reversed(order):
        labels[block] = decoder.paint(maps, block, kept)
        parts.append(ObjectSums.none(anchors(kept, grid)))
        parts[-1].add(labels[block], block, grid)
    for part in parts[1:]:
        parts[0].join(part)
    same(
        whole,
        (renumbered(labels, numbers := parts[0].numbers()), tabulate(kept, parts[0], numbers, (1.0,) * len(grid))),
    )


@pytest.mark.parametrize("kind", ["stars", "votes", "polyhedra"])
def test_perfect_maps_give_the_true_objects(kind):
    numbers, maps, decoder = world(kind, noise=0.0)
    labels, objects = decoded(maps, decoder, 16)
    # Discs are numbered in another order; every true one must be an object of the same pixels, but for the outline.
    for number in np.unique(numbers)[1:]:
        truth = numbers == number
        values, counts = np.unique(labels[truth], return_counts=True)
        answer = labels == values[counts.argmax()]
        assert (truth & answer).sum() / (truth | answer).sum() > (0.999 if kind == "votes" else 0.75)
    assert len(objects.candidates) == len(np.unique(numbers)) - 1 == labels.max()
    first = [np.flatnonzero(labels.ravel() == number)[0] for number in range(1, labels.max() + 1)]
    assert first == sorted(first)


def test_volumes_are_decoded_too():
    shape = (20, 40, 44)
    numbers, centers, _ = random_discs(shape, 12, (3, 7))
    maps, decoder = vote_maps(numbers, centers, noise=0.03), Votes(astray=4)
    whole = decoded(maps, decoder, 20)
    same(whole, decoded(maps, decoder, 3))
    assert len(whole[1].candidates) == 12


def test_votes_are_counted_in_the_unit_of_the_steps():
    rng, grid, steps = np.random.default_rng(0), (8, 20, 22), np.array([3.0, 1.0, 0.5])
    maps = np.concatenate([rng.random((2, *grid)), rng.normal(0, 2, (3, *grid))]).astype(np.float32)
    decoder = Votes(threshold=0.8, apart=6.0, astray=2.0, steps=tuple(steps))
    labels, _ = decoded(maps, decoder, 3)
    places, scores = peaks(maps[1], [(0, 0)] * 3, 0.8)
    centers, kept = (places + maps[(slice(2, None), *places.T)].T.astype(float)) * steps, []
    for index in np.argsort(-scores):
        if all(np.linalg.norm(centers[index] - centers[other]) >= 6 for other in kept):
            kept.append(index)
    assert 10 < len(kept) < len(places) / 2
    votes = (np.stack(np.indices(grid), -1) + np.moveaxis(maps[2:].astype(float), 0, -1)) * steps
    away = np.linalg.norm(votes[..., None, :] - centers[kept], axis=-1)
    found = (maps[0] > 0.5) & (away.min(axis=-1) < 2)
    assert np.array_equal(labels > 0, found)
    pairs = np.unique(np.stack([labels[found], away.argmin(axis=-1)[found]]), axis=1)
    assert pairs.shape[1] == labels.max() == len(np.unique(pairs[1]))


@pytest.mark.parametrize("steps", [(0.05, 20.0), (20.0, 0.05)])
def test_candidates_stay_within_reach_whatever_the_steps(steps):
    far = np.full((4, 6, 7), 1e9, np.float32)
    far[1] = np.random.default_rng(0).random((6, 7))
    votes = Votes(reach=100.0 / steps[0], steps=steps)
    assert len(keep(far, votes, strips((6, 7), 2))) > 0
    stars = Stars(rays=3, reach=100.0 / steps[0], steps=steps)
    assert len(keep(np.concatenate([far[1:2], far[:1], far[2:]]), stars, strips((6, 7), 2))) > 0
    polyhedra, deep = Stars(rays=4, reach=100.0 / steps[0], steps=(*steps, 1.0)), np.full((5, 4, 5, 6), 1e9, np.float32)
    deep[0] = np.random.default_rng(0).random((4, 5, 6))
    assert len(keep(deep, polyhedra, strips((4, 5, 6), 2))) > 0


def test_boxes_of_the_whole_do_not_depend_on_the_strips():
    rng = np.random.default_rng(0)
    maps = np.concatenate([rng.random((2, 60, 70)), rng.uniform(2, 9, (4, 60, 70))]).astype(np.float32)
    decoder = DenseBoxes(classes=2, threshold=0.7, reach=9)
    whole = keep(maps, decoder, strips((60, 70), 60))
    cut = keep(maps, decoder, strips((60, 70), 5))
    assert len(whole) > 50
    assert np.array_equal(whole.values, cut.values)
    assert np.array_equal(whole.classes, cut.classes)
    with pytest.raises(TypeError, match="not painted"):
        decoder.paint(maps, (slice(0, 1), slice(0, 1)), whole)


def test_the_sweep_forgets_what_is_decided(monkeypatch):
    monkeypatch.setattr("atrous.objects.suppress.GATHERED", 50)
    waiting = []
    push = Suppression.push

    def watched(self, candidates, arrived):
        push(self, candidates, arrived)
        waiting.append(sum(map(len, self._open)))

    monkeypatch.setattr(Suppression, "push", watched)
    rng = np.random.default_rng(0)
    maps = np.concatenate([rng.random((1, 900, 40)), rng.uniform(1, 4, (4, 900, 40))]).astype(np.float32)
    decoder = DenseBoxes(threshold=0.6, reach=4)
    kept = keep(maps, decoder, strips((900, 40), 8))
    assert max(waiting) < 150 < len(kept)
    monkeypatch.setattr("atrous.objects.suppress.GATHERED", 10**9)
    assert np.array_equal(kept.values, keep(maps, decoder, strips((900, 40), 8)).values)


def test_a_candidate_that_reaches_too_far_is_refused():
    decoder = DenseBoxes(reach=3)
    far = decoder.propose(np.full((5, 4, 4), 9.0, np.float32), (slice(0, 4), slice(0, 4)))
    suppression = Suppression(decoder.shape((4, 4)), 0.5, lambda positions: positions // 4, reach=1)
    with pytest.raises(ValueError, match="reaches beyond 1 rows"):
        suppression.push(far, 4)


@pytest.mark.parametrize(
    ("decoder", "channels"), [(Votes(), 4), (Stars(rays=8), 9), (Stars(rays=8, steps=(1.0,) * 3), 9)]
)
def test_no_candidates_give_no_objects(decoder, channels):
    grid = (8, 9, 7) if len(getattr(decoder, "steps", ())) == 3 else (8, 9)
    labels, objects = decoded(np.zeros((channels, *grid), np.float32), decoder, 3)
    assert not labels.any()
    assert len(objects.candidates) == 0
    assert objects.table["size"].shape == (0,)


@pytest.mark.parametrize("kind", ["stars", "polyhedra"])
@pytest.mark.parametrize("rows", [90, 7])
def test_stars_have_the_class_of_the_position_that_proposes_them(kind, rows):
    numbers, maps, decoder = world(kind, noise=0.0)
    kinds = np.stack([np.where(numbers % 3 == kind, 0.8, 0.1) for kind in range(3)])
    whole = decoded(maps, decoder, 90)
    classed = decoded(np.concatenate([maps[:1], kinds, maps[1:]]), replace(decoder, classes=3), rows)
    assert np.array_equal(classed[0], whole[0])
    truth = numbers.ravel()[classed[1].candidates.positions] % 3
    assert np.array_equal(classed[1].candidates.classes, truth)
    assert len(np.unique(truth)) == 3


@pytest.mark.parametrize("kind", ["stars", "votes", "polyhedra"])
@pytest.mark.parametrize("rows", [90, 7])
def test_no_object_lies_where_there_are_no_data(kind, rows):
    _, maps, decoder = world(kind)
    gap = np.zeros(maps.shape[1:], bool)
    gap[tuple(slice(n // 3, 2 * n // 3) for n in gap.shape)] = True
    whole = decoded(maps, decoder, 90)
    assert whole[0][gap].any()
    maps[0][gap] = NO_DATA
    labels, objects = decoded(maps, decoder, rows)
    assert not labels[gap].any()
    assert labels[~gap].any()
    assert objects.table["size"].sum() == (labels > 0).sum()


def test_small_stars_are_dropped():
    _, maps, decoder = world("stars", noise=0.0)
    sizes = decoded(maps, decoder, 30)[1].table["size"]
    large = decoded(maps, replace(decoder, smallest=150), 30)
    assert 0 < (sizes >= 150).sum() < len(sizes)
    assert np.array_equal(large[1].table["size"], sizes[sizes >= 150])


def test_small_objects_are_dropped_and_the_others_numbered_without_gaps():
    _, maps, decoder = world("votes", noise=0.0)
    every, large = decoded(maps, decoder, 30), decoded(maps, replace(decoder, smallest=150), 30)
    sizes = every[1].table["size"]
    assert 0 < (sizes >= 150).sum() < len(sizes)
    assert np.array_equal(large[1].table["size"], sizes[sizes >= 150])
    assert np.array_equal(np.unique(large[0])[1:], np.arange(1, (sizes >= 150).sum() + 1))


def test_objects_on_another_grid_are_numbered_and_measured_there():
    _, maps, decoder = world("votes", noise=0.0)
    labels, objects = decoded(maps, decoder, 30)
    turned = np.ascontiguousarray(labels[::-1])
    again = measured_again(objects, turned, (2.0, 0.5), rows=7)
    firsts = [np.flatnonzero(turned == number)[0] for number in range(1, turned.max() + 1)]
    assert firsts == sorted(firsts)
    assert sorted(again.table["size"]) == sorted(objects.table["size"])
    middle = [(np.argwhere(turned == number).mean(axis=0) + 0.5) * (2.0, 0.5) for number in again.table["number"]]
    assert np.allclose(again.table["centroid_0"], [y for y, _ in middle])
    assert np.allclose(again.table["centroid_1"], [x for _, x in middle])


@pytest.mark.parametrize("kind", ["stars", "polyhedra"])
def test_rays_and_distances_that_are_no_numbers_are_none(kind):
    _, maps, decoder = world(kind, noise=0.05)
    broken = maps.copy()
    broken[3, maps[0] > 0.9] = np.nan
    labels, objects = decoded(broken, decoder, 20)
    assert np.isfinite(objects.candidates.values).all()
    assert labels.max() == len(objects.candidates) > 0
