"""The classes of one whole input, and where they were seen."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from atrous.color import Palette
from atrous.data.source import Source
from atrous.errors import UserError
from atrous.objects.assemble import strips
from atrous.prediction.found import SHOWN, table_html
from atrous.prediction.inputs import Opened
from atrous.prediction.object_table import ROWS
from atrous.report.pictures import png_bytes, resized, to_rgb
from atrous.tasks.class_metrics import ClassAnswer
from atrous.tasks.classification import ClassificationTask

STRENGTH = 0.7
"""The part of the color in a picture where a class was seen for certain."""


@dataclass(frozen=True)
class ClassPrediction:
    """The classes of one whole input. A notebook shows where they were seen, and the table of probabilities.

    Attributes:
        classes: names of the classes that it has.
        scores: `(K,)` float64, the probability of each class, in the order of `names`.
        names: of all classes.
        evidence: `(K, *S')` float32, where each class was seen, from 0 to 1, on the network's grid (`stride`).
        stride: positions of the input per position of `evidence`, along each axis.
        table: column name to values, a row for each class.
        probabilities: the same as `evidence`.
        image: opens the input again, so that the picture can show it.
    """

    classes: tuple[str, ...]
    scores: np.ndarray
    names: tuple[str, ...]
    evidence: np.ndarray = field(repr=False, compare=False)
    stride: tuple[int, ...]
    table: dict[str, np.ndarray] = field(repr=False)
    image: Callable[[], Opened] | None = field(default=None, repr=False, compare=False)
    colors: Palette = field(default=(), repr=False, compare=False)

    @property
    def probabilities(self) -> np.ndarray:
        """Where each class was seen; see `evidence`."""
        return self.evidence

    def picture(self) -> np.ndarray:
        """Draw where the classes were seen over the input, as uint8 `(height, width, 3)`.

        Raises:
            UserError: the input is a signal.
        """
        if self.image is None:
            raise UserError("the prediction was made without its image, so there is no picture")
        image = self.image().image_on_file()
        return resized(painted(image, self.evidence, self.colors), SHOWN)

    def _repr_png_(self) -> bytes:
        return png_bytes(self.picture())

    def _repr_html_(self) -> str:
        picture = ""
        if self.evidence.ndim > 2 and self.image is not None:
            picture = f"data:image/png;base64,{base64.b64encode(self._repr_png_()).decode('ascii')}"
        return table_html(picture, self.table, "classes", f"{', '.join(self.classes) or 'none'}; ")


def decode_classes(maps: Any, task: ClassificationTask) -> ClassAnswer:
    """Pool the evidence of a whole input, some rows at a time.

    Args:
        maps: `(K, *S')`, evidence as `ClassificationTask.probabilities` gives it.
        task: how it is pooled.
    """
    sums = torch.zeros(len(task.names), dtype=torch.float64)
    for region in strips(maps.shape[1:], ROWS):
        sums += task.sums(torch.from_numpy(np.array(maps[(slice(None), *region)])))
    return ClassAnswer(task.scores(sums).numpy(), maps)


def seen(maps: Any, task: ClassificationTask) -> np.ndarray:
    """Return where classes were seen, `(K, *S')` float32 from 0 to 1, of evidence `(K, *S')`."""
    return task.seen(torch.from_numpy(np.array(maps, np.float32))).numpy()


def class_table(answer: ClassAnswer, task: ClassificationTask) -> dict[str, np.ndarray]:
    """Return the columns of the table that is written: a row for each class, the most probable first."""
    order = np.argsort(-answer.scores, kind="stable")
    chosen = task.chosen(torch.from_numpy(answer.scores))
    return {
        "class": np.array([task.names[k] for k in order], object),
        "probability": answer.scores[order],
        "present": np.array([int(k in chosen) for k in order]),
    }


def painted(image: Source, evidence: np.ndarray, colors: Palette, step: int = 1) -> np.ndarray:
    """Paint where classes were seen over an image, as uint8 `(height, width, 3)`; of a volume its slice with most.

    Args:
        image: `(C, *S)`.
        evidence: `(K, *S')`, from 0 to 1, on the grid of the image or a coarser one over the same extent.
        colors: one for each class.
        step: every so many rows and columns are drawn.

    Raises:
        UserError: the image is a signal.
    """
    ndim = len(image.shape) - 1
    if ndim == 1:
        raise UserError("the classes of signals are not drawn: use the table")
    plane: tuple[int, ...] = ()
    if ndim == 3:
        count = evidence.shape[1]
        fullest = int(evidence.reshape(len(evidence), count, -1).sum((0, 2)).argmax())
        plane = (min(int((fullest + 0.5) * image.shape[1] / count), image.shape[1] - 1),)
        evidence = evidence[:, fullest]
    every = (slice(None, None, step),) * 2
    below = to_rgb(np.asarray(image[(slice(None), *plane, *every)]))
    places = [
        np.minimum(np.arange(length) * of // length, of - 1)
        for length, of in zip(below.shape[:2], evidence.shape[1:], strict=True)
    ]
    weights = evidence[:, places[0][:, None], places[1][None]]
    best, strength = weights.argmax(0), STRENGTH * weights.max(0)[..., None]
    color = np.array(colors, np.float32)[best]
    return np.rint((1 - strength) * below + strength * color).astype(np.uint8)


def class_colors(palette: Sequence[tuple[int, int, int]], count: int) -> Palette:
    """Return a color per class: red for one class alone, which black would not show."""
    return tuple(palette) if count > 1 and len(palette) >= count else ((230, 60, 50),) * count


def predict_classes(
    maps: Any, task: ClassificationTask, opened: Opened, opener: Callable[[], Opened], palette: Palette
) -> ClassPrediction:
    """Return the classes of an input whose evidence `(K, *S')` is known."""
    answer = decode_classes(maps, task)
    chosen = tuple(task.names[k] for k in task.chosen(torch.from_numpy(answer.scores)))
    return ClassPrediction(
        chosen, answer.scores, task.names, seen(maps, task), task.stride, class_table(answer, task), opener,
        class_colors(palette, len(task.names)),
    )  # fmt: skip
