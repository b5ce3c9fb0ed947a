"""The folder that a training run leaves behind."""

import copy
import json
import logging
import os
import platform
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from atrous.data.formats.table import is_url
from atrous.data.layouts.memory import ROOT
from atrous.data.restoration import read_psf
from atrous.data.root_folder import data_folder
from atrous.errors import UserError, without_secrets
from atrous.files import replacing
from atrous.models.network import DenseNetwork
from atrous.named.packages import INSTALL, NamedModel, named_models, not_known
from atrous.nn.mirror import plain
from atrous.recipe.build import build_network, build_task
from atrous.recipe.calibration import Calibration, read_calibration
from atrous.recipe.schema import Recipe, read_recipe, to_toml
from atrous.recipe.style_picture import keep_style, located
from atrous.tasks.class_offsets import shifted
from atrous.tasks.task import Task
from atrous.tasks.temperature import calibrated
from atrous.tasks.thresholds import with_thresholds
from atrous.training.checkpoint import read_tensors

PSF = "psf.npy"
"""The point spread function of a run that was given one, `(1, *S)`."""
PACKAGES = ("atrous", "torch", "torchvision", "timm", "lightning-fabric", "numpy", "pillow", "safetensors")


@dataclass(frozen=True)
class Run:
    """A run folder: recipe.toml, model.safetensors, calibration.json, metrics.csv, report.html and more.

    Attributes:
        folder: where it lies.
        recipe: what it did.
        named: its name, if it is a model that a package brings: its files are only read.
    """

    folder: Path
    recipe: Recipe
    named: str | None = None

    @property
    def title(self) -> str:
        """What messages call it: the name of a named model, else the folder."""
        return self.named or str(self.folder)

    def require_own(self, instead: str) -> None:
        """Refuse a named model where files of the run are about to change.

        Raises:
            UserError: it is one; the message ends with what to do instead.
        """
        if self.named is not None:
            raise UserError(f"{self.named}: is a named model, whose files stay as they are: {instead}")

    @property
    def weights(self) -> Path:
        """The best weights."""
        return self.folder / "model.safetensors"

    @property
    def located(self) -> Recipe:
        """The recipe with absolute paths of the files that the run keeps."""
        return located(self.recipe, self.folder)

    def data(self) -> tuple[Path, Path | None]:
        """Return the folder of the data that the run was trained on, and their dataset.toml if it lies elsewhere.

        Data at a URL are opened (`atrous.data.root_folder`).

        Both are found from any current folder, and also after the run and its data were moved together.

        Raises:
            UserError: they are no longer where they were, or were in memory, or a package brought the model alone.
        """
        given = self.recipe.data
        if self.named is not None:
            raise UserError(f"{self.named}: a named model does not bring its training data: give a data set's folder")
        if Path(given.root) == ROOT:
            raise UserError(f"{self.folder}: was trained on data in memory: give the data")
        root = data_folder(given.root) if is_url(given.root) else self._found(given.root)
        return root, None if given.description is None else self._found(given.description)

    def _found(self, stored: str) -> Path:
        """Where a path of the recipe is now."""
        path, folder = Path(stored), self.folder.absolute()
        places = [path, *_moved(path, folder)] if path.is_absolute() else _of_earlier_versions(path, folder)
        there = [place for place in places if place.exists()]
        if not there:
            raise UserError(f"{self.folder}: was trained on {stored}, which is not there: give the data set's folder")
        if not path.is_absolute() and not there[0].samefile(there[-1]):
            raise UserError(
                f"{self.folder}: was trained on {stored}, which may be {there[0]} or {there[-1]}: give the one meant"
            )
        return there[0]

    def calibration(self) -> Calibration | None:
        """How the probabilities are calibrated; None for a run that was not calibrated.

        Raises:
            UserError: the file that says so is damaged.
        """
        return read_calibration(self.folder)

    def task(self) -> Task:
        """What the output channels mean, with calibrated probabilities and chosen thresholds."""
        task, calibration = build_task(self.located), self.calibration()
        if calibration is None:
            return task
        task, given = shifted(calibrated(task, calibration.temperature), calibration.offsets), self.recipe.task.options
        return with_thresholds(task, {name: at for name, at in calibration.thresholds.items() if name not in given})

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the weights by name. Those that are stored in float16, as of named models, are widened to float32.

        Raises:
            UserError: they are missing or damaged.
        """
        stored, _ = read_tensors(self.weights)
        return {name: value.float() if value.dtype == torch.float16 else value for name, value in stored.items()}

    def network(self, own: nn.Module | None = None) -> DenseNetwork:
        """Return the trained network, in eval mode.

        Args:
            own: the user's own network, if the recipe says `model.name = "custom"`: the weights are loaded into a copy.

        Raises:
            UserError: the weights are missing or do not fit the network, or the recipe is custom and `own` is None.
        """
        tensors = self.tensors()
        own_copy = None if own is None else copy.deepcopy(own)
        # The weights come from the run, so the encoder's pretrained weights (and their package) are not needed.
        model = self.recipe.model.model_copy(update={"pretrained": False})
        named = "the network of recipe.toml" if own is None else f"the {type(own).__name__} that was passed"
        network = build_network(model, self.task().out_channels, own_copy)
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip()
            raise UserError(f"{self.weights}: does not fit {named}: {first}") from error
        return plain(network).eval()


def _moved(path: Path, folder: Path) -> list[Path]:
    """Where a path is that was moved together with its run: it lies as it lay, seen from the folder of the run."""
    before = _environment_of(folder).get("folder")  # earlier versions did not write it
    if not isinstance(before, str) or Path(before).anchor != path.anchor:
        return []
    return [folder / os.path.relpath(path, before)]


def _environment_of(folder: Path) -> dict[str, Any]:
    """Return what `environment.json` of a run says; nothing where there is no such file.

    Raises:
        UserError: it is damaged.
    """
    path = folder / "environment.json"
    if not path.exists():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: is damaged ({error}): restore it from a copy, or remove it") from None
    return facts if isinstance(facts, dict) else {}


def _recipe_of(folder: Path) -> Recipe:
    """Read the recipe of a run; where it is not understood and a later version of atrous made it, that is said.

    Raises:
        UserError: it is no recipe of this version.
    """
    try:
        return read_recipe(folder / "recipe.toml")
    except UserError as error:
        packages = _environment_of(folder).get("packages")
        made = str(packages.get("atrous", "")) if isinstance(packages, dict) else ""
        own = _installed("atrous")
        if not _parts(made) > _parts(own) > ():
            raise
        said = f"the run was made by atrous {made}, and this is {own}: pip install --upgrade atrous"
        raise UserError(f"{error}; {said}") from None


def _parts(text: str) -> tuple[int, ...]:
    """Return the numbers of a version; none of a text that is no version.

    >>> _parts("1.10.2") > _parts("1.9"), _parts("not installed")
    (True, ())
    """
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _of_earlier_versions(path: Path, folder: Path) -> list[Path]:
    """Where a relative path may be, which earlier versions stored: they looked for it in the current folder.

    By default the run was made in `runs/` of that folder, so the folders above the run come first. The run itself may
    bear the name of its data: a folder with a recipe is no data set.
    """
    above = [parent / path for parent in folder.parents if not (parent / path / "recipe.toml").exists()]
    return [next((place for place in above if place.exists()), path), path]


def check_new(folder: Path) -> None:
    """Refuse a folder in which no new run can begin.

    Raises:
        UserError: it exists already (nothing is ever overwritten), or lies where no folder can be made.
    """
    if folder.exists():
        raise UserError(
            f"{folder}: exists already, and nothing is overwritten: give another --out, or --resume {folder}"
        )
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "may not be written" if above.is_dir() else "is a file"
        raise UserError(f"{folder}: cannot be made, since {above} {why}: give another --out")


def create_run(folder: Path, recipe: Recipe, reasons: Mapping[str, str], command: list[str]) -> Run:
    """Make the folder of a new run, with its recipe and environment.

    A point spread function in a file is copied into the folder as `psf.npy`, which the recipe then names: the run can
    be moved, and the file may go.

    Raises:
        UserError: the folder exists already, or cannot be made; or there is no such point spread function.
    """
    check_new(folder)
    psf = read_psf(Path(recipe.task.psf), recipe.model.ndim) if isinstance(recipe.task.psf, str) else None
    kept = recipe if psf is None else _with_psf(recipe, PSF)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as beside:
            beside.mkdir()
            kept = keep_style(kept, beside)
            (beside / "recipe.toml").write_text(to_toml(kept, reasons), encoding="utf-8")
            if psf is not None:
                np.save(beside / PSF, psf[None])
            facts = {**environment(command), "folder": str(folder.absolute())}
            (beside / "environment.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}): give another --out") from error
    return Run(folder, kept if psf is None else _with_psf(kept, str((folder / PSF).absolute())))


def _with_psf(recipe: Recipe, psf: str) -> Recipe:
    return recipe.model_copy(update={"task": recipe.task.model_copy(update={"psf": psf})})


def open_run(folder: Path | str) -> Run:
    """Open the folder of a run, or a named model, whose files are compared with their digests first.

    If there is both a run and a model of that name, the run is opened, and that is logged in one line, once.

    Args:
        folder: of the run; or the name of a model that an installed package brings (`atrous.named_models`).

    Raises:
        UserError: there is no such folder and no such model, the folder is not that of a run, or a file of the model
            was changed.
    """
    folder = Path(folder)
    is_name = len(folder.parts) == 1
    if (folder / "recipe.toml").exists():
        if is_name:
            with suppress(UserError):  # a damaged package is no reason to refuse a folder
                _say_if_hidden(folder, named_models())
        return Run(folder, _recipe_of(folder))
    models = named_models() if is_name else {}
    if (model := models.get(str(folder))) is not None:
        if folder.exists():
            _say_once(f"{folder}: the model of that name is used, as the {_kind(folder)} {folder.absolute()} is no run")
        model.check()
        return Run(model.folder, read_recipe(model.folder / "recipe.toml"), model.name)
    if folder.is_dir():
        raise UserError(f"{folder}: has no recipe.toml, so it is not the folder of a run")
    what = f"{folder}: no such folder: give the folder of a run (atrous train --out FOLDER)"
    if is_name:
        what += f"; and {not_known(str(folder), models)}" if models else f"; for models with names: {INSTALL}"
    raise UserError(what)


def _say_if_hidden(folder: Path, models: dict[str, NamedModel]) -> None:
    """Tell that the folder of a run is used, if there is a model of that name too."""
    if (model := models.get(str(folder))) is not None:
        _say_once(f"{folder}: the run in {folder.absolute()} is used, not the model of that name in {model.package}")


def _kind(path: Path) -> str:
    return "folder" if path.is_dir() else "file"


@cache
def _say_once(text: str) -> None:
    """Log a line, which Python prints to standard error unless the program does something else with log messages."""
    logging.getLogger(__name__).warning(text)


def environment(command: list[str]) -> dict[str, Any]:
    """What a run ran on: versions, processor, threads, the command."""
    versions = {name: _installed(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "packages": versions,
        "command": [without_secrets(part) for part in command or sys.argv],
    }


def _installed(package: str) -> str:
    """Return the version of a package in words."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
