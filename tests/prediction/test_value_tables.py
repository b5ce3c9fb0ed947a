"""Numbers for each sample of recordings: learned from columns and arrays, and written in the recording's format."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.prediction.inputs import Opened
from atrous.prediction.predictor import load
from atrous.prediction.value_tables import NumberTable, on_file
from atrous.tasks.restoration import RestorationTask
from atrous.tasks.values import RegressionTask
from atrous.verbs.evaluate import evaluate
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train

SMALL = (
    "model.depth=10", "model.encoder_width=8", "model.width=8", "model.strides=[2]", "train.validations=1",
    "train.batch_size=2", "train.crop=[128]",
)  # fmt: skip


def write(root, suffix, count=4, length=200):
    """Recordings of two channels, and of two numbers that follow from them; the first samples are unknown."""
    rng = np.random.default_rng(0)
    root.mkdir()
    for number in range(count):
        signal = rng.normal(size=(2, length)).astype(np.float32)
        truth = np.stack([signal[0] * 3 + 5, signal[1] - signal[0]])
        truth[:, :10] = np.nan
        if suffix == ".npz":
            np.savez(root / f"{number}.npz", signal=signal, label=truth, rate=50.0)
            continue
        mark = "\t" if suffix == ".tsv" else ","
        columns = [["" if np.isnan(v) else repr(float(v)) for v in row] for row in (*signal, *truth)]
        rows = [[f"{i / 50:.2f}", *(column[i] for column in columns)] for i in range(length)]
        lines = [mark.join(row) for row in [["time (s)", "a", "b", "force", "torque"], *rows]]
        (root / f"{number}{suffix}").write_text("\n".join(lines) + "\n")
    toml = '[columns]\ntargets = ["force", "torque"]\n' if suffix != ".npz" else ""
    (root / "dataset.toml").write_text(f'task = "regression"\n{toml}')
    return root


@pytest.fixture(scope="module", params=[".csv", ".npz"])
def learned(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    data = write(folder / "data", request.param)
    return request.param, data, train(data, epochs=1, settings=SMALL, out=folder / "run", progress=False, report=False)


def test_numbers_are_learned_measured_and_written_beside_the_time(learned, tmp_path):
    suffix, data, trained = learned
    names = ("force", "torque") if suffix == ".csv" else ("value 1", "value 2")
    assert {"pearson", *(f"mae_{name}" for name in names)} <= set(trained.scores.values)
    assert evaluate(trained.run.folder, data).scores.values == trained.scores.values
    done = predict(trained.run, [data / f"1{suffix}"], tmp_path)
    assert done.failed == ()
    assert done.written == (tmp_path / f"1{suffix}",)
    found = load(trained.run).predict(data / f"1{suffix}")
    assert found.names == names
    assert found.values.shape == (2, 200)
    if suffix == ".npz":
        with np.load(done.written[0]) as file:
            np.testing.assert_array_equal(file["label"], found.values)
            assert tuple(file["names"]) == names
        return
    lines = done.written[0].read_text().splitlines()
    assert lines[0] == "time (s),force,torque"
    assert [line.split(",")[0] for line in lines[1:4]] == ["0.00", "0.02", "0.04"]
    np.testing.assert_allclose(
        [[float(v) for v in line.split(",")[1:]] for line in lines[1:]], found.values.T, rtol=1e-6
    )


def test_other_forms_of_the_numbers_are_written_if_wanted(learned, tmp_path):
    suffix, data, trained = learned
    done = predict(trained.run, [data / f"1{suffix}"], tmp_path, PredictOptions(probabilities="zarr", overlay=True))
    assert done.failed == ()
    assert {path.name for path in tmp_path.iterdir()} == {"1.zarr", "1_overlay.png"}


def test_a_sample_without_data_has_an_empty_entry(learned, tmp_path):
    suffix, data, trained = learned
    if suffix != ".csv":
        return
    text = (data / "1.csv").read_text().splitlines()
    row = text[51].split(",")
    text[51] = ",".join([row[0], "", "", *row[3:]])
    (tmp_path / "x.csv").write_text("\n".join(text) + "\n")
    predict(trained.run, [tmp_path / "x.csv"], tmp_path / "out")
    lines = (tmp_path / "out" / "x.csv").read_text().splitlines()
    assert lines[51] == "1.00,,"
    assert all("" not in line.split(",") for line in [*lines[:51], *lines[52:]])


def finer_table(path, size):
    """The table that super-resolution by 3 writes of a recording, and its values."""
    task = RestorationTask(("wave",), (0.0,), (1.0,), factor=3)
    table = NumberTable(path.with_name(f"out{path.suffix}"), path, task)
    table.begin(Opened(np.zeros((1, size), np.float32), (size,), valid=np.arange(size) > 0), streamed=False)
    values = np.arange(3 * size, dtype=np.float32)[None]
    table.sink[...] = values
    table.finish()
    return table.paths[0], values


def test_finer_numbers_of_a_table_have_finer_times(tmp_path):
    (tmp_path / "a.csv").write_text("seconds,wave\n0.0,1\n0.5,2\n2.0,3\n")
    path, values = finer_table(tmp_path / "a.csv", 3)
    name, *rows = [line.split(",") for line in path.read_text().splitlines()]
    assert name == ["seconds", "wave"]
    times = np.array([float(row[0]) for row in rows])
    # sample i of the recording is the middle one of three; between two of them time goes on evenly
    np.testing.assert_allclose(times[1::3], [0.0, 0.5, 2.0])
    np.testing.assert_allclose(np.diff(times), [1 / 6] * 4 + [0.5] * 4)
    np.testing.assert_array_equal([float(row[1]) for row in rows], values[0])


def test_finer_numbers_beside_an_index_of_words_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("date,wave\nMay,1\nJune,2\n")
    with pytest.raises(UserError, match=r"a\.csv: column date: .*super-resolution needs an index of numbers"):
        finer_table(tmp_path / "a.csv", 2)


@pytest.mark.parametrize("known", [True, False])
def test_values_of_a_turned_volume_are_turned_back_once(known):
    turn: Any = SimpleNamespace(back=lambda values: values[:, ::-1])
    valid = np.array([[True, True], [True, True], [False, True]]) if known else None
    maps = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    opened = Opened(np.zeros((1, 3, 2), np.float32), (3, 2), valid=valid, turn=turn)
    found = on_file(maps.copy(), RegressionTask(("a",), (0.0,), (1.0,)), opened)
    truth = maps.copy() if valid is None else np.where(valid, maps, np.nan)
    np.testing.assert_array_equal(found, truth[:, ::-1])
