"""`benchmarks/cluster_sim.py`: simulated runs against closed formulas, and units against the planner's own sums."""

import json
import math
from dataclasses import asdict
from itertools import pairwise
from statistics import mean

import numpy as np
import pytest
from torch import nn

from atrous.stream import prepare
from atrous.stream.units import cut_units
from tests.stream.test_worker import Gate
from tests.toy_models import settled, unet

pytest.importorskip("simpy")
from benchmarks import cluster_runs, cluster_sim
from benchmarks.cluster_runs import Job, Real, line
from benchmarks.simulated import PARALLEL, Load, Simulation, Speed, World, courses
from benchmarks.unit_loads import Stored, loads

HOUR = 3600.0
SECONDS = Speed(((0.0, 1.0),))
"""A unit takes as many seconds as it has multiply-adds."""


def only(runs, speed, world, seed=0):
    return Simulation(runs, speed, world, seed).course()


@pytest.mark.parametrize(("units", "workers"), [(12, 4), (13, 4), (3, 8), (7, 1)])
def test_without_chance_the_hours_are_those_of_the_formula(units, workers):
    speed = Speed(((2.0, 0.5),), start=3.0, prepare=4.0, plan=1.5)
    course = only([[[Load(6.0)] * units]], speed, World(workers))
    assert course.seconds == pytest.approx(3 + 1.5 + 4 + math.ceil(units / workers) * 5)
    assert (course.units, course.redone) == (units, 0)
    assert course.busy == pytest.approx(units * 5 + 4 * min(units, workers))


def test_a_phase_waits_for_the_last_unit_of_the_one_before():
    phases = [[Load(2.0, 0), Load(9.0, 0)], [Load(3.0, 1), Load(3.0, 1)]]
    speed = Speed(((0.0, 1.0), (1.0, 2.0)), prepare=1.0)
    assert only([phases], speed, World(2)).seconds == pytest.approx(1 + 9 + 1 + 2 * 3)


def test_a_network_is_prepared_for_every_run_anew():
    speed = Speed(((0.0, 1.0),), start=2.0, prepare=4.0, plan=0.5)
    assert only([[[Load(3.0)] * 4]] * 5, speed, World(2)).seconds == pytest.approx(2 + 5 * (0.5 + 4 + 2 * 3))


def test_a_client_that_is_slower_than_the_workers_sets_the_pace():
    course = only([[[Load(0.001)] * 100]], Speed(((0.0, 1.0),), answer=2.0), World(64))
    assert course.seconds == pytest.approx(200, rel=0.01)
    assert course.waiting > 0.99


@pytest.mark.parametrize(("link", "store", "rate"), [(math.inf, 100.0, 100.0), (10.0, 100.0, 80.0), (10.0, 20.0, 20.0)])
def test_a_store_gives_all_workers_together_its_rate(link, store, rate):
    units = [Load(0.0, moved=50.0)] * 32
    course = only([[units]], Speed(((0.0, 0.0),), link=link), World(8, store=store))
    assert course.seconds == pytest.approx(32 * 50 / rate)
    assert course.moved == 32 * 50


def test_transfers_of_other_lengths_share_evenly():
    # 10 a second for two: 20 bytes are there at 4 s, when 40 of the other 60 are left for the whole rate
    course = only(
        [[[Load(0.0, moved=20.0), Load(0.0, moved=60.0)]]], Speed(((0.0, 0.0),), link=10.0), World(2, store=10.0)
    )
    assert course.seconds == pytest.approx(4 + 4)


def test_reading_hides_behind_computing():
    units = [Load(5.0, moved=20.0, requests=3 * PARALLEL)] * 4
    speed = Speed(((0.0, 1.0),), link=10.0)
    assert only([[units]], speed, World(2)).seconds == pytest.approx(10)
    assert only([[units]], speed, World(2, latency=4.0)).seconds == pytest.approx(24)


