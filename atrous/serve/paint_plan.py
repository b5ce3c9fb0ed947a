"""What a slice of a live training trains on: the strokes of now, planned as `atrous train` plans a training."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atrous.data.check.check import Check
from atrous.data.dataset import resolve
from atrous.data.description import read_description
from atrous.data.feed.batches import Batch, Batches
from atrous.data.feed.decode import Decoded, decode
from atrous.errors import UserError
from atrous.machine import memory_limit
from atrous.recipe.augment import plan_augment
from atrous.recipe.build import build_preparation
from atrous.recipe.intensity import working_spacing
from atrous.recipe.plan import PlannedRecipe, Request, plan_crop
from atrous.recipe.schema import Recipe, validate
from atrous.recipe.start import check_start, with_network_of
from atrous.serve.paint_windows import painted_layout
from atrous.verbs.check import check_layout
from atrous.verbs.feeds import Feed
from atrous.verbs.kinds import KINDS

CROP = 0.5
"""Positions of a crop, as a part of those that are planned for masks that are labelled everywhere."""


@dataclass
class Control:
    """What the process was told.

    Attributes:
        stopped: whether to stop after the step in progress.
        changes: how often strokes or classes have changed.
    """

    stopped: bool = False
    changes: int = 0

    def listen(self, lines: Any) -> None:
        """Take lines from a file until it ends, and then stop."""
        for line in lines:
            if line.strip() == "stop":
                break
            self.changes += 1
        self.stopped = True


@dataclass(frozen=True)
class LivePlan:
    """What a slice trains on.

    Attributes:
        check: the data.
        recipe: how it trains.
        reasons: of the recipe.
        feed: batches and held-out pieces.
    """

    check: Check
    recipe: Recipe
    reasons: dict[str, str]
    feed: Feed


def plan_live(root: Path, scratch: Path, *, before: Recipe | None, start: Path | None, device: str) -> LivePlan:
    """Plan a slice: as `atrous train` plans a training, with smaller crops, each of them around a stroke.

    Args:
        root: the painted data set.
        scratch: a folder for what does not fit into memory, which must outlive the plan.
        before: the recipe of the slice before, whose network is kept if it still fits.
        start: folder of a run whose network is taken at first.
        device: where to train.

    Raises:
        UserError: nothing is painted, or with one class alone; or the data have problems.
    """
    description = read_description(root)
    layout = painted_layout(root, description)
    check = check_layout(root, description, layout)
    if not check.ok:
        raise UserError("; ".join(problem.line() for problem in check.errors))
    if sum(share > 0 for share in check.fingerprint.class_frequency) < 2:
        raise UserError("paint with two classes at least")
    planned = KINDS[check.dataset.kind].plan(check.dataset, check.fingerprint, Request(1.0, device=device))
    if before is None and start is not None:
        planned = with_network_of(check_start(start), planned)
    recipe = _around_strokes(planned, check)
    if before is not None and _reads_alike(before, recipe):
        recipe = recipe.model_copy(update={"model": before.model, "input": before.input})
    return LivePlan(check, recipe, planned.reasons, KINDS[check.dataset.kind].feed(check, recipe, scratch))


def _around_strokes(planned: PlannedRecipe, check: Check) -> Recipe:
    recipe, reasons = planned.recipe, planned.reasons
    values = recipe.model_dump()
    if recipe.model.ndim < 3:
        crop = plan_crop(recipe.train.crop, times=CROP)
        spacing = working_spacing(check.fingerprint, {})
        values["augment"] = plan_augment(check.dataset, check.fingerprint, crop, spacing, reasons)
        values["train"]["crop"] = list(crop)
        reasons["train.crop"] = "a live training takes small steps"
    values["augment"]["foreground"] = 1.0
    reasons["augment.foreground"] = "every crop is centered on a stroke: elsewhere is nothing to learn from"
    return validate(values, "plan")


def _reads_alike(before: Recipe, recipe: Recipe) -> bool:
    """Whether the network of another recipe can go on with these data."""
    ours, theirs = recipe.model, before.model
    alike = ours.ndim == theirs.ndim and ours.in_channels == theirs.in_channels
    return alike and recipe.input.dtype == before.input.dtype


class LiveBatches:
    """The batches of a slice, of the strokes as they are when the batch is made.

    Args:
        plan: of the slice.
        control: says whether strokes have changed.
        root: the painted data set.
        scratch: a folder for what does not fit into memory.
        offset: steps before the slice, so that every slice draws other crops.

    Attributes:
        ended: whether the slice must end, since the classes have changed.
    """

    def __init__(self, plan: LivePlan, control: Control, root: Path, scratch: Path, offset: int) -> None:
        assert isinstance(plan.feed.batches, Batches)
        self._batches, self._recipe, self._classes = plan.feed.batches, plan.recipe, plan.check.dataset.classes
        self._control, self._root, self._scratch, self._offset = control, root, scratch, offset
        self._seen, self.ended = control.changes, False

    @property
    def per_epoch(self) -> int:
        """See `Stepped.per_epoch`."""
        return self._batches.per_epoch

    def __getitem__(self, step: int) -> Batch:
        """See `Stepped.__getitem__`; the strokes are those of now."""
        changes = self._control.changes
        if changes != self._seen:
            self._seen, decoded = changes, self._decoded()
            if decoded is not None:
                self._batches = replace(self._batches, decoded=decoded)
        return self._batches[self._offset + step]

    def _decoded(self) -> Decoded | None:
        """The samples with the strokes of now; None where the slice must end."""
        try:
            description = read_description(self._root)
            layout = painted_layout(self._root, description)
            dataset, _ = resolve(self._root, description, layout, list)
            if dataset.classes != self._classes:
                self.ended = True
                return None
            found = decode(
                dataset, dataset.splits["train"], limit=memory_limit() // 4,
                scratch=Path(tempfile.mkdtemp(dir=self._scratch)), preparation=build_preparation(self._recipe),
            )  # fmt: skip
        except UserError:  # all was erased, say: the next slice tells what is wrong
            self.ended = True
            return None
        self.ended = any(len(image) != self._recipe.model.in_channels for image in found.images)
        return None if self.ended else found
