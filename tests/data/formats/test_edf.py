"""EDF, EDF+ and BDF, against files that pyedflib writes and its reading of those written here."""

import datetime

import numpy as np
import pyedflib
import pytest

from atrous.data.formats import (
    channel_names,
    open_source,
    open_valid,
    read_annotations,
    read_header,
    read_image,
    write_label,
)
from atrous.data.formats.edf import NOBODY, encode_annotations
from atrous.data.formats.intervals import Interval
from atrous.errors import UserError
from tests.data.formats.recordings import RNG, write_edf


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_physical_values_rate_and_names(tmp_path, suffix):
    path = tmp_path / f"night{suffix}"
    signals = [RNG.normal(0, 100, 1000), RNG.normal(0, 100, 1000)]
    write_edf(path, signals, [100, 100])
    step = 1000 / 2 ** (24 if suffix == ".bdf" else 16)
    np.testing.assert_allclose(read_image(path), np.array(signals), atol=step)
    header = read_header(path)
    assert (header.shape, header.spacing, header.kind) == ((2, 1000), (0.01,), "signal")
    assert header.stored == ("int24" if suffix == ".bdf" else "int16")
    assert channel_names(path) == ("EEG Fpz-Cz", "EOG")
    with pyedflib.EdfReader(str(path)) as file:
        known = file.readSignal(1, 321, 333).astype(np.float32)
    np.testing.assert_array_equal(open_source(path)[1, 321:654], known)


def test_a_slow_channel_is_interpolated(tmp_path):
    slow = np.linspace(-400, 400, 100)
    write_edf(tmp_path / "a.edf", [RNG.normal(0, 100, 1000), slow], [100, 10])
    found = open_source(tmp_path / "a.edf")
    assert found.shape == (2, 1000)
    np.testing.assert_allclose(found[1], np.interp(np.arange(1000) / 100, np.arange(100) / 10, slow), atol=0.02)


def test_annotations_are_those_of_the_library(tmp_path):
    given = [(0.0, 2.5, "wake"), (2.5, 3.0, "stage 2"), (4.2, -1, "spike")]
    write_edf(tmp_path / "a.edf", [RNG.normal(0, 100, 1000)], [100], given)
    found = read_annotations(tmp_path / "a.edf", "atr")
    assert found.intervals == (Interval(0.0, 2.5, "wake"), Interval(2.5, 5.5, "stage 2"), Interval(4.2, 4.2, "spike"))
    assert found.known is None


@pytest.mark.parametrize("rate", [250, 360, 512])
def test_labels_are_written_as_annotations_that_the_library_reads(tmp_path, rate):
    like, out = tmp_path / "in.edf", tmp_path / "out.edf"
    write_edf(like, [RNG.normal(0, 100, 40 * rate)], [rate])
    labels = np.repeat(RNG.integers(0, 3, 5000), 8)[: 40 * rate].astype(np.uint8)
    write_label(out, labels, like=like, classes=["none", "p wave", "déjà"])
    with pyedflib.EdfReader(str(out), pyedflib.READ_ALL_ANNOTATIONS) as file:
        onsets, durations, texts = file.readAnnotations()
        started = file.getStartdatetime()
    with pyedflib.EdfReader(str(like)) as file:
        assert abs(started - file.getStartdatetime()) < datetime.timedelta(seconds=1)
    starts, stops = np.rint(onsets * rate).astype(int), np.rint((onsets + durations) * rate).astype(int)
    found = np.full(len(labels), 255, np.uint8)
    for start, stop, text in zip(starts, stops, texts, strict=True):
        found[start:stop] = ["none", "p wave", "déjà"].index(text)
    np.testing.assert_array_equal(found, labels)


