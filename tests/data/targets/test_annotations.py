"""Recordings whose labels are annotations: the rule of dataset.toml, tables beside them, the doctor."""

import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.data.targets.annotations import Rule, annotated_values
from atrous.errors import UserError
from atrous.verbs.check import check
from tests.data.formats.recordings import RNG, annotate_record, write_edf, write_record

LENGTH = 800


def nights(root, annotations=((0.0, 3.0, "wake"), (3.0, 2.5, "rem")), count=5, names=("EEG", "EOG")):
    root.mkdir(exist_ok=True)
    for i in range(count):
        write_edf(root / f"n{i}.edf", RNG.normal(0, 50, (2, LENGTH)), [100, 100], annotations, names)
    return root


def labels_of(root, sample=0):
    dataset = open_dataset(root)
    return dataset, dataset.samples[sample].target.read()


def test_intervals_are_labels_and_the_rest_is_void(tmp_path):
    dataset, label = labels_of(nights(tmp_path))
    assert dataset.classes == ("rem", "wake")
    np.testing.assert_array_equal(label, np.repeat([1, 0, 255], [300, 250, 250]))
    assert dataset.channel_names == ("EEG", "EOG")
    assert dataset.samples[0].image.load().shape == (2, LENGTH)
    assert dataset.spacing_of(dataset.samples[0]) == (0.01,)
    found = check(tmp_path)
    assert found.ok, found.text()
    assert "recordings, .edf" in found.text()
    assert "rate     100 Hz" in found.text()


def test_background_names_and_later_intervals_win(tmp_path):
    nights(tmp_path, ((0.0, 3.0, "seizure (left)"), (2.0, 3.0, "seizure (right)"), (2.5, 1.0, "lights off")))
    (tmp_path / "dataset.toml").write_text(
        'classes = ["none", "right", "left"]\n[annotations]\nbackground = "none"\n'
        'names = { "seizure (left)" = "left", "seizure (right)" = "right" }\n'
    )
    _, label = labels_of(tmp_path)
    np.testing.assert_array_equal(label, np.repeat([2, 1, 0], [200, 300, 300]))
    write_edf(tmp_path / "quiet.edf", RNG.normal(0, 50, (2, LENGTH)), [100, 100], (), ("EEG", "EOG"))
    quiet = next(s for s in open_dataset(tmp_path).samples if s.name == "quiet")
    assert set(quiet.target.read()) == {0}


def test_instants_are_refused_or_get_their_surroundings(tmp_path):
    nights(tmp_path, ((1.0, -1, "spike"), (4.0, 1.0, "burst")))
    with pytest.raises(UserError, match="annotation 'spike' at 1 s is an instant"):
        labels_of(tmp_path)
    found = check(tmp_path)
    assert not found.ok
    assert "around = [BEFORE, AFTER]" in found.errors[0].line()
    (tmp_path / "dataset.toml").write_text('[annotations]\naround = [0.1, 0.25]\nbackground = "none"\n')
    dataset, label = labels_of(tmp_path)
    assert dataset.classes == ("burst", "none", "spike")
    np.testing.assert_array_equal(label, np.repeat([1, 2, 1, 0, 1], [90, 35, 275, 100, 300]))


def test_waves_of_a_record_and_nothing_known_beside_them(tmp_path):
    for i in range(5):
        write_record(tmp_path / f"{i}.hea", RNG.normal(size=(1, LENGTH)), rate=250)
        annotate_record(tmp_path / f"{i}.hea", [100, 110, 119, 200, 210, 239], "(p)(N)")
    (tmp_path / "dataset.toml").write_text('classes = ["none", "p", "N"]\n[annotations]\nbackground = "none"\n')
    dataset, label = labels_of(tmp_path)
    assert dataset.layout == "recordings, .hea"
    np.testing.assert_array_equal(label, np.repeat([255, 1, 0, 2, 255], [100, 20, 80, 40, 560]))
    assert dataset.spacing_of(dataset.samples[0]) == (0.004,)
    assert check(tmp_path).ok


