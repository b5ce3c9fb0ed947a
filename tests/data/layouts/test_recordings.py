"""Signals with labels in the same file."""

import datetime
import re

import numpy as np
import pyedflib
import pytest

from atrous.data.dataset import open_dataset
from atrous.data.formats import read_header, read_image, read_values, read_words, write_label
from atrous.errors import UserError
from atrous.verbs.check import check
from tests.data.formats.recordings import annotate_record, write_edf, write_edf_signals, write_record

RNG = np.random.default_rng(0)
WORDS = np.array(["na", "p", "qrs", "t"])


def table(path, length=50, labels=None, first=7, columns=("wave_form",)):
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = WORDS[RNG.integers(0, 4, length)] if labels is None else labels
    signal = RNG.normal(size=(len(columns), length)).astype(np.float32)
    rows = [f"{first + i},{labels[i]},{','.join(repr(float(v)) for v in signal[:, i])}" for i in range(length)]
    path.write_text("\n".join([f"index,label,{','.join(columns)}", *rows]) + "\n")
    return signal, labels


def test_a_table_gives_signal_and_labels(tmp_path):
    made = {f"p{i}": table(tmp_path / f"p{i}.csv", 40 + i, columns=("i", "ii")) for i in range(5)}
    (tmp_path / "dataset.toml").write_text('classes = ["t", "na", "p", "qrs"]\nsampling_rate = 250')
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("t", "na", "p", "qrs")
    for sample in dataset.samples:
        signal, labels = made[sample.name]
        np.testing.assert_array_equal(sample.image.load(), signal)
        assert [dataset.classes[k] for k in sample.target.read()] == labels.tolist()
        assert dataset.spacing_of(sample) == (0.004,)


def test_undeclared_classes_are_sorted_and_empty_labels_are_void(tmp_path):
    for i in range(3):
        table(tmp_path / f"{i}.csv", 4, labels=["b", "a", "", "b"])
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("a", "b")
    assert dataset.samples[0].target.read().tolist() == [1, 0, 255, 1]


def test_missing_labels_are_void_and_no_class(tmp_path):
    for i in range(5):
        table(tmp_path / f"words/{i}.csv", 6, labels=["b", "NaN", "NA", "", "a", "N/A"])
        table(tmp_path / f"numbers/{i}.csv", 6, labels=["nan", "1", "0", "NA", "", "1"])
    words, numbers = open_dataset(tmp_path / "words"), open_dataset(tmp_path / "numbers")
    assert words.classes == ("a", "b")
    assert words.samples[0].target.read().tolist() == [1, 255, 255, 255, 0, 255]
    assert numbers.classes == ("class 0", "class 1")
    assert numbers.samples[0].target.read().tolist() == [255, 1, 0, 255, 255, 1]


def test_a_description_says_what_the_columns_are(tmp_path):
    rows = "\n".join(f"2020-01-01T00:00:0{i},{i},{i % 2},{i * 2},{'rw'[i % 2]},north" for i in range(8))
    for case in range(5):
        (tmp_path / f"{case}.csv").write_text(f"when,x,y,z,doing,site\n{rows}\n")
    with pytest.raises(
        UserError, match=r"no labels \(its columns: when, x, y, z, doing, site\)|'doing' is not numeric"
    ):
        open_dataset(tmp_path)
    (tmp_path / "dataset.toml").write_text(
        '[columns]\nlabel = "doing"\ntime = "when"\nchannels = ["z", "x"]\nignore = ["site"]\n'
    )
    found = check(tmp_path)
    assert "columns  time when; channels z, x; label doing; no role y, site\n" in found.text()
    assert found.to_dict()["columns"] == "time when; channels z, x; label doing; no role y, site"
    assert "rate     1 Hz" in found.text()
    assert found.dataset.classes == ("r", "w")
    np.testing.assert_array_equal(found.dataset.samples[0].image.load()[:, 3], [6, 3])
    (tmp_path / "dataset.toml").write_text('[columns]\nlabel = "doin"\n')
    with pytest.raises(
        UserError, match=r"dataset.toml: \[columns\] names 'doin', which no table has: did you mean 'doing'"
    ):
        open_dataset(tmp_path)


