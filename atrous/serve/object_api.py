"""The HTTP API of single objects: count, choose, merge, split, delete, outline, undo."""

import gzip
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from atrous.serve.answers import bytes_answer, content
from atrous.serve.levels import level_sizes
from atrous.serve.object_image import ObjectImage
from atrous.serve.object_session import ObjectSession
from atrous.serve.paint_api import Place
from atrous.serve.paint_strokes import MOST_POINTS
from atrous.serve.parameters import Column, InputNumber, Level, Row, TileColumn, TileRow
from atrous.serve.turnstile import Turnstile, awaited


class ObjectsFacts(BaseModel):
    """The data set of objects."""

    open: bool = Field(description="whether the server was started with --objects")
    folder: str = Field(default="", description="its folder")
    finds: bool = Field(default=False, description="whether there is a network that finds objects")


class ObjectImageFacts(BaseModel):
    """The objects of one image."""

    revision: int = Field(description="grows with every change")
    count: int = Field(description="number of objects")
    levels: list[tuple[int, int]] = Field(description="height and width of every level")
    saved: str = Field(description="the label image in the data set; empty before the first change")
    can_undo: bool
    can_redo: bool


class ObjectFacts(BaseModel):
    """What is at a place."""

    number: int = Field(description="of the object; 0 for none")
    area: int = Field(description="its pixels")


class EditBody(BaseModel):
    """One change."""

    kind: Literal["merge", "split", "delete", "outline"]
    points: Annotated[
        list[tuple[Place, Place]],
        Field(
            min_length=1,
            max_length=MOST_POINTS,
            description="rows and columns: one in each object to merge or delete; a line that splits; corners",
        ),
    ]


def add_objects(api: Any, session: ObjectSession | None, turnstile: Turnstile) -> None:
    """Add the routes of objects.

    Args:
        api: the FastAPI application.
        session: what is corrected; None where the server was started without `--objects`.
        turnstile: runs what reads and writes label images.
    """

    @api.get("/api/objects", tags=["objects"])
    async def objects() -> ObjectsFacts:
        """Return which data set of objects is open."""
        if session is None:
            return ObjectsFacts(open=False)
        folder = session.folder.root.resolve().name
        return ObjectsFacts(open=True, folder=folder, finds=session.predictor is not None)

    if session is not None:
        _add_looks(api, session, turnstile)
        _add_changes(api, session, turnstile)


def _add_looks(api: Any, session: ObjectSession, turnstile: Turnstile) -> None:
    from fastapi import Response

    @api.get("/api/objects/inputs/{number}", tags=["objects"])
    async def facts(number: InputNumber) -> ObjectImageFacts:
        """Return how many objects an image has."""
        return await turnstile.run(lambda: _facts(session.image(number)))

    @api.get("/api/objects/inputs/{number}/number", tags=["objects"])
    async def which(number: InputNumber, row: Row, column: Column) -> ObjectFacts:
        """Return which object is at a place, and its area."""

        def read() -> ObjectFacts:
            found, area = session.image(number).number((row, column))
            return ObjectFacts(number=found, area=area)

        return await turnstile.run(read)

    @api.get(
        "/api/objects/inputs/{number}/tiles/{level}/{row}/{column}", tags=["objects"],
        **content("application/octet-stream"),
    )  # fmt: skip
    async def tile(number: InputNumber, level: Level, row: TileRow, column: TileColumn) -> Response:
        """Return the numbers of the objects in a tile, four bytes for each pixel, the lowest first.

        The header `Atrous-Revision` says after how many changes.
        """

        def read() -> tuple[bytes, int]:
            image = session.image(number)
            revision = image.revision
            return gzip.compress(image.tile(level, row, column).astype("<u4", order="C").tobytes(), 1), revision

        numbers, revision = await turnstile.run(read)
        headers = {"Content-Encoding": "gzip", "Atrous-Revision": str(revision)}
        return bytes_answer(numbers, "application/octet-stream", headers)


def _add_changes(api: Any, session: ObjectSession, turnstile: Turnstile) -> None:
    from fastapi import Request

    @api.post("/api/objects/inputs/{number}/edits", tags=["objects"])
    async def edit(number: InputNumber, body: EditBody) -> ObjectImageFacts:
        """Merge, split, delete or outline objects. The label image is on the disk before the answer comes."""

        def change() -> ObjectImageFacts:
            image = session.image(number)
            image.edit(body.kind, body.points)
            return _facts(image)

        return await turnstile.run(change)

    @api.post("/api/objects/inputs/{number}/find", tags=["objects"])
    async def find(request: Request, number: InputNumber) -> ObjectImageFacts:
        """Find the objects of an image with the network; they take the place of those before (see `undo`)."""
        wish = await turnstile.run(session.find, number)
        await awaited(wish, request.is_disconnected)
        return await turnstile.run(lambda: _facts(session.image(number)))

    def add(path: str, said: str, step: Any) -> None:
        @api.post(f"/api/objects/inputs/{{number}}/{path}", tags=["objects"], description=said)
        async def back(number: InputNumber) -> ObjectImageFacts:
            def change() -> ObjectImageFacts:
                image = session.image(number)
                step(image)
                return _facts(image)

            return await turnstile.run(change)

    add("undo", "Take the last change of an image back.", ObjectImage.undo)
    add("redo", "Make the change again that was undone last.", ObjectImage.redo)


def _facts(image: ObjectImage) -> ObjectImageFacts:
    saved = f"{image.path.parent.name}/{image.path.name}" if image.saved else ""
    return ObjectImageFacts(
        revision=image.revision,
        count=image.count,
        levels=[(int(height), int(width)) for height, width in level_sizes(image.size)],
        saved=saved,
        can_undo=image.can_undo,
        can_redo=image.can_redo,
    )
