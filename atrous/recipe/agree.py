"""Whether a recipe fits the data it is to be trained on."""

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.data.restoration import RESTORATIONS
from atrous.data.targets.rotated import RotatedBoxes
from atrous.errors import UserError
from atrous.objects.genetic_code import genetic_code
from atrous.recipe.schema import Recipe


def agree_with_data(recipe: Recipe, dataset: Dataset, fingerprint: Fingerprint) -> None:
    """Refuse a recipe whose splits, classes, axes or channels are not those of the data.

    Raises:
        UserError: a key does not fit; the message names it, what it says, what the data have, and what to do.
    """
    model, task, root = recipe.model, recipe.task, dataset.root
    for key in ("train", "val"):
        split = getattr(recipe.data, key)
        if not dataset.splits.get(split):
            has = ", ".join(name for name, samples in dataset.splits.items() if samples)
            raise UserError(f"data.{key} is {split!r}, but {root} has the splits {has}: name one of these")
    if recipe.data.kind != dataset.kind:
        raise UserError(f"data.kind is {recipe.data.kind!r}, but {root} holds {dataset.kind}: train without --recipe")
    if task.kind != dataset.task:
        raise UserError(f"task.kind is {task.kind!r}, but {root} holds data for {dataset.task!r}: correct task.kind")
    as_one = task.kind == "instances" and not task.classes  # objects of several classes may be learned as one
    if tuple(task.classes) != dataset.classes and not as_one:
        raise UserError(
            f"the recipe's classes are {', '.join(task.classes)}, those of {root} {', '.join(dataset.classes)}: "
            "correct task.classes, or name them alike in dataset.toml"
        )
    _agree_target(recipe, dataset, fingerprint)
    _agree_whole(recipe)
    _agree_paste(recipe, dataset)
    if model.ndim != fingerprint.ndim:
        raise UserError(
            f"model.ndim is {model.ndim}, but what {root} holds has {fingerprint.ndim} axes: train without --recipe to "
            "have a recipe planned for it"
        )
    if model.in_channels != fingerprint.channels:
        raise UserError(
            f"model.in_channels is {model.in_channels}, but what {root} holds is read with {fingerprint.channels} "
            "channel(s): correct model.in_channels with model.mean and model.std, or `channels` in dataset.toml"
        )
    if task.gray and fingerprint.channels != 1:  # of arrays nobody says that they are pictures
        raise UserError(
            f"task.gray is true, but {root} is read with {fingerprint.channels} channels: only files of 8-bit color "
            "become gray: give gray arrays, or leave task.gray out"
        )


def _agree_codes(recipe: Recipe, dataset: Dataset, fingerprint: Fingerprint) -> None:
    """Refuse genetic codes that the annotated genes do not obey; of codes with the same stop codons any will do."""
    given, root = recipe.task.genetic_codes, dataset.root
    if not given:
        return
    if not fingerprint.codes:
        raise UserError(
            f"task.genetic_codes is {given}, but the coding sequences of {root} obey no genetic code from start to "
            "stop codon: set task.genetic_codes=[] to find intervals of bases"
        )
    stops = {genetic_code(number).stops for number in given}
    other = [number for number in fingerprint.codes if genetic_code(number).stops not in stops]
    if other:
        raise UserError(
            f"task.genetic_codes is {given}, but genes of {root} obey {', '.join(map(str, other))}: "
            f"set task.genetic_codes={list(fingerprint.codes)}, or leave it out"
        )


def _agree_paste(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse to paste objects where targets are no labels, or crops have the size of their samples."""
    unfit = dataset.target.kind != "labels" or recipe.train.whole or recipe.task.kind != "semantic"
    for key in ("paste", "still"):
        if getattr(recipe.augment, key) and unfit:
            kind = recipe.task.kind
            raise UserError(
                f"augment.{key} is for crops with labels, {dataset.root} is learned as {kind!r}: set it to 0"
            )
    if recipe.augment.still and recipe.data.kind != "videos":
        raise UserError(f"augment.still is for videos, {dataset.root} holds {recipe.data.kind}: set it to 0")


def _agree_whole(recipe: Recipe) -> None:
    """Refuse what does not go with training on whole samples, in strips."""
    train, problem = recipe.train, None
    if not train.whole:
        return
    if recipe.data.kind == "genomes":
        problem = "genomes are trained on crops"
    elif train.batch_size != 1:
        problem = f"a step takes one sample, but train.batch_size is {train.batch_size}: set train.batch_size=1"
    elif train.precision != "32-true":
        problem = (
            f"strips are computed in float32, but train.precision is {train.precision}: set train.precision=32-true"
        )
    elif recipe.model.deep_supervision:
        problem = "the network must give one output: set model.deep_supervision=false"
    if problem is not None:
        raise UserError(f"train.whole: {problem}")


def _agree_target(recipe: Recipe, dataset: Dataset, fingerprint: Fingerprint) -> None:
    """Refuse options of the task that the targets do not fit."""
    task, root = recipe.task, dataset.root
    outputs = tuple(task.options.get("outputs", ())) if task.kind == "regression" else ()
    if dataset.outputs and outputs != dataset.outputs:
        raise UserError(
            f"the recipe's outputs are {', '.join(outputs)}, the signals that {root} has as targets "
            f"{', '.join(dataset.outputs)}: name them in dataset.toml, under [tracks] targets"
        )
    _agree_codes(recipe, dataset, fingerprint)
    rotated = issubclass(dataset.target, RotatedBoxes)
    if task.kind == "detection" and bool(task.options.get("rotated")) != rotated:
        raise UserError(
            f"task.options.rotated is {str(not rotated).lower()}, but {root} is read with "
            f"{'rotated' if rotated else 'upright'} boxes: correct task.options.rotated, or train without --recipe"
        )
    paired = task.kind in RESTORATIONS and not dataset.target.own
    keys = ("noise", "gain", "impulse", "psf", "self_supervised")
    added = [key for key in keys if getattr(task, key)] if paired else []
    if added:
        raise UserError(
            f"task.{added[0]} is for images alone, but {root} holds pairs: leave it out, or take the images alone with "
            "task.pairs=false"
        )
    factor = 1 if fingerprint.values is None else fingerprint.values.factor
    if paired and (task.scale or 1) != factor:
        raise UserError(
            f"task.scale is {task.scale or 1}, but the clean images of {root} are {factor} times as fine as what is "
            "given of them: leave task.scale out"
        )
