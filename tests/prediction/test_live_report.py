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
    report = LiveReport(told.append, every=0.95, clock=clock)
    assert report.text() == "0 frames"
    assert report.facts() == {"frames": 0}
    for _ in range(40):
        arrived, clock.time = clock.time, clock.time + 0.05
        begun = report.begin()
        clock.time += 0.05
        report.add(arrived, begun)
    facts = report.facts()
    assert facts["frames"] == 40
    assert facts["frames_per_second"] == pytest.approx(10)
    assert facts["milliseconds"] == facts["milliseconds_95"] == pytest.approx(50)
    assert facts["latency_milliseconds"] == pytest.approx(100)
    assert len(told) == 3  # each second
    assert told[-1] == (
        "30 frames, 10.0 frames/s; a frame takes 50 ms (95 % within 50 ms), from its arrival to its labels 100 ms "
        "(95 % within 100 ms)"
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
