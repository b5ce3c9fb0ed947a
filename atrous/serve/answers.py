"""The forms in which bytes and labels are answered."""

import gzip
import io
from typing import Any

import numpy as np
from PIL import Image

from atrous.labels import IGNORE
from atrous.serve.store import UNKNOWN
from atrous.serve.viewer import Viewer

NO_STORE = {"Cache-Control": "no-store"}
"""The number of a file means another one after the next start, so browsers keep nothing."""


def content(media: str) -> dict[str, Any]:
    """Say in the description of a route what it returns."""
    return {"response_model": None, "responses": {200: {"content": {media: {}}}}}


def bytes_answer(content: bytes, media: str, headers: dict[str, str] | None = None) -> Any:
    """Return an answer that no browser keeps."""
    from fastapi import Response

    return Response(content, media_type=media, headers={**NO_STORE, **(headers or {})})


def raw_answer(values: np.ndarray, headers: dict[str, str]) -> Any:
    """Return numbers as one byte each."""
    content = gzip.compress(np.ascontiguousarray(values, np.uint8).tobytes(), 1)
    return bytes_answer(content, "application/octet-stream", {"Content-Encoding": "gzip", **headers})


def labels_answer(viewer: Viewer, values: np.ndarray, exact: bool, raw: bool) -> Any:
    """Return labels `(h, w)` as numbers, or as a PNG in the colors of the classes without void and unknown ones."""
    headers = {"Atrous-Exact": str(exact).lower()}
    return raw_answer(values, headers) if raw else bytes_answer(_colored(viewer, values), "image/png", headers)


def _colored(viewer: Viewer, values: np.ndarray) -> bytes:
    palette = viewer.predictor.palette if viewer.predictor is not None else ()
    image, buffer = Image.fromarray(values), io.BytesIO()
    image.putpalette([level for color in (*palette, *((0, 0, 0),) * (256 - len(palette))) for level in color])
    transparent = bytes(0 if number in (UNKNOWN, IGNORE) else 255 for number in range(256))
    image.save(buffer, "PNG", transparency=transparent, compress_level=1)
    return buffer.getvalue()
