"""The background of a frame follows from earlier frames alone, wherever reading begins, in bounded memory."""

import numpy as np
import pytest

from atrous.data.background import Background, RunningBackground, WithBackground, comparators, median
from atrous.data.source import LazySource

SMALL = Background(frames=5, span=20)


class Counted(LazySource):
    """A video that counts which frames are read."""

    def __init__(self, values):
        super().__init__(values.shape, values.dtype)
        self.values, self.read = values, []

    def _read(self, key):
        self.read.append(key[1])
        return self.values[key]


@pytest.fixture
def clip():
    return np.random.default_rng(0).integers(0, 255, (3, 60, 4, 5), dtype=np.uint8)


def test_frames_are_spread_over_all_that_was_until_the_span_is_reached():
    assert SMALL.numbers(0) == [0]
    assert SMALL.numbers(4) == [0, 1, 2, 3, 4]
    assert SMALL.numbers(5) == [0, 2, 4]
    assert SMALL.numbers(11) == [0, 4, 8]
    assert SMALL.numbers(59) == [40, 44, 48, 52, 56]
    for frame in range(3000):
        numbers = Background().numbers(frame)
        assert len(numbers) <= 32
        assert numbers[-1] <= frame
        assert frame - numbers[0] <= 1024
        assert len(numbers) > min(frame, 31) // 2


def test_it_is_the_median_of_these_frames(clip):
    source = WithBackground(clip, SMALL)
    assert source.shape == (6, 60, 4, 5)
    whole = source[...]
    np.testing.assert_array_equal(whole[:3], clip)
    for frame in (0, 3, 9, 59):
        looked_at = np.sort(clip[:, SMALL.numbers(frame)], axis=1)
        np.testing.assert_array_equal(whole[3:, frame], looked_at[:, (looked_at.shape[1] - 1) // 2])


def test_a_part_is_that_of_the_whole_wherever_reading_begins(clip):
    whole = WithBackground(clip, SMALL)[...]
    for key in ((slice(None), 37), (4, slice(12, 31, 3), 2), (slice(2, 5), slice(58, 20, -7)), (0, 5, 1, 2)):
        np.testing.assert_array_equal(WithBackground(clip, SMALL)[key], whole[key])


def test_later_frames_change_nothing(clip):
    other = clip.copy()
    other[:, 30:] = 0
    before = slice(None), slice(0, 30)
    np.testing.assert_array_equal(WithBackground(clip, SMALL)[before], WithBackground(other, SMALL)[before])


def test_reading_on_decodes_each_frame_once_and_holds_few(clip):
    counted = Counted(clip)
    source = WithBackground(counted, SMALL)
    for frame in range(60):
        source[:, frame]
        assert len(source._running._kept) <= 5
    assert counted.read == list(range(60))


def test_frames_of_a_camera_have_the_backgrounds_of_the_file(clip):
    camera, whole = RunningBackground(SMALL), WithBackground(clip, SMALL)[...]
    for frame in range(60):
        np.testing.assert_array_equal(camera.push(clip[:, frame]), whole[:, frame])


def test_what_passes_is_no_background():
    clip = np.full((1, 40, 1, 7), 50, np.uint8)
    for time in range(40):
        clip[0, time, 0, time % 7] = 200
    background = WithBackground(clip, SMALL)[1:, 12:]
    assert (background == 50).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_median_keeps_the_type(dtype):
    frames = [np.array([[3, 9]], dtype), np.array([[1, 9]], dtype), np.array([[2, 0]], dtype)]
    found = median(frames)
    assert found.dtype == dtype
    assert found.tolist() == [[2, 9]]


@pytest.mark.parametrize("count", [*range(1, 18), 31, 32])
def test_the_sorting_network_sorts_any_number_of_rows(count):
    rows = np.random.default_rng(count).integers(0, 9, (count, 200))
    rows[:, :3] = np.stack([np.arange(count), np.arange(count)[::-1], np.zeros(count, int)], axis=1)
    ordered = rows.copy()
    for low, high in comparators(count):
        ordered[[low, high]] = np.minimum(ordered[low], ordered[high]), np.maximum(ordered[low], ordered[high])
    np.testing.assert_array_equal(ordered, np.sort(rows, axis=0))
    np.testing.assert_array_equal(median(list(rows)), np.sort(rows, axis=0)[(count - 1) // 2])


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="8 of 4 frames"):
        Background(frames=8, span=4)
