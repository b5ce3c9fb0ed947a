"""Painting and live training of one `atrous serve`: strokes go to the data set, weights come to the page."""

import json
import logging
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.description import read_description
from atrous.data.layouts.table import find_layout
from atrous.errors import UserError
from atrous.files import replacing, write_text
from atrous.labels import IGNORE
from atrous.prediction.predictor import load
from atrous.recipe.run import check_new, environment, open_run
from atrous.recipe.schema import Recipe, to_toml
from atrous.serve.paint_folder import PaintClass, PaintedFolder, live_folder
from atrous.serve.paint_image import PaintedImage
from atrous.serve.paint_strokes import Box, Stroke
from atrous.serve.paint_trainer import PaintTrainer, training_command
from atrous.serve.paint_where import uncertain_places
from atrous.serve.viewer import Viewer
from atrous.training.log import read_log

KEPT_FILES = ("model.safetensors", "calibration.json", "metrics.csv")
"""What a saved run takes over from the one in training, beside its recipe."""


class PaintSession:
    """What is painted and trained.

    Args:
        root: folder of the painted data set, which may not be there yet.
        viewer: what is open.
        device: where to train and to label.
        start: folder of the run from whose weights the training starts; its classes are those of a new data set.
        runs: folder in which runs are saved.

    Raises:
        UserError: the folder holds another data set, or another process paints it.
    """

    def __init__(
        self, root: Path, viewer: Viewer, *, device: str = "cpu", start: Path | None = None, runs: Path = Path("runs")
    ) -> None:
        self.viewer, self._device, self._runs = viewer, device, runs
        self._changing = threading.Lock()  # no stroke comes between the count of a class and its removal
        given = viewer.predictor
        classes = [] if given is None else zip(given.classes, given.palette, strict=True)
        self.folder = PaintedFolder(root, [PaintClass(name, color) for name, color in classes])
        command = training_command(root, device, start)
        self.trainer = PaintTrainer(command, self.folder.own / "training.log", self.take_weights)
        if (live_folder(root) / "model.safetensors").exists():
            self.take_weights()

    def set_classes(self, classes: list[PaintClass]) -> None:
        """Name the classes; see `PaintedFolder.set_classes`."""
        with self._changing:
            self.folder.set_classes(classes)
        self.trainer.changed()

    def image(self, number: int) -> PaintedImage:
        """Return an opened file as one that is painted on.

        Raises:
            UserError: there is none of this number, or it cannot be painted on.
        """
        picture = self.viewer.picture(number)
        if len(picture.shape) == 4 and len(picture.axes) == 1:
            raise UserError(f"{picture.file.name}: videos cannot be painted on yet: save frames as images")
        return self.folder.image(picture.file, picture.shape[1:])

    def paint(self, number: int, cut: tuple[int, int], stroke: Stroke, label: int, view: Box | None) -> PaintedImage:
        """Draw a stroke; it is safe when the function returns.

        Raises:
            UserError: there is no such class or plane, or the stroke is wrong.
        """
        image = self.image(number)
        with self._changing:
            if not (label < len(self.folder.classes) or label == IGNORE):
                raise UserError(f"class {label}: there are {len(self.folder.classes)}, counted from 0")
            changed = image.paint(cut, stroke, label, view)
        if changed:
            self.trainer.changed()
        return image

    def step_back(self, number: int, *, again: bool) -> PaintedImage:
        """Undo the last stroke of an image, or draw an undone one again."""
        image = self.image(number)
        with self._changing:
            changed = image.redo() if again else image.undo()
        if changed:
            self.trainer.changed()
        return image

    def take_weights(self) -> None:
        """Label with the last weights of the training from now on."""
        try:
            self.viewer.adopt(load(live_folder(self.folder.root), device=self._device))
        except UserError as error:
            self.trainer.problem = str(error)
        except Exception as error:
            logging.getLogger(__name__).exception("weights of %s", self.folder.root)
            self.trainer.problem = f"an unexpected error ({type(error).__name__}): the terminal shows it"

    def train(self, on: bool) -> None:
        """Start or stop the training.

        Raises:
            UserError: there is nothing to learn from.
        """
        if not on:
            self.trainer.stop()
        elif np.count_nonzero(self.folder.counts()) < 2:
            raise UserError("paint with two classes at least, then train")
        else:
            self.trainer.start()

    def where(self, number: int, view: Box | None, count: int) -> "Future[Any]":
        """Have the places of an image computed at which the network doubts: rows, columns and uncertainties.

        Args:
            number: of the opened file.
            view: rows and columns; all of the image when None.
            count: places at most.

        Raises:
            UserError: there is no network, or the file cannot be painted on.
        """
        labeled, worker = self.viewer.labeled(number)
        image = self.image(number)
        if len(image.size) != 2:
            raise UserError("places are offered in images: in volumes, look at the labels")
        rows, columns = view or (slice(0, image.size[0]), slice(0, image.size[1]))

        def wish(between: Callable[[float], None]) -> list[tuple[float, float, float]]:
            size = tuple(labeled.ready().size)
            scale = [length / mine for length, mine in zip(size, image.size, strict=True)]
            box = tuple(
                slice(int(part.start * by), max(int(part.start * by) + 1, round(part.stop * by)))
                for part, by in zip((rows, columns), scale, strict=True)
            )
            probabilities = labeled.preview_probabilities((box[0], box[1]))
            painted = image.labels((0, 0), rows, columns)
            height, width = probabilities.shape[1:]
            down, across = (painted.shape[0] / height, painted.shape[1] / width)
            at_rows, at_columns = (
                np.minimum(((np.arange(count) + 0.5) * by).astype(int), most - 1)
                for count, by, most in ((height, down, painted.shape[0]), (width, across, painted.shape[1]))
            )
            marked = painted[np.ix_(at_rows, at_columns)] != IGNORE
            places = uncertain_places(probabilities, marked, count)
            return [(rows.start + row * down, columns.start + column * across, doubt) for row, column, doubt in places]

        return worker.ask(wish)

    def save(self, name: str) -> Path:
        """Save the network in training as a run, and return its folder.

        Args:
            name: of the folder, one word.

        Raises:
            UserError: there is no network yet, the name is no plain word, or there is a run of this name.
        """
        live = live_folder(self.folder.root)
        if not (live / "model.safetensors").exists():
            raise UserError("no network is trained yet: train first")
        require_word("run", name)
        folder = self._runs / name
        check_new(folder)
        # the log also has the trainings before this server was started
        seconds = max((row["seconds"] for row in read_log(live / "metrics.csv")), default=0.0)
        recipe = _saved_recipe(open_run(live).recipe, self.folder.root, max(seconds, self.trainer.seconds))
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with replacing(folder) as beside:
                beside.mkdir()
                write_text(beside / "recipe.toml", to_toml(recipe))
                facts = {**environment(["atrous", "serve"]), "folder": str(folder.absolute())}
                write_text(beside / "environment.json", json.dumps(facts, indent=1))
                for file in KEPT_FILES:
                    if (live / file).exists():
                        shutil.copy2(live / file, beside / file)
        except OSError as error:
            raise UserError(f"{folder}: cannot be made ({error.strerror or error}): give another name") from error
        return folder

    def close(self) -> None:
        """Stop the training, and let other processes paint."""
        self.trainer.close()
        self.folder.close()


def require_word(what: str, name: str) -> None:
    """Raise unless the name of a folder is one plain word.

    Args:
        what: is named.
        name: its name.

    Raises:
        UserError: it is none.

    >>> require_word("run", "cells_2.1")
    """
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
        raise UserError(f"{name!r}: name the {what} with letters, digits, -, _ and .")


def _saved_recipe(recipe: Recipe, root: Path, seconds: float) -> Recipe:
    """The recipe of the run in training, on the data set as the command line reads it."""
    splits = find_layout(root, read_description(root)).splits
    data = {"train": "train", "val": "val" if splits.get("val") else "train"}
    train = {"minutes": max(0.1, round(seconds / 60, 1)), "epochs": None, "start": None}
    return recipe.model_copy(
        update={"data": recipe.data.model_copy(update=data), "train": recipe.train.model_copy(update=train)}
    )
