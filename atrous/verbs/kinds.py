"""The one table of kinds of data: how each is checked, planned, fed, predicted and reported."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrous.data.check.check import Check
    from atrous.data.check.fingerprint import Fingerprint
    from atrous.data.dataset import Dataset
    from atrous.prediction.inputs import Input
    from atrous.prediction.output import Companions, Output
    from atrous.prediction.predictor import Predictor
    from atrous.recipe.plan import PlannedRecipe, Request
    from atrous.recipe.schema import Recipe
    from atrous.report.page import Example
    from atrous.tasks.task import EvaluationResult
    from atrous.verbs.feeds import Feed


@dataclass(frozen=True)
class Kind:
    """What differs between kinds of data.

    Attributes:
        check: `(root, description, layout, progress) -> Check` reads every file once.
        plan: `(dataset, fingerprint, request) -> PlannedRecipe` plans a training.
        feed: `(check, recipe, scratch) -> Feed` gives batches and the samples of validation.
        outputs: `(predictor, item, out, companions) -> list[Output]` lists what is written for one input, companions
            first and the main output last (`prediction/jobs.py`).
        examples: `(predictor, dataset, split, result) -> examples` chooses what the report shows.
    """

    check: "Callable[..., Check]"
    plan: "Callable[[Dataset, Fingerprint, Request], PlannedRecipe]"
    feed: "Callable[[Check, Recipe, Path], Feed]"
    outputs: "Callable[[Predictor, Input, Path, Companions], list[Output]]"
    examples: "Callable[[Predictor, Dataset, str, EvaluationResult], Sequence[Example]]"


# Each function imports what it needs when it is called: `atrous check` must not wait for torch's optimizers.


def _check_grids(*arguments: Any) -> "Check":
    from atrous.data.check.check import check_grids

    return check_grids(*arguments)


def _check_videos(*arguments: Any) -> "Check":
    from atrous.data.check.check import check_videos

    return check_videos(*arguments)


def _check_scenes(*arguments: Any) -> "Check":
    from atrous.data.check.check import check_scenes

    return check_scenes(*arguments)


def _check_genomes(*arguments: Any) -> "Check":
    from atrous.data.check.check import check_genomes

    return check_genomes(*arguments)


def _plan_grids(dataset: "Dataset", fingerprint: "Fingerprint", request: "Request") -> "PlannedRecipe":
    from atrous.data.composite import CHANGE
    from atrous.recipe.change import plan_change
    from atrous.recipe.classification import plan_classes
    from atrous.recipe.detection import plan_detection
    from atrous.recipe.edges import plan_edges
    from atrous.recipe.plan import plan_grids
    from atrous.recipe.values import plan_values

    plans = {"boxes": plan_detection, "edges": plan_edges, "values": plan_values, "whole": plan_classes}
    plan = plan_change if dataset.task == CHANGE else plans.get(dataset.target.kind, plan_grids)
    return plan(dataset, fingerprint, request)


def _plan_videos(dataset: "Dataset", fingerprint: "Fingerprint", request: "Request") -> "PlannedRecipe":
    from atrous.recipe.video import plan_videos

    return plan_videos(dataset, fingerprint, request)


def _plan_scenes(dataset: "Dataset", fingerprint: "Fingerprint", request: "Request") -> "PlannedRecipe":
    from atrous.recipe.motion import plan_motion

    return plan_motion(dataset, fingerprint, request)


def _plan_genomes(dataset: "Dataset", fingerprint: "Fingerprint", request: "Request") -> "PlannedRecipe":
    from atrous.recipe.genome import plan_genomes

    return plan_genomes(dataset, fingerprint, request)


def _feed_grids(check: "Check", recipe: "Recipe", scratch: Path) -> "Feed":
    from atrous.verbs.feeds import feed_grids

    return feed_grids(check, recipe, scratch)


def _feed_videos(check: "Check", recipe: "Recipe", scratch: Path) -> "Feed":
    from atrous.verbs.feeds import feed_videos

    return feed_videos(check, recipe, scratch)


def _feed_genomes(check: "Check", recipe: "Recipe", scratch: Path) -> "Feed":
    from atrous.verbs.feeds import feed_genomes

    return feed_genomes(check, recipe, scratch)


def _grid_outputs(predictor: "Predictor", item: "Input", out: Path, companions: "Companions") -> "list[Output]":
    from atrous.prediction.jobs import grid_outputs

    return grid_outputs(predictor, item, out, companions)


def _video_outputs(predictor: "Predictor", item: "Input", out: Path, companions: "Companions") -> "list[Output]":
    from atrous.prediction.overlay_video import video_outputs

    return video_outputs(predictor, item, out, companions)


def _genome_outputs(predictor: "Predictor", item: "Input", out: Path, companions: "Companions") -> "list[Output]":
    from atrous.prediction.features import genome_outputs

    return genome_outputs(predictor, item, out, companions)


def _genome_examples(
    predictor: "Predictor", dataset: "Dataset", split: str, result: "EvaluationResult"
) -> "Sequence[Example]":
    from atrous.verbs.value_examples import track_examples

    return track_examples(predictor, dataset, split, result)


def _grid_examples(
    predictor: "Predictor", dataset: "Dataset", split: str, result: "EvaluationResult"
) -> "Sequence[Example]":
    from atrous.verbs.summary import grid_examples

    return grid_examples(predictor, dataset, split, result)


def _video_examples(
    predictor: "Predictor", dataset: "Dataset", split: str, result: "EvaluationResult"
) -> "Sequence[Example]":
    from atrous.verbs.summary import video_examples

    return video_examples(predictor, dataset, split, result)


KINDS: dict[str, Kind] = {
    "grids": Kind(_check_grids, _plan_grids, _feed_grids, _grid_outputs, _grid_examples),
    "videos": Kind(_check_videos, _plan_videos, _feed_videos, _video_outputs, _video_examples),
    "scenes": Kind(_check_scenes, _plan_scenes, _feed_videos, _video_outputs, _video_examples),
    "genomes": Kind(_check_genomes, _plan_genomes, _feed_genomes, _genome_outputs, _genome_examples),
}
"""`grids` are images, volumes and recordings; `scenes` are frames of a fixed camera with their background."""


def add_kind(name: str, kind: Kind) -> None:
    """Add a kind of data, which layouts can then name (`Layout.kind`).

    Raises:
        ValueError: there is a kind of that name.
    """
    if name in KINDS:
        raise ValueError(f"there is a kind {name!r} already")
    from atrous.prediction.jobs import OUTPUTS

    KINDS[name] = kind
    OUTPUTS[name] = kind.outputs
