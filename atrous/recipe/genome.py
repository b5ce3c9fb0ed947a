"""A recipe for genomes: features on two strands of sequences of bases, or signals along them."""

from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.data.genomes.labels import CODING, features_of
from atrous.data.targets.tracks import signal_readers
from atrous.recipe.intensity import normalization
from atrous.recipe.plan import PlannedRecipe, Request, plan_data, plan_precision, plan_task
from atrous.recipe.schema import validate
from atrous.recipe.values import plan_outputs

CROP = 8190
"""Bases of a crop, whole codons: more than twice the receptive field."""
STEP = 32_768
"""Bases of a step: many small steps learn more a minute than few large ones."""
WIDTH = 80
LOCAL = 32
"""Channels of the path of single bases, where the ends of genes are learned."""
EPOCHS = 10.0
"""Passes over the data where nobody says how long to train."""
BASES = 4


def plan_genomes(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for features on the two strands of genomes, or for signals along them."""
    if dataset.target.kind == "values":
        return _plan_signals(dataset, fingerprint, request)
    coding, reasons = CODING in features_of(dataset.classes), {}
    reasons["model.name"] = (
        "one position per codon: reading frames are told apart, and 3 200 bases seen, at a third of the work"
    )
    if fingerprint.shortest:
        reasons["task.shortest"] = "half of the length that all but a hundredth of the annotated intervals have"
    if coding:
        reasons["task.frames"] = "the position within the codon, learned beside, tells coding sequence from its shadows"
    task = plan_task(dataset, fingerprint, reasons)
    del reasons["task.dice"]
    task |= {"shortest": list(fingerprint.shortest or ()), "frames": coding, "genetic_codes": list(fingerprint.codes)}
    if fingerprint.codes:
        reasons["task.genetic_codes"] = (
            "the annotated genes obey them from start to stop codon, so genes are found with their ends"
        )
        reasons["model.local"] = "a gene begins at an exact base, some bases behind a ribosome binding site"
    return _planned(dataset, fingerprint, request, task, (True, []), reasons)


def _plan_signals(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for numbers at every base: each signal is an output."""
    reasons: dict[str, str] = {}
    readers = signal_readers([sample.target for sample in dataset.samples])
    partners = list(readers[0].partners) if readers else []
    task = plan_task(dataset, fingerprint, reasons)
    task["options"] = plan_outputs(dataset, fingerprint, reasons, partners)
    reasons["model.name"] = "one position for three bases: 3 200 bases are seen at a third of the work"
    if partners:
        reasons["model.partners"] = "signals without a strand are the same on both; those of two strands are exchanged"
    return _planned(dataset, fingerprint, request, task, (bool(partners), partners), reasons)


def _planned(
    dataset: Dataset, fingerprint: Fingerprint, request: Request, task: dict[str, Any],
    strands: tuple[bool, list[int]], reasons: dict[str, str],
) -> PlannedRecipe:  # fmt: skip
    """The recipe of a task of genomes.

    `strands` says whether the other strand is learned from, and which output each output is on it.
    """
    both, partners = strands
    tracks = normalization(fingerprint.mean[BASES:], fingerprint.std[BASES:])
    longest = fingerprint.sizes.max[0]
    crop = max(192, min(CROP, longest // 3 * 3))
    reasons["train.crop"] = "more than twice what a base sees; whole codons"
    reasons["train.batch_size"] = "many small steps learn more a minute than few large ones"
    if both:
        reasons["model.reverse_complement"] = (
            "what is learned on one strand holds on the other, without learning it twice"
        )
        reasons["augment.strands"] = "either strand of a genome is as good as the other"
    values = {
        "data": plan_data(dataset),
        "task": task,
        "input": {"tracks": list((dataset.channel_names or ())[BASES:])},
        "model": {
            "name": "codons",
            "ndim": 1,
            "in_channels": fingerprint.channels,
            "width": WIDTH,
            "local": LOCAL if task.get("genetic_codes") else 0,
            "reverse_complement": both,
            "partners": partners,
            # an unknown base (a quarter of each) is then what lies beyond a sequence's end: nothing
            "mean": [0.25] * BASES + tracks["mean"],
            "std": [0.433013] * BASES + tracks["std"],
        },
        "augment": {
            "flip": [False], "scale": (1.0, 1.0), "rotate": 0.0, "strands": both, "foreground": 0.0, "brightness": 0.0,
            "contrast": 0.0, "saturation": 0.0, "noise": 0.0,
        },
        "train": {
            "crop": [crop],
            "batch_size": max(1, round(STEP / crop)),
            **plan_precision(request, {}),
            "learning_rate": 2e-3,
            "weight_decay": 0.01,
            "validations": 8,
            **request.length(EPOCHS, reasons),
        },
    }  # fmt: skip
    return PlannedRecipe(validate(values, "plan"), reasons)
