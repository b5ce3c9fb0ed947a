"""Numbers at every position: what Python programs are given, and the files that are written."""

import base64
import html
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atrous.color import Palette
from atrous.data.formats import stem, suffix_of, write_probabilities
from atrous.data.source import Sink
from atrous.errors import UserError
from atrous.files import replacing
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.output import Companions, Output
from atrous.prediction.probabilities import SUFFIXES, ProbabilityFile
from atrous.prediction.value_tables import RECORDINGS, NumberTable, on_file
from atrous.report.pictures import png_bytes, resized, signal, to_rgb
from atrous.tasks.custom import output_size
from atrous.tasks.style import StyleTask
from atrous.tasks.values import ValueTask

SHOWN = 640
"""Pixels of the longer side of the picture in a notebook."""
LARGEST_PICTURE = 2**30
"""Bytes of a picture that is written as PNG at most."""
SCANS = (".nii", ".nii.gz")
"""Suffixes of the labels of scans."""
CURVE = 96
"""Pixels of the height of a curve."""
MIDDLE = 2
"""Axes of what is drawn."""


@dataclass(frozen=True)
class ValuePrediction:
    """The numbers that a network gives for one input. A notebook shows them as a picture, beside the input.

    Attributes:
        values: `(K, *S')` float32 in the units of the training targets, NaN where the input has no data. `S'` is the
            size of the input, or that times the factor of super-resolution, which fills positions without data.
        names: of the outputs.
        image: opens the input again, so that the picture can show it.
        between: values of black and white in the picture; None for those of nearly all values.
    """

    values: np.ndarray
    names: tuple[str, ...]
    image: Callable[[], Opened] | None = field(default=None, repr=False, compare=False)
    between: tuple[float, float] | None = field(default=None, repr=False, compare=False)

    def picture(self) -> np.ndarray:
        """Draw the input and the values side by side, as uint8 `(height, width, 3)`; of a volume its middle slice."""
        values = thinned(self.values)
        like = values if self.between is None else np.array(self.between)
        after = shown(values, like)
        if self.image is None or self.values.ndim == MIDDLE:
            return resized(after, SHOWN)
        image = np.asarray(thinned(self.image().image_on_file()), np.float32)
        before = shown(image, like if self.between is not None or len(image) == len(values) else image)
        height, width = after.shape[:2]
        before = np.asarray(Image.fromarray(before).resize((width, height), Image.Resampling.NEAREST))
        return resized(np.concatenate([before, after], axis=1), SHOWN)

    def _repr_png_(self) -> bytes:
        return png_bytes(self.picture())

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self._repr_png_()).decode("ascii")
        size = " x ".join(map(str, self.values.shape[1:]))
        names = html.escape(", ".join(self.names))
        return (
            f'<div><img alt="the input and its values" src="data:image/png;base64,{picture}"><p>{size}: {names}</div>'
        )


