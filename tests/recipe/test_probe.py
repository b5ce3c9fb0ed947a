"""The probe: what is measured, what follows from it, and that a training does not notice it."""

from functools import partial

import pytest
import torch
from torch import nn

from atrous.recipe import probe
from atrous.recipe.plan import Request, plan_grids
from atrous.recipe.probe import measured_rate, plan_at_speed
from atrous.recipe.schema import override
from atrous.training.probe import STEPS, WARM_UP, steps_per_second
from atrous.training.settings import Settings
from atrous.verbs.check import check
from atrous.verbs.train_options import TrainOptions
from atrous.verbs.train_plan import plan_training
from tests.verbs.test_instances import write_cells

EVERY = "train.sharpness_every=2"


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    return check(write_cells(tmp_path_factory.mktemp("cells") / "data", count=20))


class Speed:
    """Gives a rate, and notes what was measured."""

    def __init__(self, rate):
        self.rate, self.measured = rate, []

    def __call__(self, recipe, seconds):
        self.measured.append((recipe.model.depth, recipe.train.batch_size, seconds))
        return self.rate


@pytest.mark.parametrize(
    ("minutes", "rate", "depth", "seconds"),
    [(20.0, 7.0, 18, 20.0), (20.0, 6.9, 10, 20.0), (60.0, 2.0, 10, 20.0), (5.0, 40.0, 18, 10.0)],
)
def test_what_the_largest_network_sees_in_the_time_decides(minutes, rate, depth, seconds, cells):
    speed = Speed(rate)
    planned = plan_at_speed(partial(plan_grids, cells.dataset, cells.fingerprint), Request(minutes=minutes), speed)
    assert speed.measured == [(18, 4, seconds)]
    assert planned.recipe.model.depth == depth
    assert f"{rate:.3g} crops per second" in planned.reasons["train.minutes"]
    assert f"{60 * minutes * rate:.0f} crops in all" in planned.reasons["train.minutes"]


@pytest.mark.parametrize(
    "request_", [Request(minutes=4.9), Request(epochs=9.0), Request(), Request(minutes=30.0, devices=2)]
)
def test_short_runs_epochs_and_several_devices_are_not_probed(request_, cells):
    plan, speed = partial(plan_grids, cells.dataset, cells.fingerprint), Speed(99.0)
    assert plan_at_speed(plan, request_, speed) == plan(request_)
    assert speed.measured == []


def test_where_no_choice_depends_on_the_speed_nothing_is_measured(digits):
    found, speed = check(digits), Speed(99.0)
    plan_at_speed(partial(plan_grids, found.dataset, found.fingerprint), Request(minutes=30.0), speed)
    assert speed.measured == []


def test_what_the_user_chose_is_not_measured(cells):
    speed = Speed(99.0)
    for settings in (("model.depth=10",), ("train.batch_size=2",), ("train.crop=[64, 64]",)):
        plan_training(cells, None, TrainOptions(minutes=30.0, settings=settings), speed)
    assert speed.measured == []
    planned = plan_training(cells, None, TrainOptions(minutes=30.0, settings=("train.learning_rate=0.1",)), speed)
    assert len(speed.measured) == 1
    assert planned.recipe.model.depth == 18
    assert plan_training(cells, None, TrainOptions(minutes=30.0)).recipe.model.depth == 18


def test_the_speed_is_that_of_the_training_that_was_asked_for(cells):
    """Arithmetic and sharpness-aware steps change it."""
    plain, measured = plan_training(cells, None, TrainOptions(minutes=30.0)).recipe, []
    other = "32-true" if plain.train.precision == "bf16-mixed" else "bf16-mixed"

    def note(recipe, seconds):
        measured.append((recipe.train.precision, recipe.train.sharpness))
        return 99.0

    asked = TrainOptions(minutes=30.0, settings=(f"train.precision={other}", "train.sharpness=0.1"))
    recipe = plan_training(cells, None, asked, note).recipe
    assert measured == [(other, 0.1)]
    assert (recipe.train.precision, recipe.model.depth) == (other, 18)


def test_a_sharpness_aware_step_counts_as_two(cells, monkeypatch):
    monkeypatch.setattr(probe, "steps_per_second", lambda *_, seconds: 3.0)
    recipe = plan_grids(cells.dataset, cells.fingerprint, Request(epochs=1.0)).recipe
    for settings, steps in (([], 3.0), (["train.sharpness=0.1"], 1.5), (["train.sharpness=0.1", EVERY], 2.0)):
        assert measured_rate(override(recipe, settings), 9.0) == pytest.approx(steps * recipe.train.batch_size)


def test_random_numbers_are_as_without_the_probe(cells, monkeypatch):
    """The network that is timed is the planned one; its weights and its batch are drawn, and forgotten."""
    recipe = plan_grids(cells.dataset, cells.fingerprint, Request(epochs=1.0)).recipe
    seen = []

    def timed(network, images, settings, *, seconds):
        seen.append((network.training, tuple(images.shape), settings.precision, seconds))
        return 2.5

    monkeypatch.setattr(probe, "steps_per_second", timed)
    torch.manual_seed(3)
    want = torch.rand(4)
    torch.manual_seed(3)
    assert measured_rate(recipe, 9.0) == 2.5 * recipe.train.batch_size
    assert torch.equal(torch.rand(4), want)
    shape = (recipe.train.batch_size, recipe.model.in_channels, *recipe.train.crop)
    assert seen == [(True, shape, recipe.train.precision, 9.0)]


@pytest.mark.parametrize(
    ("durations", "seconds", "rate"),
    [
        ([9.0, 9.0] + [0.5] * STEPS, 99.0, 2.0),  # the warm-up is left out
        ([3.0, 2.0, 4.0], 8.5, 0.25),  # no further step begins when the seconds are over
        ([30.0], 20.0, 1 / 30),
    ],
)
def test_the_rate_is_that_of_the_median_step(durations, seconds, rate):
    """The clock is ours: it goes on by so much in each step."""
    times = [0.0]
    for duration in durations:
        times.append(times[-1] + duration)
    clock = iter(times)
    network, images = nn.Conv2d(1, 2, 3), torch.randn(2, 1, 8, 8)
    found = steps_per_second(network, images, Settings(precision="32-true"), seconds=seconds, clock=lambda: next(clock))
    assert found == pytest.approx(rate)
    assert len(durations) <= WARM_UP + STEPS
    assert next(clock, None) is None
