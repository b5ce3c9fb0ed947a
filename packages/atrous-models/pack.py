"""Packs a trained run as a named model of the package atrous-models.

    python packages/atrous-models/pack.py RUN NAME
    python packages/atrous-models/pack.py RUN NAME --card card.toml --data DATA

The card is written by hand; `atrous_models/NAME/card.toml` is taken if no other is given, and where there is none yet,
`cards/NAME.toml`. Added to it are the metrics on the validation split, what storing the weights in float16 changes
there, and the sha256 of every file. The folder of the model then has the recipe without paths of this machine, the
weights, and what else a run needs. An older model of that name is replaced, and `models.toml` says that it is packed.
"""

import argparse
import math
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
import torch

from atrous.data.dataset import Dataset
from atrous.data.sample import Sample
from atrous.errors import UserError
from atrous.named.card import CARD
from atrous.named.packages import NamedModel
from atrous.prediction.predictor import Predictor, load
from atrous.recipe.build import build_network
from atrous.recipe.run import PSF, Run, open_run
from atrous.recipe.schema import Recipe, to_toml, validate
from atrous.tasks.custom import found_task
from atrous.training.checkpoint import read_tensors, write_tensors
from atrous.verbs.evaluate import measure, open_split, read_ahead
from atrous.verbs.found import MEASURED, outputs, probabilities_and_labels

HERE = Path(__file__).parent
MODELS = HERE / "atrous_models"
NO_METRICS = ("split", "images", "objects", "boxes", "points", "seconds", "tta", "surface_tolerance", "event_tolerance")
"""Entries of `scores.json` that are no metrics."""
BY_NAME = ("dice_per_class", "surface_dice", "hd95", "onset_f1", "features", "genes")
"""Entries of `scores.json` that have a number, or an F1, by the name of a class, a feature or a kind of match."""


@dataclass(frozen=True)
class Packed:
    """What packing a run gave.

    Attributes:
        folder: of the model.
        stored: how many tensors are float16, and how many there are.
        size: bytes of the weights before, and now.
        differ: labels that differ, and how many were compared; None for tasks without labels. Of found objects a label
            is whether a position belongs to one.
        objects: whether objects are found.
        metrics: on the validation split, with the packed weights.
        changes: of each metric, packed minus before.
    """

    folder: Path
    stored: tuple[int, int]
    size: tuple[int, int]
    differ: tuple[int, int] | None
    objects: bool
    metrics: dict[str, float]
    changes: dict[str, float]

    def text(self) -> str:
        """Return what float16 changed, as it stands on the card."""
        (half, count), (before, now) = self.stored, self.size
        said = f"{half} of {count} tensors are stored in float16: {now / 1e6:.1f} MB in place of {before / 1e6:.1f}."
        if self.differ is not None:
            what = "positions change between object and background" if self.objects else "labels change"
            said += " On the validation split {:,} of {:,} {}.".format(*self.differ, what)
        name, change = max(self.changes.items(), key=lambda pair: abs(pair[1]))
        return f"{said} No metric differs by more than {abs(change):.1g} ({name})."


