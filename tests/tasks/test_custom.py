"""A task with the user's own loss and metrics."""

import pytest

from atrous.errors import UserError
from atrous.tasks.custom import LOGGED, CustomTask
from atrous.tasks.semantic import Semantic
from atrous.training.log import COLUMNS


@pytest.mark.parametrize("name", ["seconds", "loss", "miou"])
def test_a_metric_may_not_be_called_as_what_every_training_logs(name):
    with pytest.raises(UserError, match=f"metrics=: there is a '{name}' in the log of every training: name yours"):
        CustomTask(Semantic(("a", "b")), None, {"mine": lambda p, t: 0.0, name: lambda p, t: 0.0})


def test_names_of_the_log_are_those_of_its_columns():
    assert LOGGED == COLUMNS


def test_metrics_of_ones_own_are_watched_after_those_of_the_task():
    task = Semantic(("a", "b"))
    assert CustomTask(task, None, {"mine": lambda p, t: 0.0}).watched == (*task.watched, "mine")