def test_another_annotator(tmp_path):
    for i in range(3):
        write_record(tmp_path / f"{i}.hea", RNG.normal(size=(1, LENGTH)), rate=250)
        annotate_record(tmp_path / f"{i}.hea", [1, 2, 3], "(p)")
        (tmp_path / f"{i}.atr").rename(tmp_path / f"{i}.pu")
    with pytest.raises(UserError, match=r"no labels: annotate it"):
        open_dataset(tmp_path)
    (tmp_path / "dataset.toml").write_text('[annotations]\nannotator = "pu"\n')
    assert open_dataset(tmp_path).classes == ("p",)


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_a_table_beside_a_recording_holds_its_labels(tmp_path, kind):
    nights(tmp_path)
    words = np.repeat(["a", "b"], [300, 500])
    for i in range(5):
        if kind == "csv":
            rows = [f"{j},{word}" for j, word in enumerate(words)]
            (tmp_path / f"n{i}.csv").write_text("\n".join(["sample,label", *rows]))
        else:
            np.savez(tmp_path / f"n{i}.npz", label=words)
    dataset, label = labels_of(tmp_path)
    assert len(dataset.samples) == 5
    assert dataset.classes == ("a", "b")
    np.testing.assert_array_equal(label, np.repeat([0, 1], [300, 500]))
    assert check(tmp_path).ok


def test_channels_are_found_by_name_and_missing_ones_are_named(tmp_path):
    nights(tmp_path)
    stored = RNG.normal([[0], [99]], 5, (2, LENGTH))
    write_edf(tmp_path / "swapped.edf", stored, [100, 100], [(0.0, 3.0, "rem")], ("EOG", "EEG"))
    write_edf(tmp_path / "without.edf", stored[:1], [100], [(0.0, 3.0, "rem")], ("EEG",))
    samples = {sample.name: sample for sample in open_dataset(tmp_path).samples}
    assert samples["swapped"].image.load().mean(1).round(-1).tolist() == [100, 0]  # EEG first, as in the first file
    with pytest.raises(UserError, match=r"without\.edf: its channels are EEG, but .* EEG, EOG: export EOG too"):
        samples["without"].image.load()


def test_a_class_that_is_not_declared_is_named(tmp_path):
    nights(tmp_path)
    (tmp_path / "dataset.toml").write_text('classes = ["wake", "sleep"]')
    found = check(tmp_path)
    assert "annotation 'rem' is none of the classes wake, sleep" in found.errors[0].line()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("annotations = 3", "knows annotator, background, around, names, not 3"),
        ("[annotations]\nbackgrund = 'a'", "not 'backgrund'"),
        ("[annotations]\naround = 0.5", "must be seconds before and after"),
        ("[annotations]\naround = [0, 0]", "must be seconds before and after"),
        ("[annotations]\nnames = ['a']", "must say the class of each text"),
    ],
)
def test_mistakes_in_the_rule_are_named(tmp_path, text, message):
    nights(tmp_path, count=1)
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        open_dataset(tmp_path)


@pytest.mark.parametrize("rate", [100, 256, 360])
def test_times_that_a_writer_rounded_are_their_samples_again(tmp_path, rate):
    starts = np.arange(0, 5 * rate, 7)
    given = [(round(float(s / rate), 4), round(3 / rate, 4), "a") for s in starts]
    write_edf(tmp_path / "a.edf", RNG.normal(0, 50, (1, 60 * rate)), [rate], given[:60], ("EEG",))
    label = annotated_values(tmp_path / "a.edf", Rule(background="b"), ("a", "b"))
    expected = np.ones(60 * rate, np.uint8)
    for start in starts[:60]:
        expected[start : start + 3] = 0
    np.testing.assert_array_equal(label, expected)
