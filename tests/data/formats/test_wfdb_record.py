"""WFDB records and annotations, against files that wfdb writes and its reading of those written here."""

import numpy as np
import pytest

from atrous.data.formats import channel_names, open_source, read_annotations, read_header, read_image, write_label
from atrous.data.formats.intervals import Interval
from atrous.data.formats.wfdb_record import library
from atrous.errors import UserError
from tests.data.formats.recordings import RNG, annotate_record, write_record


@pytest.fixture
def record(tmp_path):
    signals = RNG.normal(size=(2, 1000))
    write_record(tmp_path / "100.hea", signals)
    return tmp_path / "100.hea", signals


def test_physical_values_rate_and_names(record):
    path, signals = record
    np.testing.assert_allclose(read_image(path), signals, atol=2e-4)
    header = read_header(path)
    assert (header.shape, header.spacing) == ((2, 1000), (1 / 360,))
    assert channel_names(path) == ("MLII", "V1")
    with library(path) as wfdb:
        known = wfdb.rdrecord(str(path.with_suffix("")), sampfrom=321, sampto=654).p_signal.T.astype(np.float32)
    np.testing.assert_array_equal(open_source(path)[:, 321:654], known)


def test_channels_with_several_samples_a_frame_keep_their_rate(tmp_path):
    fast, slow = RNG.integers(-900, 900, 400), RNG.integers(-900, 900, 100)
    head = "r 2 100 100\nr.dat 16x4 200 16 0 0 0 0 fast\nr.dat 16 200 16 0 0 0 0 slow\n"
    (tmp_path / "r.hea").write_text(head)
    frames = np.concatenate([fast.reshape(100, 4), slow[:, None]], axis=1).astype("<i2")
    (tmp_path / "r.dat").write_bytes(frames.tobytes())
    found = open_source(tmp_path / "r.hea")
    assert found.shape == (2, 400)
    assert read_header(tmp_path / "r.hea").spacing == (1 / 400,)
    np.testing.assert_allclose(found[0, 37:83], (fast / 200)[37:83], rtol=1e-6)
    np.testing.assert_allclose(found[1], np.interp(np.arange(400) / 4, np.arange(100), slow / 200), atol=1e-6)


def test_waves_rhythms_and_beats(record):
    path, _ = record
    places = [5, 10, 20, 30, 50, 60, 70, 100, 400, 450]
    annotate_record(path, places, "+(p)(N)V+V", ["(N", *[""] * 7, "(AFIB", ""])
    found = read_annotations(path, "atr")
    with library(path) as wfdb:
        known = wfdb.rdann(str(path.with_suffix("")), "atr")
    assert known.sample.tolist() == places
    rate = 360.0
    assert found.intervals == (
        Interval(5 / rate, 400 / rate, "(N"),
        Interval(10 / rate, 31 / rate, "p"),
        Interval(50 / rate, 71 / rate, "N"),
        Interval(100 / rate, 100 / rate, "V"),
        Interval(400 / rate, 1000 / rate, "(AFIB"),
        Interval(450 / rate, 450 / rate, "V"),
    )
    assert found.known == (10 / rate, 71 / rate)


def test_labels_are_written_as_annotations_that_the_library_reads(record, tmp_path):
    path, _ = record
    labels = np.repeat(RNG.integers(0, 3, 1000), RNG.integers(1, 9, 1000))[:1000].astype(np.uint8)
    write_label(tmp_path / "out.atr", labels, like=path, classes=["none", "p wave", "qrs"])
    with library(path) as wfdb:
        known = wfdb.rdann(str(tmp_path / "out"), "atr")
    assert known.fs == 360
    found = np.full(1000, 255, np.uint8)
    notes = [note.strip("\x00") for note in known.aux_note]
    for start, end, note in zip(known.sample[::2], known.sample[1::2], notes[::2], strict=True):
        found[start : end + 1] = ["none", "p wave", "qrs"].index(note)
    assert set(known.symbol[::2]) == {"("}
    assert set(known.symbol[1::2]) == {")"}
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize("content", ["", "rec 2\n", "no such\nthing\n"])
def test_what_is_no_record_is_named(tmp_path, content):
    (tmp_path / "a.hea").write_text(content)
    for read in (read_header, read_image):
        with pytest.raises(UserError, match=r"a\.hea: cannot be read"):
            read(tmp_path / "a.hea")


def test_a_record_without_its_signal_file_is_named(record):
    path, _ = record
    path.with_suffix(".dat").unlink()
    with pytest.raises(UserError, match=r"100\.hea: cannot be read"):
        read_image(path)


@pytest.mark.parametrize("name", ["../secret.dat", "/etc/passwd", "..\\secret.dat", "file:///etc/passwd"])
def test_a_header_that_names_a_file_elsewhere_is_refused(tmp_path, name):
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.dat").write_bytes(bytes(400))
    (tmp_path / "data/r.hea").write_text(f"r 1 100 100\n{name} 16 200 16 0 0 0 0 a\n")
    for read in (read_header, read_image, open_source, channel_names):
        with pytest.raises(UserError, match=r"r.hea: it names the signal file .*, which is not in its folder: copy"):
            read(tmp_path / "data/r.hea")
