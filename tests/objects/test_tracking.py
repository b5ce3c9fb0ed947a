"""What moves keeps its number from frame to frame, through gaps and past others."""

import numpy as np
import pytest

from atrous.objects.tracking import CONFIRMED, GAP, Region, Tracker, _costs, _Followed, regions_of


def box(row, column, height=8, width=5):
    return Region((row, column, row + height, column + width), height * width, (row + height / 2, column + width / 2))


def follow(frames, **options):
    """Number of each region that was told, by frame and place."""
    tracker = Tracker(**options)
    told = [one for regions in frames for one in tracker.step(regions)] + list(tracker.close())
    assert [frame for frame, _ in told] == list(range(len(frames)))
    return {(frame, one.region.box): one.number for frame, seen in told for one in seen}


def test_costs_of_all_pairs_are_those_of_each_pair():
    rng = np.random.default_rng(0)
    first, second = (
        [box(int(row), int(column), *rng.integers(1, 12, 2).tolist()) for row, column in rng.integers(0, 40, (30, 2))]
        for _ in range(2)
    )
    tracks = [_Followed(region, int(rng.integers(5)), rng.normal(0, 2, 2)) for region in first]
    costs, far = _costs(tracks, second, 6), 0
    for track, row in zip(tracks, costs, strict=True):
        for region, cost in zip(second, row, strict=True):
            here, there = (np.zeros((60, 60), bool) for _ in range(2))
            for picture, (top, left, bottom, right) in ((here, track.region.box), (there, region.box)):
                picture[top:bottom, left:right] = True
            overlap = (here & there).sum() / (here | there).sum()
            distance = np.hypot(*(track.expected(6) - region.center)) * 2 / (track.region.diagonal + region.diagonal)
            near = overlap > 0 or distance <= (6 - track.frame) ** 0.5
            far += not near
            assert cost == pytest.approx(distance + 1 - overlap if near else 1e6)
    assert 100 < far < 800


def test_pieces_are_connected_along_diagonals_and_small_ones_are_left_out():
    mask = np.zeros((8, 9), bool)
    mask[1:3, 1:4], mask[3, 4], mask[6, 7] = True, True, True
    regions = regions_of(mask, least=2)
    assert [(region.box, region.area) for region in regions] == [((1, 1, 4, 5), 7)]
    rows, columns = np.nonzero(mask[:5])
    assert regions[0].center == pytest.approx((rows.mean() + 0.5, columns.mean() + 0.5))
    assert regions[0].foot == (3.5, 3.0)
    assert regions_of(np.zeros((4, 4), bool)) == []


def test_two_that_pass_each_other_keep_their_numbers():
    frames = [[box(10, 3 * time), box(14, 90 - 3 * time)] for time in range(30)]
    numbers = follow(frames)
    assert {numbers[time, box(10, 3 * time).box] for time in range(30)} == {1}
    assert {numbers[time, box(14, 90 - 3 * time).box] for time in range(30)} == {2}


def test_numbers_do_not_depend_on_the_order_of_the_regions():
    frames = [[box(10, 3 * time), box(40, 2 * time), box(70, 90 - time)] for time in range(12)]
    assert follow(frames) == follow([regions[::-1] for regions in frames])


@pytest.mark.parametrize(("missing", "same"), [(4, True), (GAP - 1, True), (GAP + 1, False)])
def test_a_gap_is_bridged_at_the_speed_that_was_until_it_is_too_long(missing, same):
    frames = [[box(10, 2 * time)] for time in range(10)]
    frames += [[] for _ in range(missing)]
    start = 10 + missing
    frames += [[box(10, 2 * time)] for time in range(start, start + 5)]
    numbers = follow(frames)
    assert (numbers[start, box(10, 2 * start).box] == 1) == same


def test_what_is_seen_shortly_gets_no_number():
    frames = [[box(10, 2 * time)] for time in range(12)]
    for time in range(5, 5 + CONFIRMED - 1):
        frames[time] = [*frames[time], box(60, 60)]
    numbers = follow(frames)
    assert set(numbers.values()) == {1}
    assert len(numbers) == 12


def test_far_things_are_not_the_same():
    frames = [[box(10, 10)]] * 5 + [[box(80, 80)]] * 5
    numbers = follow(frames)
    assert numbers[4, box(10, 10).box] == 1
    assert numbers[5, box(80, 80).box] == 2


def test_a_track_is_lost_when_its_gap_is_too_long():
    tracker = Tracker(gap=3)
    for time in range(6):
        list(tracker.step([box(10, time)]))
    assert not tracker.lost(1)
    for _ in range(4):
        assert not tracker.lost(1)
        list(tracker.step([]))
    assert tracker.lost(1)


def test_memory_does_not_grow_with_the_number_of_frames():
    tracker = Tracker()
    for time in range(500):
        list(tracker.step([box(10, time % 40), box(60, (7 * time) % 90)]))
        assert len(tracker._tracks) <= GAP + 4
        assert len(tracker._waiting) < CONFIRMED
