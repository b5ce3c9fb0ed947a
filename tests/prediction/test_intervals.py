"""Labels of signals with a least length of intervals: wherever they are asked for they are the same."""

import io
from functools import partial

import numpy as np
import pytest
import torch
import zarr
from torch import nn

from atrous.errors import UserError
from atrous.objects.intervals import Runs
from atrous.prediction import regions
from atrous.prediction.inputs import Opened
from atrous.prediction.intervals import CutLabels, IntervalSink, interval_labels, valid_on_grid, with_intervals
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.live import live_labels
from atrous.prediction.output import Companions
from atrous.prediction.predictor import Predictor
from atrous.prediction.region import RegionPredictor
from atrous.prediction.remote import Computing, predict_remote
from atrous.prediction.shares import Share, compute_share, join_shares
from atrous.stream.units import cut_units
from atrous.tasks.custom import least_lengths, without_least
from atrous.tasks.ensemble import EnsembleTask
from tests.prediction.values_world import LEAST, broken_signal, make_run, value_predictor

VALUES, TRUTH = broken_signal()


@pytest.fixture
def predictor(tmp_path):
    return value_predictor(make_run(tmp_path / "run"))


def gappy():
    values = VALUES.copy()
    values[0, [0, 77, 300]] = np.nan
    return values


def saved(folder, values, name="signal.npz"):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / name, signal=values, rate=100.0)
    return folder / name


def written(path):
    number = {"na": 0, "p": 1, "qrs": 2, "": 255}
    return np.array([number[word] for word in np.load(path)["label"].tolist()], np.uint8)


def test_no_interval_is_too_short(predictor):
    found = predictor.predict(VALUES, probabilities=True)
    runs = Runs(found.labels)
    sizes, least = runs.end - runs.start, np.array(LEAST)[runs.label]
    assert (sizes >= least)[1:-1].all()
    plain = Runs(found.probabilities.argmax(0))
    assert len(plain.start) > len(runs.start) + 10  # the most probable classes break into fragments
    np.testing.assert_array_equal(found.labels, interval_labels(found.probabilities, LEAST))
    assert (found.labels == TRUTH).mean() > 0.97


@pytest.mark.parametrize("values", [VALUES, gappy()])
def test_streams_of_any_strip_give_the_labels_of_the_whole(predictor, values, monkeypatch):
    whole = predictor.predict(values).labels
    assert set(np.flatnonzero(whole == 255)) == set(np.flatnonzero(np.isnan(values[0])))
    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 0)
    np.testing.assert_array_equal(predictor.predict(values).labels, whole)
    sinks = []
    for strip in (1, 7, 64):
        labels = np.full(values.shape[1], 9, np.uint8)
        sink = with_intervals(predictor.task, CutLabels(labels, predictor.open(values)))[1]
        maps = predictor.predict(values, probabilities=True).probabilities
        maps = np.where(np.isnan(maps), 1 / 3, maps)
        for start in range(0, maps.shape[1], strip):
            sink[:, start : start + strip] = maps[:, start : start + strip]
        sinks.append(np.where(np.isnan(values[0]), 255, labels))
    for labels in sinks:
        np.testing.assert_array_equal(labels, whole)


def test_intervals_end_where_there_are_no_data(predictor):
    values = np.zeros((1, 60), np.float32)
    values[0, 22:24] = 2  # three samples too short
    assert (predictor.predict(values).labels == 0).all()
    values[0, 24] = np.nan
    assert predictor.predict(values).labels[20:25].tolist() == [0, 0, 2, 2, 255]


@pytest.mark.parametrize("whole", [True, False])
def test_files_have_the_same_labels(predictor, tmp_path, whole, monkeypatch):
    want, path = predictor.predict(gappy(), probabilities=True), saved(tmp_path / "in", gappy())
    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 2**21 if whole else 0)
    for wanted in (None, Companions(probabilities="zarr")):
        out = tmp_path / f"out{wanted is None}"
        done = run_jobs(predictor, find_jobs(predictor, [path], out, wanted), out)
        assert done.failed == ()
        np.testing.assert_array_equal(written(out / "signal.npz"), want.labels)
    maps = zarr.open_array(out / "signal_probabilities.zarr", mode="r")[...]
    np.testing.assert_allclose(maps, want.probabilities, atol=1e-6)


