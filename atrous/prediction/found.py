"""The objects that a network finds in one input, and how they show themselves in a notebook."""

import base64
import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atrous.color import default_palette
from atrous.prediction.inputs import Opened
from atrous.report.pictures import png_bytes, resized, to_rgb

SHOWN = 640
"""Pixels of the longer side of the picture in a notebook."""
ROWS_SHOWN = 10
COLORS = 24


@dataclass(frozen=True)
class ObjectPrediction:
    """The objects of one input. A notebook shows their outlines and the first rows of their table.

    Attributes:
        instances: `(*S)` uint32, the number of the object at each position, 0 where there is none.
        classes: `(n,)` int64, class of each object, in the order of their numbers.
        scores: `(n,)` float32, from 0 to 1.
        boxes: `(n, 2 * ndim)` float64 in positions: where each object starts along every axis, then where it stops.
        points: `(n, ndim)` float64 in positions, the mean of each object; the middle of position i is i + 0.5.
        table: column name to values; lengths in units of the spacing, where the input has one.
        image: opens the input again, so that the picture can show it.
    """

    instances: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    table: dict[str, np.ndarray]
    image: Callable[[], Opened] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.scores)

    def picture(self) -> np.ndarray:
        """Draw the outlines over the input, as uint8 `(height, width, 3)`; of a volume its slice with most objects.

        Objects of signals are drawn as colors along the signal.
        """
        numbers = self.instances
        if numbers.ndim == 1:
            return resized(np.repeat(colored(numbers)[None], 40, axis=0), SHOWN, smooth=False)
        plane = busiest_plane(numbers)
        image: Any = np.zeros((1, *numbers.shape), np.uint8)
        if self.image is not None:
            image = self.image().image_on_file()
        return resized(outlined(np.asarray(image[(slice(None), *plane)]), numbers[plane]), SHOWN)

    def _repr_png_(self) -> bytes:
        return png_bytes(self.picture())

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self._repr_png_()).decode("ascii")
        return table_html(f"data:image/png;base64,{picture}", self.table, "objects")


def table_html(picture: str, table: Mapping[str, np.ndarray], what: str, before: str = "") -> str:
    """Return HTML of a picture and the first rows of a table.

    Args:
        picture: its address; empty for none.
        table: column name to values, of which there is at least one column.
        what: what the rows are.
        before: what is said before their number.
    """
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table)
    count = len(next(iter(table.values())))
    shown = min(ROWS_SHOWN, count)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_text(values[i])}</td>" for values in table.values()) + "</tr>" for i in range(shown)
    )
    shown_picture = f'<img alt="{what} of the input" src="{picture}">' if picture else ""
    caption = f"{before}{count} {what}, the first {shown}"
    return f"<div>{shown_picture}<table><caption>{caption}</caption><tr>{head}</tr>{rows}</table></div>"


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, np.floating) else html.escape(str(value))


def colored(numbers: np.ndarray) -> np.ndarray:
    """Return a color `(*S, 3)` uint8 for every position: that of its object, black for none."""
    colors = np.array(default_palette(COLORS, background=False), np.uint8)
    picture = colors[(numbers.astype(np.int64) * 7) % COLORS]
    picture[numbers == 0] = 0
    return picture


def outlined(image: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return a picture `(H, W, 3)` uint8 of an image with the outlines of its objects, each in a color of its own.

    Args:
        image: `(C, H, W)`.
        numbers: numbers of objects `(H, W)`, 0 for none.
    """
    picture = to_rgb(image).copy()
    padded = np.pad(numbers, 1, mode="edge")
    neighbors = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    edge = (numbers != 0) & np.logical_or.reduce([other != numbers for other in neighbors])
    picture[edge] = colored(numbers[edge])
    return picture


def busiest_plane(numbers: Any) -> tuple[int, ...]:
    """Return the index of the slice of a volume that has most objects; nothing for an image."""
    if len(numbers.shape) < 3:
        return ()
    return (max(range(numbers.shape[0]), key=lambda z: len(np.unique(np.asarray(numbers[z])))),)