def pack(run: Run, name: str, card: Path, models: Path = MODELS, data: Path | None = None) -> Packed:
    """Make the folder `models/NAME` from a run and a card.

    Args:
        run: the run.
        name: of the model.
        card: a TOML file with what is written by hand.
        models: the folder of all models.
        data: the data set of the training; that of the recipe if None.

    Raises:
        UserError: the run has a network of the user's own, a weight does not fit into float16, the card misses
            something, or the data are not there. Nothing is changed then.
    """
    if run.recipe.model.name == "custom":
        raise UserError(f"{run.folder}: its network is code of its own, which a package of models does not have")
    document = tomlkit.parse(card.read_text(encoding="utf-8"))
    root = data or run.data()[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        stored = write_files(run, folder, root.resolve().name)
        before, packed = load(run), load(Run(folder, open_run(folder).recipe, name))
        dataset, samples = open_split(before, root, run.recipe.data.description, run.recipe.data.val)
        differ = compare(before, packed, dataset, samples)
        measured = [measure(each, dataset, samples) for each in (before, packed)]
        scores = [each.to_dict() for each in measured]
        old, new = (numbers(each) for each in scores)
        changes = {key: new[key] - old[key] for key in new if key in old}
        sizes = (run.weights.stat().st_size, (folder / "model.safetensors").stat().st_size)
        objects = found_task(before.task) is not None
        result = Packed(models / name, stored, sizes, differ, objects, new, changes)
        counted = {getattr(measured[1], "sample", "image") + "s": len(samples)} | counts(scores[1])
        fill(document, result, name, root.resolve().name, counted, run.recipe.data.val)
        document["sha256"] = {path.name: digest(path) for path in sorted(folder.iterdir())}
        (folder / CARD).write_text(tomlkit.dumps(document), encoding="utf-8")
        NamedModel(name, folder, "atrous-models", "").check()  # reads the card too
        install(folder, result.folder)
    return result


def write_files(run: Run, folder: Path, data: str) -> tuple[int, int]:
    """Write what a run needs into a folder, without paths of this machine; return how many tensors are float16, of all.

    Args:
        run: the run.
        folder: exists and is empty.
        data: name of the data set.
    """
    tensors, facts = read_tensors(run.weights)
    network = build_network(run.recipe.model.model_copy(update={"pretrained": False}), run.task().out_channels)
    weights = {name for name, value in network.named_parameters() if value.ndim > 1}
    narrowed = {name: half(name, value) if name in weights else value for name, value in tensors.items()}
    write_tensors(folder / "model.safetensors", narrowed, facts)
    (folder / "recipe.toml").write_text(to_toml(portable(run.recipe, data)), encoding="utf-8")
    if (calibration := run.calibration()) is not None:
        replace(calibration, measured_on=f"{run.recipe.data.val} of {data}").write(folder)
    for name in filter(None, (PSF, run.recipe.task.style)):
        if (run.folder / name).is_file():
            shutil.copyfile(run.folder / name, folder / name)
    return sum(value.dtype == torch.float16 for value in narrowed.values()), len(narrowed)


def half(name: str, value: torch.Tensor) -> torch.Tensor:
    """Return a weight in float16.

    Raises:
        UserError: a value is too large for it.
    """
    narrow = value.half()
    if not torch.isfinite(narrow).all():
        raise UserError(f"{name}: has values that float16 cannot hold")
    return narrow


def portable(recipe: Recipe, data: str) -> Recipe:
    """Return a recipe that names files beside it, and the data set by its name alone."""
    start, psf = recipe.train.start, recipe.task.psf
    values = recipe.model_dump()
    values["data"] |= {"root": data, "description": None}
    values["train"]["start"] = None if start is None else Path(start).name
    values["task"]["psf"] = PSF if isinstance(psf, str) else psf
    return validate(values, "recipe.toml")


def compare(before: Predictor, packed: Predictor, dataset: Dataset, samples: Any) -> tuple[int, int] | None:
    """Return how many labels differ between two predictors, and how many were compared.

    A label of found objects is whether a position belongs to one. Boxes, points and numbers have no labels.
    """
    differ = compared = 0
    for sample, image, _ in read_ahead(before, samples):
        one, other = (labels(each, dataset, sample, image) for each in (before, packed))
        if one is None or other is None:
            return None
        differ, compared = differ + int((one != other).sum()), compared + one.size
    return differ, compared


def labels(predictor: Predictor, dataset: Dataset, sample: Sample, image: np.ndarray) -> np.ndarray | None:
    """Return the labels of a sample `(*S)`, None for tasks without labels."""
    where = (image, dataset.spacing_of(sample), sample.image.header().affine)
    task = found_task(predictor.task)
    if task is not None:
        if task.found != "objects":
            return None
        return MEASURED["objects"](predictor, task, *where, sample.image.valid()).numbers > 0
    if not dataset.target.has_classes:
        return None
    decoded = probabilities_and_labels(predictor, sample, image, where[1])[1]  # where intervals have a least length
    decoded = predictor.task.decode(outputs(predictor, *where)[None])[0] if decoded is None else decoded
    return decoded.cpu().numpy()


def numbers(scores: dict[str, Any]) -> dict[str, float]:
    """Return the metrics of a number each, rounded to four digits; those that do not exist are left out.

    A metric of each class is called "onset_f1 p": its own name, then that of the class.
    """
    plain = {key: value for key, value in scores.items() if key not in NO_METRICS and isinstance(value, int | float)}
    for key in BY_NAME:
        for name, value in scores.get(key, {}).items():
            number = value.get("f1") if isinstance(value, dict) else value
            if isinstance(number, float):  # whole numbers are counts
                plain[f"{key} {name}"] = number
    return {key: round(float(value), 4) for key, value in plain.items() if math.isfinite(value)}


def counts(scores: dict[str, Any]) -> dict[str, float]:
    """Return how many objects, boxes and points were measured."""
    return {key: scores[key] for key in ("objects", "boxes", "points") if key in scores}


def fill(document: Any, packed: Packed, name: str, data: str, counted: dict[str, float], split: str) -> None:
    """Add to a card what was measured on the validation split, in place of what stood there before.

    Args:
        document: the card.
        packed: what packing gave.
        name: of the model.
        data: name of the data set.
        counted: how many samples were measured, and how many objects; the samples come first.
        split: the validation split.
    """
    command = f"atrous evaluate {name} PATH/TO/{data} --split {split}"
    said = ", ".join(f"{count:,.0f} {what}" for what, count in counted.items())
    on = f"the validation split of {data}: {said}; its {next(iter(counted))} chose the weights, and trained none"
    others = [each for each in document.unwrap().get("measured", []) if each.get("command") != command]
    array = tomlkit.aot()
    for each in [{"on": on, "command": command, "values": packed.metrics}, *others]:
        table = tomlkit.table()
        for key, value in each.items():
            table.add(key, in_one_line(value) if isinstance(value, dict) else value)
        array.append(table)
    for key in ("measured", "sha256"):  # tables come after all other keys
        document.pop(key, None)
    document["float16"] = packed.text()
    document["measured"] = array


def in_one_line(values: dict[str, float]) -> Any:
    """Return a TOML table on one line."""
    table = tomlkit.inline_table()
    table.update(values)
    return table


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    return sha256(path.read_bytes()).hexdigest()


def install(source: Path, target: Path) -> None:
    """Put the files of one folder in the place of those of another; the card comes last."""
    target.mkdir(parents=True, exist_ok=True)
    kept = {path.name for path in source.iterdir()}
    for path in [path for path in target.iterdir() if path.is_file() and path.name not in kept]:
        path.unlink()
    for path in sorted(source.iterdir(), key=lambda path: path.name == CARD):
        shutil.copyfile(path, target / path.name)


def card_of(name: str, here: Path = HERE) -> Path:
    """Return the card of a model: that of the one which is replaced, else the one that waits for a training."""
    card = here / "atrous_models" / name / CARD
    return card if card.is_file() else here / "cards" / f"{name}.toml"


def mark_packed(name: str, here: Path = HERE) -> None:
    """Say in `models.toml` that a model is packed; a name that it does not list is left alone."""
    file = here / "models.toml"
    document = tomlkit.parse(file.read_text(encoding="utf-8"))
    if name in document:
        document[name]["packed"] = True
        file.write_text(tomlkit.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--card", type=Path, help="default: that of the model that is replaced, or cards/NAME.toml")
    parser.add_argument("--data", type=Path, help="the data set of the training; default: that of the recipe")
    options = parser.parse_args()
    card = options.card or card_of(options.name)
    try:
        done = pack(open_run(options.run), options.name, card, data=options.data)
        mark_packed(options.name)
    except UserError as error:
        sys.exit(f"pack.py: {error}")
    print(f"{done.folder}: {done.text()}")
