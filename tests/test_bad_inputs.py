"""Every mistake that docs/check.md lists gets the line that the page promises, and a training refuses or starts."""

import pytest

from atrous.errors import UserError
from atrous.verbs.train import train
from benchmarks.bad_inputs.mistake import LEVELS, outcome_of, promised, row_of
from benchmarks.bad_inputs.table import MISTAKES

SMALL = ("model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8", "model.width=8")
NAMES = [f"{number}: {mistake.row}" for number, mistake in enumerate(MISTAKES)]
STOPS = ("error", "refused")


def test_every_row_of_the_page_is_made():
    rows = promised()
    assert len(rows) > 100
    assert {row_of(mistake, list(rows)) for mistake in MISTAKES} == set(rows)


@pytest.mark.parametrize("mistake", MISTAKES, ids=NAMES)
def test_a_mistake_gets_its_line_and_what_stops_a_training_does(mistake):
    assert mistake.level in promised()[row_of(mistake, list(promised()))]

    def refused(folder):
        with pytest.raises(UserError):
            train(folder, out=folder.parent / "run", progress=False, task=mistake.task)
        assert not (folder.parent / "run").exists()

    outcome = outcome_of(mistake, refused if mistake.level in STOPS else None)
    assert outcome.ok, outcome.text()


@pytest.mark.slow
@pytest.mark.parametrize("mistake", [m for m in MISTAKES if m.level not in STOPS], ids=lambda mistake: mistake.row)
def test_what_is_only_warned_of_can_be_trained_on(mistake):
    def trained(folder):
        train(
            folder, out=folder.parent / "run", epochs=0.5, report=False, say=lambda text: None, task=mistake.task,
            settings=() if any((folder / name).exists() for name in ("x.gff", "x.bed")) else SMALL,
        )  # fmt: skip
        assert (folder.parent / "run" / "scores.json").exists()

    outcome_of(mistake, trained)


def test_the_levels_are_those_of_the_check():
    assert {level for levels in LEVELS.values() for level in levels} == {"error", "warning", "note", "refused"}