def test_more_annotations_than_fit_one_record(tmp_path):
    given = [Interval(i / 7, i / 7 + 0.1, f"event number {i}") for i in range(2000)]
    (tmp_path / "a.edf").write_bytes(encode_annotations(given, NOBODY + "01.01.8500.00.00"))
    found = read_annotations(tmp_path / "a.edf", "")
    assert [i.text for i in found.intervals] == [i.text for i in given]
    np.testing.assert_allclose([i.start for i in found.intervals], [i.start for i in given], atol=1e-6)
    np.testing.assert_allclose([i.stop for i in found.intervals], [i.stop for i in given], atol=1e-6)
    with pytest.raises(UserError, match="annotations and no signals"):
        read_image(tmp_path / "a.edf")


@pytest.mark.parametrize("content", [b"", b"no recording", b"0       " + b" " * 300])
def test_what_is_no_edf_is_named(tmp_path, content):
    (tmp_path / "a.edf").write_bytes(content)
    for read in (read_header, read_image):
        with pytest.raises(UserError, match=r"a\.edf: cannot be read"):
            read(tmp_path / "a.edf")


def test_a_file_cut_short_is_named(tmp_path):
    write_edf(tmp_path / "a.edf", [RNG.normal(0, 100, 1000)], [100])
    whole = (tmp_path / "a.edf").read_bytes()
    (tmp_path / "a.edf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"a\.edf: cannot be read"):
        read_image(tmp_path / "a.edf")


def test_labels_of_a_plain_edf_are_an_edf_plus_of_nobody(tmp_path):
    write_edf(tmp_path / "in.edf", [RNG.normal(0, 100, 500)], [100])
    plain = bytearray((tmp_path / "in.edf").read_bytes())
    plain[8:168], plain[192:236] = b"Jane Doe, ward 3".ljust(160), b" " * 44
    (tmp_path / "in.edf").write_bytes(plain)
    write_label(tmp_path / "out.edf", np.repeat([0, 1], 250), like=tmp_path / "in.edf", classes=["a", "b"])
    found = read_annotations(tmp_path / "out.edf", "")
    assert found.intervals == (Interval(0.0, 2.5, "a"), Interval(2.5, 5.0, "b"))
    assert b"Jane" not in (tmp_path / "out.edf").read_bytes()


def blank(path, channel, limits):
    """Make a channel dead: "digital" or "physical" limits equal, as in CHB-MIT."""
    content = bytearray(path.read_bytes())
    count = int(content[252:256])
    place = 256 + count * (16 + 80 + 8) + (2 if limits == "digital" else 0) * count * 8 + channel * 8
    for at in (place, place + count * 8):
        content[at : at + 8] = b"0".ljust(8)
    path.write_bytes(content)


@pytest.mark.parametrize("limits", ["digital", "physical"])
def test_dead_channels_are_left_out_and_said(tmp_path, limits):
    path = tmp_path / "a.edf"
    signals = [RNG.normal(0, 100, 1000) for _ in range(3)]
    write_edf(path, signals, [100] * 3)
    whole = read_image(path)
    blank(path, 1, limits)
    np.testing.assert_array_equal(read_image(path), whole[[0, 2]])
    header = read_header(path)
    assert (header.shape, header.dropped) == ((2, 1000), ("EOG",))
    assert channel_names(path) == ("EEG Fpz-Cz", "Resp")
    for channel in (0, 2):
        blank(path, channel, limits)
    with pytest.raises(UserError, match="every channel is dead"):
        read_header(path)


def discontinuous(path, times, count=50, kind="EDF+D"):
    """Records of one second, each with its time and an annotation, written byte by byte."""
    values = RNG.integers(-3000, 3000, (len(times), count)).astype("<i2")
    fields = [("EEG", "EDF Annotations"), ("", ""), ("uV", ""), ("-3", "-1"), ("3", "1"), ("-3000", "-32768")]
    fields += [("3000", "32767"), ("", ""), (str(count), "40"), ("", "")]
    widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
    head = "0".ljust(8) + "X X X X".ljust(80) + "Startdate X X X X".ljust(80) + "01.01.2000.00.00" + "768".ljust(8)
    head += kind.ljust(44) + str(len(times)).ljust(8) + "1".ljust(8) + "2".ljust(4)
    head += "".join(text.ljust(width) for row, width in zip(fields, widths, strict=True) for text in row)
    body = b""
    for i, (row, time) in enumerate(zip(values, times, strict=True)):
        lists = f"+{time}\x14\x14\0+{time}\x151\x14{'wr'[i % 2]}\x14\0"
        body += row.tobytes() + lists.encode().ljust(80, b"\0")
    path.write_bytes(head.encode() + body)
    return values / 1000


def test_gaps_of_a_discontinuous_file_are_void(tmp_path):
    path, times = tmp_path / "a.edf", [0.5, 1.5, 6.5, 7.9]
    values = discontinuous(path, times)
    image, header, valid = read_image(path), read_header(path), open_valid(path)
    assert header.shape == (1, round(8.4 * 50))
    known = np.zeros(header.shape[1], bool)
    for row, time in zip(values, times, strict=True):
        start = round((time - 0.5) * 50)
        known[start : start + 50] = True
        np.testing.assert_allclose(image[0, start : start + 50], row, atol=1e-6)
    np.testing.assert_array_equal(valid[...], known)
    np.testing.assert_array_equal(valid[90:320:3], known[90:320:3])
    assert np.isfinite(image).all()
    np.testing.assert_array_equal(open_source(path)[0, 95:310:2], image[0, 95:310:2])
    found = read_annotations(path, "").intervals
    assert [(i.start, i.stop, i.text) for i in found][2] == (6.0, 7.0, "w")


@pytest.mark.parametrize("kind", ["EDF+D", "EDF+C"])
def test_without_a_gap_nothing_is_void(tmp_path, kind):
    values = discontinuous(tmp_path / "a.edf", [0, 1, 2, 3], kind=kind)
    np.testing.assert_allclose(read_image(tmp_path / "a.edf"), values.reshape(1, -1), atol=1e-6)
    assert open_valid(tmp_path / "a.edf") is None


def test_records_that_overlap_or_lack_their_time_are_named(tmp_path):
    discontinuous(tmp_path / "a.edf", [0, 1, 1.2])
    with pytest.raises(UserError, match="record 2 begins before the end of the one before it"):
        read_header(tmp_path / "a.edf")
    discontinuous(tmp_path / "a.edf", [0, 1, 2])
    content = (tmp_path / "a.edf").read_bytes().replace(b"+1\x14\x14\0", b"\0" * 5)
    (tmp_path / "a.edf").write_bytes(content)
    with pytest.raises(UserError, match="record 1 of 3 does not say its time"):
        read_header(tmp_path / "a.edf")


@pytest.mark.parametrize(
    ("place", "text"), [(236, "-7"), (244, "x"), (252, "9999"), (252, "0"), (244, "0"), (688, "-5")]
)
def test_headers_that_cannot_be_are_named(tmp_path, place, text):
    write_edf(tmp_path / "a.edf", [RNG.normal(0, 100, 1000)], [100])
    content = bytearray((tmp_path / "a.edf").read_bytes())
    width = 4 if place == 252 else 8
    content[place : place + width] = text.ljust(width).encode()
    (tmp_path / "a.edf").write_bytes(content)
    with pytest.raises(UserError, match=r"a.edf: "):
        read_image(tmp_path / "a.edf")


def test_a_recorder_that_did_not_finish_left_minus_one(tmp_path):
    write_edf(tmp_path / "a.edf", [RNG.normal(0, 100, 1000)], [100])
    whole = read_image(tmp_path / "a.edf")
    content = bytearray((tmp_path / "a.edf").read_bytes())
    content[236:244] = b"-1".ljust(8)
    (tmp_path / "a.edf").write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / "a.edf"), whole)
