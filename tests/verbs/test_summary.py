"""What the report says beside the metrics: reasons of the plan without unset keys, and whether to train longer."""

import pytest

from atrous.recipe.run import Run, open_run
from atrous.recipe.schema import override, read_reasons, validate
from atrous.verbs.summary import _commands, advice
from atrous.verbs.train import train
from tests.conftest import SMALL

NAN = float("nan")


def recipe(**train):
    return validate({"data": {"root": "x"}, "task": {"classes": ["a", "b"]}, "train": train}, "test")


def history(*values):
    return [{"split": "val", "step": 10 * (n + 1), "miou": value} for n, value in enumerate(values)]


def test_train_longer_where_the_last_validation_is_the_best():
    found = advice(recipe(minutes=5), history(0.5, 0.6, 0.7), "miou", 30)
    assert len(found) == 1
    assert "Train longer" in found[0]
    assert "from 0.600 to 0.700" in found[0]
    assert "--minutes 10" in found[0]
    assert "--epochs 80" in advice(recipe(epochs=40), history(0.5, 0.7), "miou", 20)[0]


@pytest.mark.parametrize(
    ("values", "best_step"),
    [((0.5, 0.7, 0.6), 20), ((0.7,), 10), ((), 0), ((0.5, NAN), 10), ((NAN, NAN), 20), ((0.7, 0.7), 20)],
    ids=["an earlier one", "one alone", "none", "ends with nan", "nan alone", "no change"],
)
def test_no_advice_where_nothing_says_that_it_still_rises(values, best_step):
    assert advice(recipe(minutes=5), history(*values), "miou", best_step) == []


def test_no_advice_where_validation_does_not_choose():
    assert advice(recipe(minutes=5, choose=False), history(0.5, 0.6, 0.7), "miou", 30) == []


def test_reasons_name_their_keys_and_leave_out_what_is_unset_or_was_set_by_the_user(digits, tmp_path):
    run = train(digits, out=tmp_path / "run", epochs=1, settings=SMALL).run
    reasons = read_reasons((run.folder / "recipe.toml").read_text())
    keys = {reason.partition(":")[0] for reason in reasons}
    assert "train.precision" in keys
    assert "train.epochs" not in keys  # given by the caller
    assert "train.crop" not in keys  # set by the user: the plan's reason is not the reason
    assert "model.encoder" not in keys
    assert not any("not set" in reason for reason in reasons)
    page = (run.folder / "report.html").read_text()
    assert "not set" not in page[page.index("Why it was trained") : page.index('id="recipe"')]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["/usr/bin/atrous", "train", "my cells"], "atrous train 'my cells'"),
        (["/lib/atrous/__main__.py", "train", "cells"], "atrous train cells"),
        (["own.py", "--fast"], "python own.py --fast"),
        (["atrous", "train", "https://me:secret@host/cells?key=secret"], "atrous train https://host/cells"),
    ],
)
def test_the_commands_are_those_that_were_typed(typed, said, trained):
    run = open_run(trained)
    first, evaluated, _ = _commands(run, typed, "val")
    assert first == said
    assert evaluated == f"atrous evaluate {trained} {run.recipe.data.root} --split val"
    memory = Run(run.folder, override(run.recipe, ['data.root="(in memory)"']))
    assert _commands(memory, typed, "val") == [said, f"atrous predict {trained} IMAGE -o OUT"]


def test_commands_of_a_folder_with_blanks_can_be_copied(trained):
    run = Run(trained.with_name("my run"), open_run(trained).recipe)
    _, evaluated, predicted = _commands(run, ["atrous", "train", "cells"], "val")
    assert evaluated.startswith(f"atrous evaluate '{run.folder}' ")
    assert predicted == f"atrous predict '{run.folder}' IMAGE -o OUT"
