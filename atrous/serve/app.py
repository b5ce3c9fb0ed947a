"""The HTTP API and the page: routes that pass requests on. FastAPI is imported where routes are added."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.serve.answers import NO_STORE, bytes_answer, content, labels_answer, raw_answer
from atrous.serve.display import draw, parse_shown, png
from atrous.serve.evaluation_api import add_evaluation
from atrous.serve.facts import (
    InputFacts,
    InputList,
    InputName,
    LabelFacts,
    PositionValues,
    ProbabilityFacts,
    RunFacts,
    ViewBox,
    input_facts,
    label_facts,
    run_facts,
)
from atrous.serve.guard import RequestGuard
from atrous.serve.levels import NoTile
from atrous.serve.line import OpenedLine
from atrous.serve.line_api import add_lines
from atrous.serve.line_facts import line_facts
from atrous.serve.object_api import add_objects
from atrous.serve.object_session import ObjectSession
from atrous.serve.paint_api import add_painting
from atrous.serve.paint_place import NotPainting, PaintPlace
from atrous.serve.paint_session import PaintSession
from atrous.serve.parameters import (
    Axis,
    Column,
    Edge,
    Exact,
    FillOn,
    Index,
    InputNumber,
    Level,
    ListCount,
    ListStart,
    Raw,
    Row,
    SequenceNumber,
    ShownChannels,
    TileColumn,
    TileRow,
)
from atrous.serve.picture import Plane
from atrous.serve.turnstile import ClientGone, TooManyRequests, Turnstile, awaited
from atrous.serve.viewer import NotOpened, Viewer
from atrous.serve.worker import Busy

STATIC = Path(__file__).parent / "static"
"""The page, built from `web/`."""
NO_PAGE = "the page is not built: install npm and run `make page`; the API works (see /api/openapi.json)"
INSTALL = 'atrous serve needs FastAPI and uvicorn: pip install "atrous[serve]"'
CODES = {ClientGone: 499, NotOpened: 404, NoTile: 404, NotPainting: 404, TooManyRequests: 503, Busy: 503}
"""The status of an answer for each kind of mistake; 422 for all others."""

FILES = {
    ".png": "image/png", ".tif": "image/tiff", ".csv": "text/csv", ".npy": "application/octet-stream",
    ".gff3": "text/plain", ".bed": "text/plain",
}  # fmt: skip
"""Suffixes of files of labels, of images, of signals and of genomes, and their types."""


def create_app(
    viewer: Viewer,
    token: str,
    names: frozenset[str],
    any_address: bool = False,
    *,
    painting: PaintSession | PaintPlace | None = None,
    objects: ObjectSession | None = None,
) -> Any:
    """Return the ASGI application: the API below `/api`, the page at `/`, and the guard before both.

    Args:
        viewer: what is open.
        token: what every request for data must bring.
        names: of this server.
        any_address: whether every IP address is one of its names.
        painting: what is painted and trained, or where that may begin; None to look only.
        objects: the single objects that are corrected; None for none.

    Raises:
        UserError: FastAPI is not installed.
    """
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise UserError(INSTALL) from error

    # Labels need not wait until a large image was read for its overview.
    reading, labeling, strokes = Turnstile(), Turnstile(), Turnstile()
    place = painting if isinstance(painting, PaintPlace) else PaintPlace(painting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        reading.close()
        labeling.close()
        strokes.close()
        await asyncio.to_thread(place.close)
        if objects is not None:
            await asyncio.to_thread(objects.close)
        await asyncio.to_thread(viewer.close)

    api = FastAPI(
        title="atrous serve",
        description="Look at files of any size, and label them with a trained network. Every request needs the token.",
        version="1",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
    )

    _say_errors(api)
    _add_inputs(api, viewer, reading)
    _add_tiles(api, viewer, reading)
    _add_labels(api, viewer, labeling)
    _add_answers(api, viewer, labeling)
    _add_files(api, viewer, labeling)
    add_painting(api, place, strokes)
    add_objects(api, objects, strokes)
    add_lines(api, viewer, reading, labeling)
    add_evaluation(api, viewer, labeling)
    _add_page(api)
    return RequestGuard(api, token, names, any_address)


def _say_errors(api: Any) -> None:
    """Answer every error with one line, and never with a traceback."""
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse

    @api.exception_handler(UserError)
    async def mistake(_: Any, error: Exception) -> JSONResponse:
        code = next((code for kind, code in CODES.items() if isinstance(error, kind)), 422)
        return JSONResponse({"detail": " ".join(str(error).split())}, code)

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Any, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        parts = (f"{'.'.join(map(str, part['loc'][1:]))}: {part['msg']}" for part in error.errors())
        return JSONResponse({"detail": "; ".join(parts)}, 422)

    @api.exception_handler(Exception)
    async def bug(_: Any, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "an unexpected error: the terminal shows it"}, 500)


def _add_inputs(api: Any, viewer: Viewer, turnstile: Turnstile) -> None:
    """Add what says which files are open, and which network."""

    @api.get("/api/run", tags=["run"])
    async def run() -> RunFacts:
        """Return the classes of the network that labels the inputs."""
        return run_facts(viewer)

    @api.get("/api/inputs", tags=["inputs"])
    async def inputs(start: ListStart = 0, count: ListCount = 200) -> InputList:
        """List the opened files: `count` of them, from the one with the number `start` on."""
        named = enumerate(viewer.files[start : start + count], start)
        return InputList(total=len(viewer.files), inputs=[InputName(id=n, name=file.name) for n, file in named])

    @api.get("/api/inputs/{number}", tags=["inputs"])
    async def facts(number: InputNumber) -> InputFacts:
        """Return shape, type, spacing, channels and levels of one file."""

        def describe() -> InputFacts:
            opened = viewer.opened(number)
            found = line_facts(number, opened) if isinstance(opened, OpenedLine) else input_facts(number, opened)
            return found.model_copy(update={"truth": viewer.has_truth(number)})

        return await turnstile.run(describe)

    @api.get("/api/inputs/{number}/value", tags=["inputs"])
    async def value(number: InputNumber, row: Row, column: Column, axis: Axis = 0, index: Index = 0) -> PositionValues:
        """Return the value of every channel at a position of a plane."""

        def read() -> PositionValues:
            picture = viewer.picture(number)
            position = _position(axis, index, row, column, len(picture.shape) - 1)
            values = [one if math.isfinite(one) else None for one in picture.value(position)]
            return PositionValues(position=position, values=values)

        return await turnstile.run(read)


def _add_tiles(api: Any, viewer: Viewer, turnstile: Turnstile) -> None:
    """Add the tiles of the images."""
    from fastapi import Response

    @api.get("/api/inputs/{number}/tiles/{level}/{row}/{column}", tags=["inputs"], **content("image/png"))
    async def tile(
        number: InputNumber, level: Level, row: TileRow, column: TileColumn,
        axis: Axis = 0, index: Index = 0, channels: ShownChannels = None,
    ) -> Response:  # fmt: skip
        """Return a tile of a plane as PNG, its channels added up, each in its color."""

        def make() -> bytes:
            picture = viewer.picture(number)
            plane = Plane(axis, index)
            picture.check(plane)
            shown = picture.shown if channels is None else parse_shown(channels, picture.shape[0])
            return png(draw(picture.tile(plane, level, row, column), shown))

        return bytes_answer(await turnstile.run(make), "image/png")

    @api.get("/api/inputs/{number}/progress", tags=["inputs"])
    async def progress(number: InputNumber, axis: Axis = 0, index: Index = 0) -> float:
        """Return which part of a large plane was read for its coarse levels, while such a tile is being made."""
        return viewer.share(number, Plane(axis, index))


def _add_labels(api: Any, viewer: Viewer, turnstile: Turnstile) -> None:
    """Add the labels: tiles, how far they are, and what is computed next."""
    from fastapi import Request, Response

    @api.get("/api/inputs/{number}/labels", tags=["labels"])
    async def state(number: InputNumber, sequence: SequenceNumber = 0) -> LabelFacts:
        """Return how far the labels of an input are; the first request opens it for the network."""
        labeled, worker = await turnstile.run(viewer.labeled, number, sequence)
        if labeled.state == "new":
            worker.open(labeled)
        return label_facts(labeled, worker)

    @api.post("/api/inputs/{number}/view", tags=["labels"])
    async def view(number: InputNumber, box: ViewBox) -> LabelFacts:
        """Say which part of an input is in view: its labels are computed next, exactly."""
        labeled, worker = await turnstile.run(viewer.labeled, number, box.sequence)
        if labeled.store is not None and not labeled.problem:
            parts = [slice(box.top, max(box.top + 1, box.bottom)), slice(box.left, max(box.left + 1, box.right))]
            if len(labeled.store.size) == 1:
                del parts[0]
            if len(labeled.store.size) == 3:
                parts.insert(box.axis, slice(box.index, box.index + 1))
            worker.look(labeled, tuple(parts))
        return label_facts(labeled, worker)

    @api.post("/api/inputs/{number}/fill", tags=["labels"])
    async def fill(number: InputNumber, on: FillOn = True, sequence: SequenceNumber = 0) -> LabelFacts:
        """Have all labels of an input computed, after what is in view; or, with `on=false`, no longer.

        Of a sequence of a genome the features are found then, too.
        """
        labeled, worker = await turnstile.run(viewer.labeled, number, sequence)
        (worker.fill if on else worker.pause)(labeled)
        return label_facts(labeled, worker)

    @api.get("/api/inputs/{number}/labels/{level}/{row}/{column}", tags=["labels"], **content("image/png"))
    async def tile(
        request: Request, number: InputNumber, level: Level, row: TileRow, column: TileColumn,
        axis: Axis = 0, index: Index = 0, exact: Exact = True, raw: Raw = False,
    ) -> Response:  # fmt: skip
        """Return the labels of a tile: a PNG whose palette has the colors of the classes, or one byte for each pixel.

        The exact labels are computed if they are not known. With `exact=false` what is known is returned at once (254:
        not known), or an empty answer (204) if that is nothing yet. The header `Atrous-Exact` says whether all is.
        """
        labeled, worker = await turnstile.run(viewer.labeled, number)
        cut = (axis, index)
        if exact:
            wish = worker.ask(lambda between: labeled.tile(cut, level, row, column, between))
            values, known = await awaited(wish, request.is_disconnected), True
        elif labeled.store is None:
            return Response(status_code=204)
        else:
            values, known = await turnstile.run(labeled.store.tile, cut, level, row, column)
        return labels_answer(viewer, values, known, raw)


def _add_answers(api: Any, viewer: Viewer, turnstile: Turnstile) -> None:
    """Add what the network is asked right away."""
    from fastapi import Request, Response

    @api.get("/api/inputs/{number}/probability", tags=["labels"])
    async def probability(
        request: Request, number: InputNumber, row: Row, column: Column, axis: Axis = 0, index: Index = 0
    ) -> ProbabilityFacts:
        """Return the label and the probability of every class at a position of the labels, computed exactly."""
        labeled, worker = await turnstile.run(viewer.labeled, number)
        position = _position(axis, index, row, column, labeled.ndim)
        wish = worker.ask(lambda between: labeled.probabilities(position, between))
        found = await awaited(wish, request.is_disconnected)
        if found is None:
            return ProbabilityFacts(position=position, label=IGNORE, name="no data", probabilities=[])
        best = int(np.argmax(found))
        name = viewer.predictor.classes[best] if viewer.predictor is not None else ""
        return ProbabilityFacts(position=position, label=best, name=name, probabilities=found)

    @api.get("/api/inputs/{number}/preview", tags=["labels"], **content("application/octet-stream"))
    async def preview(
        request: Request, number: InputNumber, top: Edge, left: Edge, bottom: Edge, right: Edge
    ) -> Response:
        """Return labels of a part of an image as the network sees it alone and reduced: near the exact ones at best.

        The answer is one byte for each pixel; its height and width are the headers `Atrous-Height`, `Atrous-Width`.
        """
        labeled, worker = await turnstile.run(viewer.labeled, number)
        box = (slice(top, max(top + 1, bottom)), slice(left, max(left + 1, right)))
        wish = worker.ask(lambda between: labeled.preview(box))
        values = await awaited(wish, request.is_disconnected)
        return raw_answer(values, {"Atrous-Height": str(values.shape[0]), "Atrous-Width": str(values.shape[1])})


def _add_files(api: Any, viewer: Viewer, turnstile: Turnstile) -> None:
    """Add the results as files."""
    from fastapi.responses import FileResponse

    def add(suffix: str, media: str) -> None:
        @api.get(f"/api/inputs/{{number}}/labels{suffix}", tags=["labels"], **content(media))
        async def download(number: InputNumber, sequence: SequenceNumber = 0) -> FileResponse:
            """Return all labels of an input as a file, as `atrous predict` writes it, once all are computed."""
            labeled, _ = await turnstile.run(viewer.labeled, number, sequence)
            path = await turnstile.run(labeled.write, suffix)
            return FileResponse(path, media_type=media, filename=labeled.file.label_name(suffix), headers=NO_STORE)

    for suffix, media in FILES.items():
        add(suffix, media)


def _add_page(api: Any) -> None:
    """Add the page, or a line that says how to have it."""
    from fastapi.responses import PlainTextResponse
    from fastapi.staticfiles import StaticFiles

    if (STATIC / "index.html").exists():
        api.mount("/", StaticFiles(directory=STATIC, html=True))
        return

    @api.get("/", include_in_schema=False)
    async def page() -> PlainTextResponse:
        return PlainTextResponse(NO_PAGE)


def _position(axis: int, index: int, row: int, column: int, ndim: int) -> tuple[int, ...]:
    """Return a position of an image or, of a volume, one in the plane across an axis.

    Raises:
        UserError: there is no such axis.
    """
    place = [row, column]
    if axis >= max(1, ndim if ndim == 3 else 1):
        raise NoTile(f"axis {axis}: there is none")
    if ndim == 3:
        place.insert(axis, index)
    return tuple(place)