def thinned(values: Any) -> np.ndarray:
    """Return every second (third, ...) row and column of large values `(K, *S)`."""
    if len(values.shape) <= MIDDLE:
        return np.asarray(values[...])
    step = max(1, max(values.shape[-MIDDLE:]) // (2 * SHOWN))
    return np.asarray(values[(..., slice(None, None, step), slice(None, None, step))])


def shown(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return values `(K, *S)` as colors `(height, width, 3)` uint8, on the scale of other values `(K, *S')`.

    Three outputs are red, green and blue; of others the first is drawn in gray. Of a volume it is the middle slice. Of
    a signal every output is a curve.
    """
    if values.ndim == MIDDLE:
        of_each = like.ndim == MIDDLE and len(like) == len(values)
        return signal(values, CURVE, np.array([_range(like[k] if of_each else like) for k in range(len(values))]))
    low, high = shown_scale(like)
    middle = values
    while middle.ndim > MIDDLE + 1:
        middle = middle[:, middle.shape[1] // 2]
    middle = middle if len(middle) == 3 else middle[:1]
    scaled = np.clip((np.nan_to_num(middle, nan=low) - low) / max(high - low, 1e-12), 0, 1)
    return to_rgb(np.rint(255 * scaled).astype(np.uint8))


def shown_scale(like: np.ndarray) -> tuple[float, float]:
    """Return the values that `shown` draws as black and white on the scale of these.

    >>> shown_scale(np.linspace(0, 200, 201))
    (1.0, 199.0)
    """
    known = like[np.isfinite(like)]
    low, high = np.percentile(known, [0.5, 99.5]) if known.size else (0.0, 1.0)
    return float(low), float(high)


def _range(values: np.ndarray) -> tuple[float, float]:
    """The least and the greatest value that is known."""
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


def predict_values(
    maps: np.ndarray, task: ValueTask, opened: Opened, opener: Callable[[], Opened], palette: Palette
) -> ValuePrediction:
    """Give the values `(K, *S')` of one input to Python programs, on the grid of its file."""
    return ValuePrediction(on_file(maps, task, opened), task.names, opener, shown_between(task))


def shown_between(task: ValueTask) -> tuple[float, float] | None:
    """Return the values that are drawn as black and white; None where they follow from the values themselves."""
    return task.limits if isinstance(task, StyleTask) else None


class NumberFile(ProbabilityFile):
    """Values `(K, *S)` float32 on the grid of the input's file, NaN where the file has no data; zarr, TIFF or NIfTI.

    Args:
        path: `.zarr`, `.tif`, `.nii` or `.nii.gz`.
        like: the input file, which lends its geometry.
        task: names the outputs, and says how much finer they are.
    """

    def __init__(self, path: Path, like: Path, task: ValueTask) -> None:
        super().__init__(path, like, task.names)
        self._task, self.factor = task, task.factor

    def read(self) -> np.ndarray:
        """Return the values `(K, *S)` float32 before they are in their place."""
        assert self._written is not None
        return np.asarray(self._written.array[...], np.float32)

    def drawn(self) -> np.ndarray:
        """Return some rows and columns of the values `(K, *S')`, as `thinned`, before they are in their place."""
        assert self._written is not None
        return thinned(self._written.array)

    def rows(self, first: int, last: int) -> np.ndarray:
        """Return some rows of the values `(K, rows, ...)` float32 before they are in their place."""
        assert self._written is not None
        return np.asarray(self._written.array[:, first:last], np.float32)

    @property
    def sink(self) -> Sink | None:
        """See `ProbabilityFile.sink`; on a finer grid no position is marked, as the mask is that of the input's."""
        return super().sink if self._task.factor == 1 or self._written is None else self._written.array

    def finish(self) -> None:
        """Put the file in its place, turned and resampled to the orientation and extent of the input's file."""
        assert self._opened is not None
        if self._task.factor == 1 or not self._opened.regridded:
            super().finish()
            return
        values = on_file(self.read(), self._task, self._opened)
        write_probabilities(self.paths[0], values, self._classes, self._like, self.factor)
        self.discard()

    def _shape(self, opened: Opened) -> tuple[int, ...]:
        return (len(self._classes), *output_size(self._task, opened.source.shape[1:]))


class PictureFile(Output):
    """A picture `(H, W)` or `(H, W, 3)` of 8 bits: values rounded, below 0 and above 255 cut off.

    Args:
        path: a PNG file.
        task: says how much finer the picture is than the input.
    """

    values = "probabilities"

    def __init__(self, path: Path, task: ValueTask) -> None:
        self.paths, self._task = (path,), task
        self._opened: Opened | None = None
        self._values: np.ndarray | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Make room for the picture.

        Raises:
            UserError: it is too large for a PNG file.
        """
        size = output_size(self._task, opened.source.shape[1:])
        if self._task.out_channels * size[0] * size[1] > LARGEST_PICTURE:
            raise UserError(f"{self.paths[0]}: {size[0]:,} x {size[1]:,}: too large for PNG: give --probabilities zarr")
        self._opened = opened
        self._values = np.empty((self._task.out_channels, *size), np.uint8)

    @property
    def sink(self) -> Any:
        """Takes values `(K, *S)` in any order; they are rounded as they come."""
        return None if self._values is None else _Rounded(self._values)

    def drawn(self) -> np.ndarray:
        """Return some rows and columns of the values `(K, *S)`, as the picture has them and as `thinned`."""
        assert self._values is not None
        return thinned(self._values).astype(np.float32)

    def finish(self) -> None:
        """Write the file."""
        assert self._values is not None
        picture = np.moveaxis(self._values, 0, -1)
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.paths[0]) as beside:
            Image.fromarray(picture if picture.shape[-1] == 3 else picture[..., 0]).save(beside, "PNG")

    def discard(self) -> None:
        """Nothing is written before `finish`."""
        self._values = None


class _Rounded:
    """A sink that stores what is assigned to it as uint8, rounded and cut off."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self.shape, self.dtype = values.shape, np.dtype(np.float32)

    def __setitem__(self, key: Any, values: np.ndarray) -> None:
        self._values[key] = np.clip(np.rint(np.nan_to_num(values)), 0, 255).astype(np.uint8)


class BeforeAfter(Output):
    """A PNG of the input beside what the network makes of it.

    Args:
        path: the file.
        main: the file of values, which is drawn.
        task: says what the numbers are.
    """

    def __init__(self, path: Path, main: "NumberFile | PictureFile | NumberTable", task: ValueTask) -> None:
        self.paths, self.drawn_from, self._main, self._task = (path,), main, main, task
        self._opened: Opened | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Keep the input."""
        self._opened = opened

    def finish(self) -> None:
        """Draw the picture."""
        opened = self._opened
        assert opened is not None
        if not isinstance(self._main, NumberTable):  # before and after as the network has them
            opened = replace(opened, size=tuple(opened.source.shape[1:]), turn=None)
        picture = ValuePrediction(self._main.drawn(), (), lambda: opened, shown_between(self._task)).picture()
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.paths[0]) as beside:
            Image.fromarray(picture).save(beside, "PNG")

    def discard(self) -> None:
        """Nothing is written before `finish`."""


def value_outputs(item: Input, target: Path, task: ValueTask, companions: Companions, dtype: str) -> list[Output]:
    """Outputs of one input: a picture where 8-bit pictures are restored, else a file of numbers.

    The numbers of a scan (NIfTI, DICOM) are NIfTI, since no other format of numbers holds its affine.

    Args:
        item: the input.
        target: the label file as other tasks would name it.
        task: says what the numbers are.
        companions: what else is wanted: numbers of pictures, and an overlay.
        dtype: type of the training data's values.

    Raises:
        UserError: something is wanted that numbers do not have.
    """
    why = "numbers are no classes"
    for name in ("polygons", "dicom_seg"):
        companions.leave_out(name, why)
    pictures = task.pictures and task.of_bytes and dtype == "uint8" and task.out_channels in (1, 3)
    name = stem(target)
    usual = suffix_of(target) if suffix_of(target) in SCANS else ".zarr" if suffix_of(item.path) == ".zarr" else ".tif"
    suffix = SUFFIXES[companions.probabilities] if companions.probabilities else usual
    outputs: list[Any] = [NumberFile(target.with_name(name + suffix), item.path, task)]
    if suffix_of(item.path) in RECORDINGS and not companions.probabilities:
        outputs = [NumberTable(target.with_name(name + suffix_of(item.path)), item.path, task)]
    if pictures and target.suffix == ".png" and not companions.probabilities:
        outputs = [PictureFile(target.with_name(f"{name}.png"), task)]
    if companions.overlay:
        outputs.insert(0, BeforeAfter(target.with_name(f"{name}_overlay.png"), outputs[-1], task))
    return [*outputs]
