"""The pictures of the report: what is drawn of an example, and how all of them stay within a budget of bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from atrous.color import Palette
from atrous.labels import IGNORE
from atrous.report.pictures import (
    banded,
    busiest,
    channel_scales,
    colorize,
    errors,
    flat,
    flat_labels,
    overlay,
    resized,
    to_rgb,
)

__all__ = ["Example", "ReportView", "data_uri", "embed", "example_views"]

LIMIT = 640
"""Pixels of the longer side of a picture."""
BUDGET = 2_000_000
"""Bytes of all pictures of a page together. As base64 they are a third more, and the page stays below 3 MB."""
CURVES = 2
"""Axes of a signal `(C, L)`, which is drawn as curves."""
HEAVY = 50_000
"""Bytes of a PNG from which a picture is stored as JPEG, where all together are too large."""
QUALITIES = ((92, 1.0), (80, 1.0), (75, 0.75), (65, 0.5), (50, 0.25))
"""Quality of JPEG and size, from the best to the smallest; the first that is within the budget is taken."""


@dataclass(frozen=True, eq=False)
class Example:
    """One image to show.

    Attributes:
        name: name of the image.
        image: `(C, *S)`.
        truth: `(*S)` uint8 labels.
        prediction: `(*S)` uint8 labels.
        miou: the metric of this image.
        kind: "best" or "worst".
        spacing: distance of neighboring voxels along each axis of a volume, so that it is drawn with its real
            proportions.
        palette: a color per label, where it is not that of the report.
        metric: name of the metric.
        pictures: colors `(height, width, 3)` uint8 by caption, which are shown in place of image, truth and prediction.
        scales: by caption of `pictures`, the values of its data that 0 and 255 stand for; none where the colors are
            the values.
        compared: whether a slider shows the first two pictures one over the other.
        images: what the images are called whose channels `image` has, where it has those of several.
        note: what the page says of it beside the metric.
        legend: names and colors of what its pictures show, where these are not the classes of the report.
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    miou: float
    kind: str
    spacing: tuple[float, ...] | None = None
    palette: Palette | None = None
    metric: str = "mean IoU"
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    compared: bool = False
    images: tuple[str, ...] = ("image",)
    note: str = ""
    legend: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)


@dataclass(eq=False)
class ReportView:
    """A picture of the page.

    Attributes:
        caption: what it shows.
        alt: the same, and of what, for those who cannot see it.
        picture: `(height, width, 3)` uint8.
        labels: the labels that are drawn in it, `(height, width)` uint8, which the page can switch on and off.
        palette: the colors of these labels, where the picture shows nothing else.
        drawn: whether it is a drawing, whose colors are no values of the image.
        scales: for each channel the values of the data that 0 and 255 stand for; none where the colors are the values.
        limit: pixels of its longer side.
        uri: it, encoded; `embed` fills it in, and so the next three.
        labels_uri: the labels, encoded as a picture whose gray values are class numbers.
        width: of the encoded picture.
        height: of the encoded picture.
    """

    caption: str
    alt: str
    picture: np.ndarray
    labels: np.ndarray | None = None
    palette: Palette | None = None
    drawn: bool = False
    scales: tuple[tuple[float, float], ...] = ()
    limit: int = LIMIT
    uri: str = ""
    labels_uri: str = ""
    width: int = 0
    height: int = 0