def test_tables_with_other_columns_are_named(tmp_path):
    for case in range(4):
        (tmp_path / f"{case}.csv").write_text("time,x,y,z,label\n0,1,2,3,a\n1,2,3,4,b\n")
    (tmp_path / "9.csv").write_text("T,x,y,z,label\n3,1,2,3,a\n1,2,3,4,b\n")
    line = "columns  time time; channels x, y, z; label label (9.csv otherwise: channels T, x, y, z; label label)"
    assert line in check(tmp_path).text()


def test_numbers_are_classes_as_in_masks(tmp_path):
    for i in range(3):
        table(tmp_path / "train" / f"{i}.csv", 6, labels=[0, 1, 2, 0, 1, 2])
        table(tmp_path / "val" / f"{i}.csv", 6, labels=[0, 1, 2, 0, 1, 2])
    (tmp_path / "dataset.toml").write_text("sampling_rate = 100")
    found = check(tmp_path)
    assert found.ok
    assert "rate     100 Hz" in found.text()
    assert found.dataset.classes == ("class 0", "class 1", "class 2")
    assert found.fingerprint.images == {"train": 3, "val": 3}


@pytest.mark.parametrize("transposed", [False, True])
def test_npz_keeps_its_rate(tmp_path, transposed):
    signal, labels = RNG.normal(size=(3, 30)).astype(np.float32), WORDS[RNG.integers(0, 4, 30)]
    for i in range(3):
        stored = signal.T if transposed else signal
        np.savez(tmp_path / f"{i}.npz", signal=stored, label=labels, rate=500.0)
    dataset = open_dataset(tmp_path)
    sample = dataset.samples[0]
    np.testing.assert_array_equal(sample.image.load(), signal)
    assert [dataset.classes[k] for k in sample.target.read()] == labels.tolist()
    assert dataset.spacing_of(sample) == (0.002,)
    assert read_header(sample.image.path).shape == (3, 30)


def test_groups_stay_together(tmp_path):
    for patient in range(6):
        for night in range(3):
            table(tmp_path / f"patient{patient}_{night}.csv", 8)
    (tmp_path / "dataset.toml").write_text('groups = "^(patient[0-9]+)"')
    dataset = open_dataset(tmp_path)
    val = {sample.group for sample in dataset.splits["val"]}
    assert val.isdisjoint(sample.group for sample in dataset.splits["train"])
    assert len(dataset.splits["val"]) == 3
    assert "stay together" in dataset.split_origin


def test_labels_are_written_with_the_rows_of_their_signal(tmp_path):
    table(tmp_path / "a.csv", 5, first=100)
    write_label(
        tmp_path / "out.csv", np.array([0, 1, 1, 3, 2], np.uint8), like=tmp_path / "a.csv", classes=WORDS.tolist()
    )
    text = (tmp_path / "out.csv").read_text().splitlines()
    assert text == ["index,label", "100,na", "101,p", "102,p", "103,t", "104,qrs"]
    write_label(tmp_path / "out.npz", np.array([0, 1, 1], np.uint8), classes=WORDS.tolist())
    words = read_words(tmp_path / "out.npz")
    assert words is not None
    assert words.tolist() == ["na", "p", "p"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows below a header"),
        ("1,2,3\n4,5,6\n", "not a header"),
        ("label,site,x\na,b,1\n", "column 'site' is not numeric"),
        ("index,label\n1,a\n", "no column of numbers"),
        ("label,x\na,1\nb,oops\n", "'oops' is not a number"),
        ("label,x\na,1\nb\n", "row 2 of 2 is shorter than the header"),
        ("label;x\na;1,5\n", "column 'x' is not numeric: it has a decimal comma: export it with decimal points"),
        ("label;x\na;1\na;1,5\n", "'1,5' is not a number: it has a decimal comma: export it with decimal points"),
        ("label,x\na,1,5\n", "its rows have 3 entries, its header 2: .*decimal points"),
        ("x,label\n1,5,a\n", "its rows have 3 entries, its header 2: .*decimal points"),
    ],
)
def test_mistakes_in_a_table_are_named(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_image(tmp_path / "a.csv")


def test_faults_are_found_by_the_doctor(tmp_path):
    for i in range(5):
        table(tmp_path / f"{i}.csv", 6, labels=["a", "b", "a", "b", "a", "b"])
    (tmp_path / "dataset.toml").write_text('classes = ["a", "c"]')
    found = check(tmp_path)
    assert not found.ok
    assert "label 'b' is none of the classes a, c" in found.errors[0].line()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"wave,label\n1,a\n2\n", r"row 2 of 2 is shorter than the header\): copy it again"),
        (
            "wave,label\n1,\u00fc\n".encode("latin-1"),
            r"it is not UTF-8 text .line 2 has the byte 0xfc.*: save it as UTF-8",
        ),
    ],
)
def test_a_broken_table_among_good_ones_is_listed(tmp_path, content, said):
    for i in range(4):
        table(tmp_path / f"{i}.csv", 6, labels=["a", "b", "a", "b", "a", "b"])
    (tmp_path / "9.csv").write_bytes(content)
    (fault,) = [fault for fault in check(tmp_path).errors if fault.file == "9.csv"]
    assert re.search(said, fault.line())


