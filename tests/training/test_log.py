"""The log of a run: what is written is read back, and a run that resumes drops later rows."""

import csv

import pytest

from atrous.training.log import COLUMNS, Log, read_log

WATCHED = ("miou", "pixel_accuracy")


def test_rows_are_read_back(tmp_path):
    log = Log(tmp_path, WATCHED)
    log.write(step=1, epoch=0, seconds=2.5, split="train", loss=0.123456789, learning_rate=1e-3)
    log.write(step=2, epoch=0, seconds=5.0, split="val", miou=0.5, pixel_accuracy=0.75)
    rows = read_log(tmp_path / "metrics.csv")  # every row is on disk at once, before the log is closed
    log.close()
    assert [list(row) for row in rows] == [[*COLUMNS, *WATCHED]] * 2
    assert rows[0]["loss"] == pytest.approx(0.123456789, rel=1e-5)
    assert (rows[0]["step"], rows[0]["split"], rows[0]["miou"]) == (1, "train", None)
    assert (rows[1]["split"], rows[1]["loss"], rows[1]["miou"], rows[1]["pixel_accuracy"]) == ("val", None, 0.5, 0.75)


def test_a_run_that_resumes_drops_later_rows(tmp_path):
    log = Log(tmp_path, WATCHED)
    for step in (1, 2, 3):
        log.write(step=step, split="train", loss=float(step))
    log.close()
    log = Log(tmp_path, WATCHED, step=2)
    log.write(step=3, split="train", loss=7.0)
    log.close()
    assert [row["loss"] for row in read_log(log.path)] == [1.0, 2.0, 7.0]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["metrics.csv"]


def test_a_new_run_starts_an_empty_log(tmp_path):
    log = Log(tmp_path, WATCHED)
    log.write(step=1, split="train", loss=1.0)
    log.close()
    Log(tmp_path, WATCHED).close()
    assert read_log(tmp_path / "metrics.csv") == []
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert next(csv.reader(file)) == [*COLUMNS, *WATCHED]


def test_without_a_file_there_are_no_rows(tmp_path):
    assert read_log(tmp_path / "metrics.csv") == []


def test_a_column_that_does_not_exist_is_refused(tmp_path):
    log = Log(tmp_path, WATCHED)
    with pytest.raises(ValueError, match="accuracy"):
        log.write(step=1, split="train", accuracy=1.0)
    log.close()