def example_views(example: Example, palette: Palette) -> list[ReportView]:
    """Return the views of an example: its own pictures, or image, truth, prediction and errors.

    Labels are drawn beside an image, over a volume, and behind the curve of a signal.
    """
    name = example.name
    if example.pictures:
        plain = ("image", "input", *example.scales)
        judged = {what for what in example.pictures if example.palette is not None and what not in plain}
        return [
            ReportView(
                what, f"{what} of {name}", picture, drawn=example.image.ndim == CURVES or what in judged,
                scales=(example.scales[what],) if what in example.scales else (),
            )
            for what, picture in example.pictures.items()
        ]  # fmt: skip
    image, truth, prediction = example.image, example.truth, example.prediction
    center, scales = busiest(truth), {}
    maps = {"truth": truth, "prediction": prediction}
    places = {caption: flat_labels(label, center, example.spacing) for caption, label in maps.items()}
    if truth.ndim == 1:
        shown = {caption: banded(image, label, palette) for caption, label in maps.items()}
        shown["errors"] = flat(errors(np.zeros((1, *truth.shape), np.uint8), truth, prediction))
    elif truth.ndim == 2:
        parts = zip(example.images, np.split(image, len(example.images)), strict=True)
        parts = dict(parts)
        shown = {caption: to_rgb(part) for caption, part in parts.items()}
        scales = {caption: channel_scales(part) for caption, part in parts.items()}
        shown |= {caption: colorize(label, palette) for caption, label in maps.items()}
        shown["errors"] = errors(image, truth, prediction)
    else:
        image = image.astype(np.float32)  # 8-bit scans rarely fill their range, so they are stretched like the others
        colors, scales = {"image": to_rgb(image)}, {"image": channel_scales(image)}
        colors |= {caption: overlay(image, label, palette, bare=0) for caption, label in maps.items()}
        colors["errors"] = errors(image, truth, prediction)
        shown = {caption: flat(picture, center, example.spacing) for caption, picture in colors.items()}
    if example.palette is not None:  # of objects: what differs is told by their colors
        del shown["errors"]
    return [
        ReportView(
            caption, f"{caption} of {name}", picture, places.get(caption),
            palette if truth.ndim == 2 and caption in maps else None, drawn=caption in (*maps, "errors"),
            scales=scales.get(caption, ()),
        )
        for caption, picture in shown.items()
    ]  # fmt: skip


def embed(views: Sequence[ReportView], budget: int = BUDGET) -> None:
    """Encode the pictures, in the best quality in which all of them take at most `budget` bytes together.

    They are stored without loss where that is within the budget. Those that show labels alone always are, in fewer
    pixels if need be.
    """
    encoded = [_encoded(view) for view in views]
    heavy = [len(file.data) > HEAVY for file in encoded]
    for quality, size in QUALITIES:
        if sum(len(file.data) + len(file.labels) for file in encoded) <= budget:
            break
        encoded = [_encoded(view, quality if lossy else None, size) for view, lossy in zip(views, heavy, strict=True)]
    for view, file in zip(views, encoded, strict=True):
        view.uri = data_uri(file.kind, file.data)
        view.labels_uri = data_uri("image/png", file.labels) if file.labels else ""
        view.height, view.width = file.shape


def data_uri(kind: str, data: bytes) -> str:
    """Return data that stand in the page itself.

    >>> data_uri("text/plain", b"abc")
    'data:text/plain;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@dataclass(frozen=True)
class EncodedView:
    """A view as files: the type of its picture, the picture, the labels (b"" if none), and height and width."""

    kind: str
    data: bytes
    labels: bytes
    shape: tuple[int, ...]


def _encoded(view: ReportView, quality: int | None = None, size: float = 1.0) -> EncodedView:
    """Encode a view: as JPEG of this quality, or as PNG if that is None or if it shows labels alone."""
    limit = max(1, round(view.limit * size))
    labels = b""
    if view.labels is not None:
        places = np.ascontiguousarray(resized(view.labels, limit, smooth=False))
        labels = _png(Image.fromarray(places))
        if view.palette is not None:
            drawn = Image.frombytes("P", places.shape[::-1], places.tobytes())
            drawn.putpalette(colorize(np.arange(IGNORE + 1), view.palette).tobytes())
            return EncodedView("image/png", _png(drawn), labels, places.shape)
    picture = np.ascontiguousarray(resized(view.picture, limit))
    if quality is None:
        return EncodedView("image/png", _png(Image.fromarray(picture)), labels, picture.shape[:2])
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG", quality=quality, optimize=True)
    return EncodedView("image/jpeg", encoded.getvalue(), labels, picture.shape[:2])


def _png(picture: Image.Image) -> bytes:
    encoded = io.BytesIO()
    picture.save(encoded, "PNG", optimize=True)
    return encoded.getvalue()