def test_a_killed_worker_costs_its_unit_and_the_time_until_it_is_back():
    speed = Speed(((0.0, 1.0),), start=2.0, prepare=1.0)
    units = [Load(4.0), Load(4.0), Load(4.0), Load(4.0)]
    course = only([[units]], speed, World(1, kills=(2,), back=7.0, noticed=1.0))
    # two units, a loss at once, the way back, and the other two after a new preparation
    assert course.seconds == pytest.approx(2 + 1 + 8 + 7 + 2 + 1 + 8)
    assert (course.units, course.redone) == (4, 1)


def test_what_is_lost_is_begun_again_elsewhere():
    units = [Load(10.0, number=number) for number in range(8)]
    course = only([[units]], SECONDS, World(2, kills=(2,), back=1e6))
    assert (course.units, course.redone) == (8, 1)
    assert course.seconds == pytest.approx(10 + 6 * 10)
    assert course.busy == pytest.approx(80)


def test_more_failures_take_longer():
    speed = Speed(((60.0, 0.0),), spread=(0.8, 1.0, 1.2), start=5.0, prepare=10.0)
    worlds = [World(8, failures=failures, back=120.0) for failures in (0.0, 2.0, 8.0, 32.0)]
    found = [courses([[[Load(1.0)] * 96]], speed, world, 15) for world in worlds]
    hours = [mean(course.seconds for course in each) / HOUR for each in found]
    redone = [mean(course.redone for course in each) for each in found]
    assert redone[0] == 0
    assert all(a < b for a, b in pairwise(hours))
    assert all(a < b for a, b in pairwise(redone))
    # 2 an hour for 8 workers that compute most of the time: a loss takes half a unit, the way back and a start
    assert redone[1] == pytest.approx(2 * 8 * hours[1], rel=0.25)


def test_slow_workers_take_fewer_units_and_the_last_one_is_waited_for():
    units = [[[Load(10.0)] * 40]]
    course = only(units, SECONDS, World(4, stragglers=0.25, slower=4.0))
    fast, slow = 3 / 10, 1 / 40
    assert 40 / (fast + slow) <= course.seconds <= 40 / (fast + slow) + 40
    assert only(units, SECONDS, World(4, slowed=1.5)).seconds == pytest.approx(1.5 * 100)


