"""Strips of a gradient: as wide as the memory allows."""

import pytest
from torch import nn

from atrous.errors import UserError
from atrous.geometry.passes import passes_of, program
from atrous.geometry.program import full_box
from atrous.stream import Options, prepare_gradient
from atrous.stream.gradient_plan import GradientPlan, plan_gradient
from tests.toy_models import unet


@pytest.fixture(scope="module")
def ready():
    return prepare_gradient(unet(2).eval(), (2, 4096, 4096), axis=0)


def planned(ready, **options) -> GradientPlan:
    axis = ready.axis
    each = passes_of(axis)[0]
    built = program({0: axis}, 0, each, full_box({0: axis}, ready.graph.output))
    return plan_gradient(ready, [built], Options(**options))


def test_more_memory_gives_wider_strips_and_less_work(ready, tmp_path):
    everything = planned(ready, memory="100GB")
    assert (everything.strip, everything.every) == (4096, 1)
    plans = [planned(ready, memory=memory) for memory in ("500MB", "1GB", "4GB")]
    work = [(plan.every > 1, -plan.strip) for plan in plans]
    assert work == sorted(work, reverse=True)
    assert work[0] > work[-1]
    for plan, most in zip(plans, (5e8, 1e9, 4e9), strict=True):
        assert plan.bytes <= most
        assert plan.strip % 4 == 0
    on_disk = planned(ready, memory="200MB", spool=tmp_path)
    assert on_disk.every == 1
    with pytest.raises(UserError, match="more than memory=10 MiB: allow more memory, or let the held rows lie on disk"):
        planned(ready, memory="10MiB")


def test_a_strip_that_is_asked_for_is_taken(ready):
    assert planned(ready, strip=8192).strip == 4096
    plan = planned(ready, strip=4)
    assert (plan.strip, plan.every) == (4, 32)


def test_small_inputs_are_one_strip():
    ready = prepare_gradient(nn.Conv1d(1, 2, 3, padding=1), (1, 50))
    assert (planned(ready).strip, planned(ready).every) == (50, 1)
