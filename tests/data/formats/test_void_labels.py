"""Void labels in every format that writes the labels of recordings as words: they come back as void."""

from pathlib import Path

import numpy as np
import pytest

from atrous.data.formats import write_label
from atrous.data.formats.intervals import labeled_runs
from atrous.data.targets.annotations import Rule
from atrous.data.targets.labels import AnnotatedRecording, LabelTable
from atrous.labels import IGNORE
from tests.data.formats.recordings import write_edf, write_record

NAMES = ("rest", "move", "fall")
LENGTH = 40
EVERYWHERE = np.full(LENGTH, IGNORE, np.uint8)
SOME = np.repeat(np.array([0, IGNORE, 2, IGNORE, 1], np.uint8), LENGTH // 5)
ENDS = np.repeat(np.array([IGNORE, 1, IGNORE, IGNORE], np.uint8), LENGTH // 4)


def recording(folder: Path, suffix: str) -> Path:
    path = folder / f"r{suffix}"
    if suffix in (".edf", ".bdf"):
        write_edf(path, [np.arange(LENGTH, dtype=float)], [10])
    elif suffix == ".hea":
        write_record(path, np.arange(2.0 * LENGTH).reshape(2, LENGTH), 10)
    elif suffix == ".npz":
        np.savez(path, signal=np.arange(LENGTH))
    else:
        mark = "\t" if suffix == ".tsv" else ","
        path.write_text("\n".join([f"time{mark}x", *(f"{i}{mark}{i}" for i in range(LENGTH))]) + "\n")
    return path


@pytest.mark.parametrize("labels", [SOME, ENDS, EVERYWHERE], ids=["some", "ends", "everywhere"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".npz", ".edf", ".hea"])
def test_void_labels_are_read_back_as_void(tmp_path, suffix, labels):
    path = recording(tmp_path, suffix)
    written = tmp_path / "labels" / path.with_suffix(".atr" if suffix == ".hea" else suffix).name
    written.parent.mkdir()
    write_label(written, labels, like=path, classes=NAMES)
    if suffix in (".edf", ".hea"):
        if suffix == ".hea":
            written.rename(path.with_suffix(".atr"))
        source = path if suffix == ".hea" else written
        reader = AnnotatedRecording(source, Rule(), NAMES, None if suffix == ".hea" else path)
    else:
        reader = LabelTable(written, NAMES)
    if suffix in (".csv", ".tsv") and (labels == IGNORE).all():
        reader = LabelTable(written, None)  # without a word the table is one of numbers, all of them void
    np.testing.assert_array_equal(reader.values(False)[0], labels)


def test_numbers_without_names_leave_void_out():
    assert [run.text for run in labeled_runs(np.array([3, IGNORE, 3, 4], np.uint8), 1.0)] == ["3", "3", "4"]
