"""The least lengths of intervals: planned from the training split, printed, kept in the recipe, off by default."""

import csv
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from atrous.data.check.fingerprint import from_dict
from atrous.errors import UserError
from atrous.recipe.build import build_task
from atrous.recipe.intervals import least_samples, plan_shortest
from atrous.recipe.plan import Request, plan_grids
from atrous.recipe.schema import override, to_toml
from atrous.verbs.check import check
from atrous.verbs.predict import predict
from atrous.verbs.train import train
from tests.volumes import write_signals


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    return check(write_signals(tmp_path_factory.mktemp("signals") / "data", count=8))


def planned(checked):
    return plan_grids(checked.dataset, checked.fingerprint, Request(minutes=1))


def test_the_plan_has_the_shortest_intervals_of_train(checked):
    assert "shortest intervals in train: na 6, p 14, qrs 8 samples, 0.5 % left out" in checked.text()
    plan = planned(checked)
    assert plan.recipe.task.shortest == [6, 14, 8]  # between bump and spike; bump; spike
    assert "0.5 %" in plan.reasons["task.shortest"]
    assert "0.5 %" in to_toml(plan.recipe, plan.reasons)
    assert build_task(plan.recipe).least == (6, 14, 8)
    stored = json.loads(json.dumps(checked.fingerprint.to_dict()))
    assert from_dict(stored).shortest == (6, 14, 8)


def test_a_trained_run_keeps_them_from_the_plan_to_the_files(checked, tmp_path):
    small = ("model.depth=10", "model.encoder_width=8", "model.width=8", "train.validations=1")
    trained = train(checked.dataset.root, out=tmp_path / "run", epochs=1, settings=small)
    assert trained.run.recipe.task.shortest == [6, 14, 8]
    assert "task.shortest: samples of the shortest intervals" in (tmp_path / "run" / "report.html").read_text()
    done = predict(tmp_path / "run", [checked.dataset.root], tmp_path / "labels")
    assert (done.failed, len(done.written)) == ((), 8)
    for path in done.written:
        with path.open() as file:
            words = np.array([row["label"] for row in csv.DictReader(file)])
        edges = np.flatnonzero(words[1:] != words[:-1]) + 1
        for start, stop in itertools.pairwise(edges):
            assert stop - start >= {"na": 6, "p": 14, "qrs": 8}[words[start]]


@pytest.mark.parametrize("value", ["[]", "[0, 0, 0]", "[1, 1, 0]"])
def test_it_is_off_where_nothing_is_said(checked, value):
    recipe = override(planned(checked).recipe, [f"task.shortest={value}"])
    assert least_samples(recipe) == ()
    assert build_task(recipe).least == ()


def test_a_length_of_zero_is_any(checked):
    assert least_samples(override(planned(checked).recipe, ["task.shortest=[0, 9, 1]"])) == (1, 9, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["task.shortest=[1, 2]"], "task.shortest has 2 values for 3 classes"),
        (["task.shortest=[1, -2, 3]"], "task.shortest.1: input should be greater than or equal to 0"),
    ],
)
def test_wrong_lengths_are_refused(checked, settings, message):
    with pytest.raises(UserError, match=message):
        override(planned(checked).recipe, settings)


def test_images_have_none(checked, digits):
    pictures = check(digits)
    plan = plan_grids(pictures.dataset, pictures.fingerprint, Request(minutes=1))
    assert plan.recipe.task.shortest == []
    count = len(plan.recipe.task.classes)
    with pytest.raises(UserError, match=r"task\.shortest is for stranded and semantic labels along one axis"):
        override(plan.recipe, [f"task.shortest={[2] * count}"])
    assert plan_shortest(replace(checked.dataset, task="classification"), checked.fingerprint, {}) == []


def test_lengths_are_those_at_the_rate_of_the_network(checked):
    recipe = planned(checked).recipe
    files = override(recipe, ["task.shortest=[5, 15, 1]", "input.grid=[0.004]"])
    assert least_samples(files) == (5, 15, 1)
    assert least_samples(override(files, ["input.spacing=[0.008]"])) == (2, 7, 1)
    assert least_samples(override(files, ["input.spacing=[0.1]"])) == ()
