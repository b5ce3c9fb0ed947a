"""What is told of how long frames take, by a clock of the test."""

import pytest

from atrous.prediction.live_report import FIRST, LiveReport


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_frames_are_timed_from_their_arrival_and_from_when_they_are_begun():
    clock, told = Clock(), []
    report = LiveReport(told.append, every=1.0, clock=clock)
    assert report.text() == "0 frames"
    assert report.facts() == {"frames": 0, "missing": 0}
    for _ in range(40):
        arrived, clock.time = clock.time, clock.time + 1 / 16
        begun = report.begin()
        clock.time += 1 / 16
        report.add(arrived, begun)
    facts = report.facts()
    assert facts["frames"] == 40
    assert facts["frames_per_second"] == 8
    assert facts["milliseconds"] == facts["milliseconds_95"] == 62.5
    assert facts["latency_milliseconds"] == 125
    assert len(told) == 5  # each second
    assert told[-1] == (
        "40 frames, 8.0 frames/s; a frame takes 62 ms (95 % within 62 ms), from its arrival to its labels 125 ms "
        "(95 % within 125 ms)"
    )


@pytest.mark.parametrize(("hurries", "count"), [(True, 1), (False, 0)])
def test_a_crowd_is_told_once_and_not_of_a_file(hurries, count):
    clock, told = Clock(), []
    report = LiveReport(told.append, hurries, clock=clock)
    for number in range(FIRST + 4):
        report.add(clock.time, clock.time, crowded=True)
        assert number >= FIRST or not told
    assert len(told) == count
    assert all("frames come faster than they are labelled: every frame is labelled" in line for line in told)


def test_memory_does_not_grow(monkeypatch):
    monkeypatch.setattr("atrous.prediction.live_report.KEPT", 5)
    report = LiveReport(lambda text: None, clock=Clock())
    for _ in range(50):
        report.add(0.0, 0.0)
    assert len(report._taken) == 5


def test_missing_frames_are_said():
    report = LiveReport(lambda text: None, clock=Clock())
    for missing in (0, 2, 2):
        report.add(0.0, 0.0, missing=missing)
    assert report.facts()["missing"] == 2
    assert report.text().startswith("3 frames (2 missing between them, by their times), ")