def test_a_broken_recording_among_good_ones_is_listed(tmp_path):
    root = write_edf_signals(tmp_path, count=4)
    first = min(root.rglob("*.edf"))
    first.write_bytes(first.read_bytes()[:200])
    found = check(root)
    (fault,) = found.errors
    assert fault.line().startswith(f"{first.relative_to(root)}: cannot be read")
    assert found.dataset.channel_names is not None


def test_a_folder_without_labels_says_so(tmp_path):
    (tmp_path / "a.csv").write_text("index,x\n1,2\n")
    with pytest.raises(
        UserError,
        match=r"no labels \(its columns: index, x\): give the column .* or name it in dataset.toml: \[columns\] label",
    ):
        open_dataset(tmp_path)


def test_the_real_ecg(shared_data):
    dataset = open_dataset(shared_data / "ecg")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 96, "val": 24}
    assert dataset.classes == ("na", "p", "a", "t")
    assert dataset.spacing == (0.004,)


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_lines_may_end_in_any_way(tmp_path, end):
    (tmp_path / "a.csv").write_bytes(end.join(["a,label", "1,0", "", "2,1", "3,1", ""]).encode())
    assert read_header(tmp_path / "a.csv").shape == (1, 3)
    np.testing.assert_array_equal(read_image(tmp_path / "a.csv"), [[1, 2, 3]])
    np.testing.assert_array_equal(read_values(tmp_path / "a.csv"), [0, 1, 1])


def night(folder, number, kind=("E0-PSG", "EC-Hypnogram"), later=0):
    """A recording of Sleep-EDF and its hypnogram, in a file of its own without signals."""
    stages = np.random.default_rng(number).integers(0, 3, 8)
    write_edf(folder / f"SC40{number}1{kind[0]}.edf", [np.repeat(stages * 50.0, 30 * 10)], [10])
    texts = ["Sleep stage W", "Sleep stage 2", "Sleep stage ?"]
    path = folder / f"SC40{number}1{kind[1]}.edf"
    with pyedflib.EdfWriter(str(path), 0, file_type=pyedflib.FILETYPE_EDFPLUS) as writer:
        if later:
            started = datetime.datetime(1985, 1, 1) + datetime.timedelta(seconds=later)
            writer.setStartdatetime(started)
        for i, stage in enumerate(stages):
            writer.writeAnnotation(30 * i - later, 30, texts[stage])
    return stages


def same_start(folder):
    """pyedflib writes the time of day as the start: give all files one."""
    for path in folder.glob("*.edf"):
        content = bytearray(path.read_bytes())
        content[168:184] = b"01.01.8500.00.00"
        path.write_bytes(content)


@pytest.mark.parametrize("kind", [("E0-PSG", "EC-Hypnogram"), ("", "_hypnogram"), ("-PSG", "-Hypnogram")])
def test_hypnograms_in_files_of_their_own_are_paired(tmp_path, kind):
    stages = {number: night(tmp_path, number, kind) for number in range(4)}
    same_start(tmp_path)
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("Sleep stage 2", "Sleep stage ?", "Sleep stage W")
    assert len(dataset.samples) == 4
    for sample in dataset.samples:
        number = int(sample.image.path.name[4])
        labels = np.array([2, 0, 1])[stages[number]]
        np.testing.assert_array_equal(sample.target.read(), np.repeat(labels, 300))
    assert check(tmp_path).ok