def test_the_same_seed_gives_the_same_course():
    speed = Speed(((5.0, 0.0),), spread=(0.5, 1.0, 2.0))
    world = World(4, failures=20.0, back=10.0, store=100.0)
    first, again, other = (only([[[Load(1.0, moved=9.0)] * 60]], speed, world, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("network", [unet(2), Gate()], ids=["unet", "gate"])
def test_units_have_the_work_and_the_bytes_of_the_plan(network):
    ready = prepare(settled(network), (2, 96, 80))
    units = cut_units(ready, side=32)
    size, chunks = (96, 80), (1, 1)
    found = loads(ready, units, Stored(size, chunks, 2.0), Stored(units.size, (32, 32), 0.0))
    assert len(found) == len(units.passes)
    # the planner takes the middle intervals to be alike, which they nearly are
    assert sum(load.macs for phase in found for load in phase) == pytest.approx(units.macs, rel=0.02)
    assert sum(load.moved for phase in found for load in phase) == pytest.approx(units.numbers, rel=0.02)


def test_chunks_are_read_whole_and_shards_are_written_once():
    ready = prepare(nn.Conv2d(1, 1, 5, padding=2), (1, 128, 128))
    units = cut_units(ready, side=64)
    (found,) = loads(ready, units, Stored((128, 128), (32, 32), 1.0), Stored((128, 128), (64, 64), 4.0))
    assert [load.number for load in found] == [0, 1, 2, 3]
    # a unit of 64 and its halo of 2 touch three chunks along each axis
    assert {load.moved for load in found} == {96 * 96 + 4.0 * 64 * 64}
    assert {load.requests for load in found} == {9 + 1}
    assert {load.macs for load in found} == {64 * 64 * 25}


def test_a_line_goes_through_the_seconds_and_never_below_nothing():
    work = np.array([1.0, 2.0, 3.0])
    assert line(work, 2 * work) == pytest.approx((0.0, 2.0), abs=1e-9)
    fixed, each = line(work, np.array([3.0, 2.0, 1.0]))
    assert fixed > 0
    assert each == 0


def recorded(key, start, stop):
    return {"key": key, "worker": "tcp://a", "startstops": [{"action": "compute", "start": start, "stop": stop}]}


def test_units_are_found_in_what_dask_recorded():
    found = [
        recorded("unit 3 of 9 [0:4,8:12] ab12-0", 5.0, 7.0),
        recorded("values-output-ab12", 4.0, 4.1),
        recorded("statistics 2 1 of 9 [0:4,0:4] ab12-0", 3.0, 3.5),
    ]
    assert cluster_runs._tasks(found) == [(1, 0, 3.0, 3.5), (None, 2, 5.0, 7.0)]


def test_a_run_that_was_calibrated_on_is_simulated_as_it_was(monkeypatch):
    units = [Load(macs, number=number, moved=0.0) for number, macs in enumerate((4e9, 4e9, 1e9, 2e9, 4e9))]
    seconds = [0.5 + 2e-9 * load.macs for load in units]
    seconds[0] += 6.0
    tasks = [(0, number, each) for number, each in enumerate(seconds)]
    real = Real(3.0 + 1.5 + sum(seconds), 3.0, 1.5, tasks, [units])
    monkeypatch.setattr(cluster_runs, "idle_answer", lambda: 0.0)
    monkeypatch.setattr(cluster_runs, "link_rate", lambda job: 1e8)
    monkeypatch.setitem(cluster_runs.JOBS, "unet", Job(lambda: nn.Conv2d(3, 2, 3)))
    speed = cluster_runs.calibrated("unet", real)
    assert speed.phases[0] == pytest.approx((0.5, 2e-9))
    assert speed.prepare == pytest.approx(6)
    assert only([real.loads], speed, World(1)).seconds == pytest.approx(real.seconds)


def test_the_plan_prints_a_table_for_each_job(tmp_path, monkeypatch, capsys):
    speed = asdict(Speed(((0.1, 1e-9),), start=1.0, prepare=2.0, plan=0.5, link=1e8))
    for name in ("resnet18", "bases"):
        kept = {"network": name, "cores": 2, "crowding": 1.1, "speed": speed}
        (tmp_path / f"{name}.json").write_text(json.dumps(kept))
    scene = Job(lambda: nn.Conv2d(3, 2, 9, padding=4))
    monkeypatch.setattr(cluster_sim, "JOBS", {**cluster_sim.JOBS, "resnet18": scene})
    monkeypatch.setattr(cluster_runs, "JOBS", cluster_sim.JOBS)
    monkeypatch.setattr(cluster_sim, "BASES", 3 << 20)
    words = ["plan", "--side", "8192", "--workers", "4", "--seeds", "2", "--inputs", "2", "--keep", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["cluster_sim", *words, "--failures", "60", "--stragglers", "0.25"])
    monkeypatch.setattr(cluster_sim.torch, "set_num_threads", lambda count: None)
    monkeypatch.chdir(tmp_path)
    cluster_sim.main()
    printed = capsys.readouterr().out.splitlines()
    rows = json.loads(printed[-1])["plan"]
    assert [row["units"] for row in rows] == [16] * 5 + [3 * cluster_sim.CHROMOSOMES] * 5
    assert sum(line.startswith("| ") for line in printed) == 2 + len(rows)
    for calm, *others in (rows[:5], rows[5:]):
        assert calm["lost"] == 0
        assert all(row["hours"] >= calm["hours"] for row in others)
        assert calm["worker_hours"] == pytest.approx(4 * calm["hours"])
