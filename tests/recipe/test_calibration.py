"""The file with the calibration of a run."""

import json

import numpy as np
import pytest
import torch

from atrous.errors import UserError
from atrous.recipe.calibration import FILE, Calibration, read_calibration
from atrous.recipe.run import open_run
from atrous.tasks.confidence import ConfidenceCounter
from atrous.tasks.conformal import LEVELS, MissCurve
from atrous.tasks.temperature import temperatures


def calibration(images=20, groups=()):
    counter = ConfidenceCounter(2, temperature=1.5)
    generator = torch.Generator().manual_seed(0)
    for number in range(images):
        p = (2 * torch.randn(2, 50, generator=generator)).softmax(0)
        labels = torch.multinomial(p.T, 1, generator=generator)[:, 0]
        counter.update(str(number), p, labels, groups[number] if groups else "")
    return Calibration.of(counter.result(), "val of here", images)


def test_it_comes_back(tmp_path):
    made = calibration()
    made.write(tmp_path)
    found = read_calibration(tmp_path)
    assert found is not None
    assert (found.temperature, found.samples, found.measured_on) == (1.5, 20, "val of here")
    assert (found.ece, found.ece_before) == (made.ece, made.ece_before)
    np.testing.assert_allclose(found.misses[0].misses, made.misses[0].misses, atol=1e-6)
    assert found.sets(0.9, tmp_path) == made.sets(0.9, tmp_path)
    assert read_calibration(tmp_path / "none") is None


def test_a_run_without_it_has_the_temperature_1(trained, tmp_path):
    (tmp_path / "recipe.toml").write_bytes((trained / "recipe.toml").read_bytes())
    assert open_run(tmp_path).calibration() is None
    assert temperatures(open_run(tmp_path).task()) == (1.0,)
    found = open_run(trained).calibration()
    assert found is not None
    assert temperatures(open_run(trained).task()) == (found.temperature,)
    assert found.temperature != 1


def test_groups_are_the_unit_where_there_are_enough(tmp_path):
    few, many = (calibration(24, [str(number % count) for number in range(24)]) for count in (3, 12))
    assert few.sets(0.9, tmp_path).unit == "image"
    assert many.sets(0.9, tmp_path).unit == "group"
    assert few.sets(0.6, tmp_path).unit == "group"


def test_too_few_samples_and_shares_that_are_none_are_named(tmp_path):
    with pytest.raises(UserError, match=r"--coverage 0\.99 needs at least 99 labelled samples, and 20 calibrated it"):
        calibration().sets(0.99, tmp_path)
    with pytest.raises(UserError, match="--coverage 90: give a share between 0 and 1"):
        calibration().sets(90, tmp_path)
    with pytest.raises(UserError, match="for one class at each position"):
        Calibration(1.0, "", 3).sets(0.9, tmp_path)


def test_thresholds_come_back(tmp_path):
    made = Calibration(1.0, "val of here", 3, thresholds={"threshold": 0.3, "foreground": 0.4})
    made.write(tmp_path)
    assert read_calibration(tmp_path) == made


GOOD = {
    "temperature": 1.2, "measured_on": "x", "samples": 3, "ece_before": None, "ece": None,
    "misses": [{"unit": "image", "count": 3, "misses": [0.0] * len(LEVELS)}],
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        json.dumps({**GOOD, "temperature": 0}),
        json.dumps({**GOOD, "temperature": "nan"}),
        json.dumps({**GOOD, "misses": [{"unit": "image", "count": 3, "misses": [0.0]}]}),
        json.dumps({**GOOD, "misses": [{"unit": "image", "count": 3, "misses": [1.0, *[0.0] * (len(LEVELS) - 1)]}]}),
        json.dumps({**GOOD, "misses": [{"unit": "pixel", "count": 3, "misses": [0.0] * len(LEVELS)}]}),
        json.dumps({key: value for key, value in GOOD.items() if key != "samples"}),
        json.dumps({**GOOD, "thresholds": {"threshold": "high"}}),
        json.dumps({**GOOD, "thresholds": [0.5]}),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match=rf"{FILE}: is damaged .*: remove it, then: atrous calibrate"):
        read_calibration(tmp_path)


def test_what_a_file_does_not_say_is_named(tmp_path):
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(UserError, match=r"is damaged \(it says no 'misses'\): remove it"):
        read_calibration(tmp_path)


def test_the_file_above_would_be_read(tmp_path):
    (tmp_path / FILE).write_text(json.dumps(GOOD))
    assert read_calibration(tmp_path) == Calibration(
        1.2, "x", 3, None, None, (MissCurve("image", 3, [0.0] * len(LEVELS)),)
    )