def test_a_hypnogram_without_its_recording_is_named(tmp_path):
    for number in range(3):
        night(tmp_path, number)
    (tmp_path / "SC4001E0-PSG.edf").rename(tmp_path / "other.edf")
    same_start(tmp_path)
    with pytest.raises(UserError, match=r"SC4001EC-Hypnogram.edf: it has annotations and no signals, and no recording"):
        open_dataset(tmp_path)


def test_annotations_of_another_time_are_moved_or_named(tmp_path):
    stages = {number: night(tmp_path, number) for number in range(3)}
    same_start(tmp_path)
    path = tmp_path / "SC4011EC-Hypnogram.edf"
    content = bytearray(path.read_bytes())
    content[168:184] = b"01.01.8500.01.00"  # a minute later: two stages
    path.write_bytes(content)
    sample = next(s for s in open_dataset(tmp_path).samples if "SC4011" in s.name)
    truth = np.repeat(np.array([2, 0, 1])[stages[1]], 300)
    read = sample.target.read()
    np.testing.assert_array_equal(read[600:], truth[:-600])
    assert (read[:600] == 255).all()
    content[168:184] = b"02.01.8500.00.00"
    path.write_bytes(content)
    faults = [fault.line() for fault in check(tmp_path).errors]
    assert any("SC4011EC-Hypnogram.edf: it begins at 1985-01-02" in line for line in faults)


def test_a_data_set_in_which_no_recording_can_be_read_is_named(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.edf").write_bytes(b"0       " + bytes(300))
    with pytest.raises(UserError, match=r"\d.edf: cannot be read"):
        check(tmp_path)


def leads(folder, names_of_each):
    """WFDB records of several lengths whose leads have these names; a lead holds the number of its name plus time."""
    known = sorted({name for names in names_of_each for name in names})
    for case, names in enumerate(names_of_each):
        length = 40 + 10 * case
        values = np.array([known.index(name) + np.arange(length) / 1000 for name in names])
        write_record(folder / f"r{case}.hea", values, 100, names)
        annotate_record(folder / f"r{case}.hea", [0, length // 2], "++", ["(N", "(AFIB"])
    return known


def test_leads_are_found_by_their_names_in_any_order_and_among_more(tmp_path):
    known = leads(tmp_path, [("I", "II"), ("II", "I"), ("V1", "I", "aVR", "II"), ("I", "II"), ("II", "V1", "I")])
    found = check(tmp_path)
    assert found.ok
    assert found.fingerprint.channel_names == ("I", "II")
    assert (found.fingerprint.sizes.min, found.fingerprint.sizes.max) == ((40,), (80,))
    for sample in found.dataset.samples:
        np.testing.assert_allclose(sample.image.load()[:, 0], [known.index("I"), known.index("II")], atol=1e-3)


def test_a_missing_lead_is_refused_with_file_and_name(tmp_path):
    leads(tmp_path, [("I", "II", "V1"), ("I", "II"), ("V1", "II", "I"), ("I", "II", "V1"), ("I", "V1", "II")])
    (fault,) = check(tmp_path).errors
    assert fault.line() == (
        "r1.hea: its channels are I, II, but other files of the data set have I, II, V1: "
        'export V1 too, or write channels = ["I", "II"] in dataset.toml'
    )
    (tmp_path / "dataset.toml").write_text('channels = ["I", "II"]')
    assert check(tmp_path).ok


def test_other_leads_are_not_taken_for_those_of_the_data_set(tmp_path):
    leads(tmp_path, [("I", "II"), ("V1", "V2"), ("I", "II"), ("I", "II"), ("I", "II")])
    for toml in ("", 'channels = ["I", "II"]'):
        (tmp_path / "dataset.toml").write_text(toml)
        (fault,) = check(tmp_path).errors
        assert fault.line().startswith("r1.hea: its channels are V1, V2, but ")


def test_new_names_for_leads_follow_the_first_recording(tmp_path):
    leads(tmp_path, [("I", "II"), ("II", "I"), ("I", "II"), ("II", "I"), ("I", "II")])
    (tmp_path / "dataset.toml").write_text('channels = ["left", "right"]')
    found = check(tmp_path)
    assert found.dataset.channel_names == ("left", "right")
    for sample in found.dataset.samples:
        np.testing.assert_allclose(sample.image.load()[:, 0], [0, 1], atol=1e-3)
