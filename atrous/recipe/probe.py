"""A probe of a few seconds: how fast this machine trains the network that a plan would take if it had the time."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from atrous.recipe.budget import crops_seen
from atrous.recipe.build import build_network, build_settings, build_task
from atrous.recipe.plan import PlannedRecipe, Request
from atrous.recipe.schema import Recipe
from atrous.training.probe import steps_per_second

LEAST_MINUTES = 5.0
"""Shorter trainings are not probed."""
SECONDS, SHARE = 20.0, 30.0
"""A probe takes at most so many seconds, and at most the time of the training divided by this."""

Measure = Callable[[Recipe, float], float]
"""Given a recipe and how many seconds a probe may take, returns crops per second."""


def plan_at_speed(plan: Callable[[Request], PlannedRecipe], request: Request, measure: Measure) -> PlannedRecipe:
    """Return a plan for the speed of this machine.

    Where more time would buy another network, that one's speed is measured, and what it sees in the minutes decides.
    Nothing is measured for trainings of less than `LEAST_MINUTES` or of several devices, nor where the plan is the same
    at any speed.

    Args:
        plan: makes a plan for a request, as often as it is called.
        request: what the user asked for.
        measure: gives crops per second.
    """
    planned, minutes = plan(request), request.minutes
    if minutes is None or minutes < LEAST_MINUTES or request.devices > 1:
        return planned
    largest = plan(replace(request, rate=math.inf)).recipe
    if largest == plan(replace(request, rate=0.0)).recipe:
        return planned
    rate = measure(largest, min(SECONDS, 60 * minutes / SHARE))
    planned = plan(replace(request, rate=rate))
    planned.reasons["train.minutes"] = (
        f"measured on this machine: {rate:.3g} crops per second by the largest network that is planned for these data "
        f"(depth {largest.model.depth}, batch {largest.train.batch_size}), {crops_seen(minutes, rate):.0f} crops in all"
    )
    return planned


def measured_rate(recipe: Recipe, seconds: float) -> float:
    """Return how many crops per second this machine trains the network of a recipe on.

    A sharpness-aware step takes two forward and two backward passes, so it counts as two.
    The network has weights of its own. Random numbers that are drawn later are the same as without the probe.

    Args:
        recipe: which network, crop, batch, device and precision.
        seconds: that the probe may take.
    """
    train, model = recipe.train, recipe.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(model, build_task(recipe).out_channels).train()
        images = torch.randn(train.batch_size, model.in_channels, *train.crop)
    passes = 1 + (1 / train.sharpness_every if train.sharpness > 0 else 0)
    return train.batch_size / passes * steps_per_second(network, images, build_settings(recipe), seconds=seconds)