def test_an_interrupted_recording_begins_anew(predictor, tmp_path, monkeypatch):
    want, path, out = predictor.predict(VALUES).labels, tmp_path / "in" / "long.npy", tmp_path / "out"
    path.parent.mkdir()
    np.save(path, VALUES[0])
    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 0)
    take = IntervalSink.__setitem__

    def stopped(sink, key, values):
        take(sink, key, values)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(IntervalSink, "__setitem__", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_jobs(predictor, find_jobs(predictor, [path], out), out)
    assert run_jobs(predictor, find_jobs(predictor, [path], out), out).failed == ()
    np.testing.assert_array_equal(np.load(out / "long.npy"), want)
    assert [left.name for left in out.iterdir()] == ["long.npy"]


@pytest.mark.parametrize("whole", [True, False])
def test_jobs_that_share_a_recording_give_the_same_labels(predictor, tmp_path, whole, monkeypatch):
    want, path, out = predictor.predict(gappy()).labels, saved(tmp_path / "in", gappy()), tmp_path / "out"
    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 2**21 if whole else 0)
    monkeypatch.setattr(regions, "cut_units", partial(cut_units, side=64))
    jobs = find_jobs(predictor, [path], out)
    for number in (2, 1):
        assert compute_share(predictor, jobs, Share(number, 2), out).failed == ()
    assert join_shares(predictor, jobs, out).failed == ()
    np.testing.assert_array_equal(written(out / "signal.npz"), want)
    assert [left.name for left in out.iterdir()] == ["signal.npz"]


@pytest.mark.parametrize("whole", [True, False])
def test_parts_of_a_recording_are_parts_of_the_whole(predictor, whole, monkeypatch):
    values = broken_signal(3000, 1)[0]
    values[0, 1500] = np.nan
    want = predictor.predict(values).labels
    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 2**21 if whole else 0)
    monkeypatch.setattr("atrous.prediction.region.AROUND", 8)
    parts = RegionPredictor(predictor, predictor.open(values))
    for start in range(0, 3000, 211):
        region = slice(start, min(3000, start + 40))
        np.testing.assert_array_equal(parts.labels((region,)), want[region])


@pytest.mark.parametrize("probabilities", [False, True])
def test_live_labels_are_those_of_the_whole(predictor, probabilities):
    lines: list[str] = []
    text = "\n".join(f"{value:.9g}" for value in VALUES[0])
    count = live_labels(
        predictor, io.BufferedReader(io.BytesIO(text.encode())), lines.append, probabilities=probabilities
    )
    rows = [line.split(",") for line in "".join(lines).splitlines()[1:]]
    want = predictor.predict(VALUES, probabilities=True)
    assert count == VALUES.shape[1]
    assert [row[1] for row in rows] == [predictor.classes[label] for label in want.labels]
    if probabilities:
        np.testing.assert_allclose(np.array([row[2:] for row in rows], float).T, want.probabilities, atol=1e-5)


def test_an_ensemble_decodes_its_mean_probabilities(predictor):
    networks = nn.ModuleList([predictor.network, predictor.network])
    joined = nn.Module()
    joined.add_module("networks", networks)
    joined.forward = lambda x: torch.cat([network(x) for network in networks], 1)
    both = Predictor(predictor.run, joined.eval(), EnsembleTask((predictor.task, predictor.task)))
    np.testing.assert_array_equal(both.predict(VALUES).labels, predictor.predict(VALUES).labels)
    assert least_lengths(both.task) == LEAST
    assert least_lengths(without_least(both.task)) == ()


def test_long_recordings_at_urls_are_refused(predictor, tmp_path, monkeypatch):
    path = saved(tmp_path / "in", VALUES)
    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 0)
    done = predict_remote(predictor, [str(path)], (tmp_path / "out").as_uri(), Computing())
    ((_, reason),) = done.failed
    assert "task.shortest" in reason


def test_sinks_take_samples_in_order():
    labels = np.zeros(10, np.uint8)
    sink = IntervalSink(labels, (2, 2))
    sink[:, :4] = np.full((2, 4), 0.5)
    with pytest.raises(ValueError, match="expected 4"):
        sink[:, 6:8] = np.full((2, 2), 0.5)
    with pytest.raises(UserError, match="not finite"):
        sink[:, 4:6] = np.full((2, 2), np.nan)
    assert with_intervals(object(), labels, None, True)[0] is labels


def test_gaps_are_known_on_the_grid_of_the_network():
    valid = np.array([True, True, False, False])
    opened = Opened(np.zeros((1, 8), np.float32), (4,), valid=valid)
    assert np.asarray(CutLabels(np.zeros(8, np.uint8), opened).valid).tolist() == [True] * 4 + [False] * 4
    assert valid_on_grid(None, (8,)) is None
    assert valid_on_grid(valid, (4,)) is valid
