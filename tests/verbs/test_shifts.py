"""`atrous evaluate --shifts`: the drop of the metric under each change."""

import shutil

import pytest
from typer.testing import CliRunner

from atrous.cli.main import app
from atrous.data.shifts import SHIFTS
from atrous.errors import UserError
from atrous.recipe.run import Run, open_run
from atrous.recipe.schema import override, to_toml
from atrous.verbs.evaluate import evaluate
from atrous.verbs.shifts import evaluate_shifts


@pytest.fixture(scope="module")
def shifted(trained, digits):
    return evaluate_shifts(trained, digits, split="test")


def test_without_a_change_it_is_the_metric_of_evaluate(shifted, trained, digits):
    assert shifted.metric == "miou"
    assert shifted.clean == evaluate(trained, digits, split="test").scores.miou
    assert shifted.samples == 2


def test_every_change_has_three_strengths_and_its_drop(shifted):
    facts = shifted.to_dict()
    assert list(facts["changes"]) == [shift.name for shift in SHIFTS]
    for shift in SHIFTS:
        rows = facts["changes"][shift.name]["rows"]
        assert [row["strength"] for row in rows] == list(shift.strengths)
        assert all(row["drop"] == pytest.approx(shifted.clean - row["miou"]) for row in rows)
    drops = [row.drop for row in shifted.rows]
    assert facts["mean_drop"] == pytest.approx(sum(drops) / len(drops))
    assert len({round(drop, 6) for drop in drops}) > 5
    text = shifted.text()
    assert all(shift.name in text for shift in SHIFTS)


def test_it_is_for_images_not_for_genomes(trained, digits):
    genomes = Run(trained, override(open_run(trained).recipe, ["data.kind=genomes"]))
    with pytest.raises(UserError, match="--shifts is for classes in images"):
        evaluate_shifts(genomes, digits)


def test_what_it_is_not_for_is_told_before_anything_is_measured(trained, digits, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.toml"
    recipe.write_text(to_toml(override(open_run(trained).recipe, ["data.kind=genomes"])))
    monkeypatch.setattr("atrous.verbs.evaluate.evaluate", lambda *_, **__: pytest.fail("it was measured first"))
    done = CliRunner().invoke(app, ["evaluate", str(tmp_path / "run"), str(digits), "--shifts"])
    assert "--shifts is for classes in images" in str(done.exception)
