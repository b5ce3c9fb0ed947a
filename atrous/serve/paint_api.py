"""The HTTP API of painting and live training: routes that pass requests on."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from atrous.labels import IGNORE
from atrous.serve.answers import content, raw_answer
from atrous.serve.facts import hexadecimal
from atrous.serve.levels import level_sizes
from atrous.serve.paint_folder import PaintClass
from atrous.serve.paint_image import PaintedImage
from atrous.serve.paint_place import PaintPlace
from atrous.serve.paint_session import PaintSession
from atrous.serve.paint_strokes import MOST_POINTS, Box, Stroke
from atrous.serve.parameters import Axis, Edge, FillOn, Index, InputNumber, Level, TileColumn, TileRow
from atrous.serve.turnstile import Turnstile, awaited

Place = Annotated[float, Field(ge=-(2.0**31), le=2.0**31, allow_inf_nan=False)]
PlaceCount = Annotated[int, Field(ge=1, le=50, description="how many places are given at most")]
Color = Annotated[str, Field(pattern="^[0-9a-fA-F]{6}$")]


class PaintClassFacts(BaseModel):
    """One class to paint with."""

    name: str = Field(min_length=1, max_length=80)
    color: Color = Field(description="six hexadecimal digits: RRGGBB")


class PaintClassList(BaseModel):
    """The classes in the order of their labels."""

    classes: list[PaintClassFacts] = Field(min_length=1, max_length=254)


class PaintFacts(BaseModel):
    """The painted data set."""

    open: bool = Field(description="whether there is one")
    can_begin: bool = Field(default=False, description="whether `begin` may begin one")
    folder: str = Field(default="", description="its folder")
    classes: list[PaintClassFacts] = []
    counts: list[int] = Field(default=[], description="painted positions of each class, in all images")


class PaintedImageFacts(BaseModel):
    """The mask of one image."""

    revision: int = Field(description="grows with every stroke")
    size: tuple[int, ...] = Field(description="of the mask, which is that of the image")
    planes: list[list[tuple[int, int]]] = Field(description="height and width of every level, by axis")
    counts: list[int] = Field(description="painted positions of each class in this image")
    can_undo: bool
    can_redo: bool


class ViewWindow(BaseModel):
    """A part of a plane, in pixels."""

    top: Edge
    left: Edge
    bottom: Edge
    right: Edge

    def box(self) -> Box:
        """Return rows and columns."""
        return slice(self.top, max(self.top + 1, self.bottom)), slice(self.left, max(self.left + 1, self.right))


class StrokeBody(BaseModel):
    """What was drawn."""

    kind: Literal["brush", "polygon", "box", "fill"]
    label: int | None = Field(ge=0, le=253, description="number of the class; null erases")
    points: list[tuple[Place, Place]] = Field(
        min_length=1, max_length=MOST_POINTS, description="rows and columns in pixels; pixel 0 spans 0 to 1"
    )
    radius: float = Field(default=1.0, ge=0, le=1024, allow_inf_nan=False, description="of the brush, in pixels")
    axis: int = Field(default=0, ge=0, le=2)
    index: Index = 0
    view: ViewWindow | None = Field(default=None, description="a fill stays in it")


class TrainingFacts(BaseModel):
    """How far the training is."""

    state: Literal["off", "starting", "training", "stopping"]
    problem: str = Field(description="why it stopped by itself; empty if nothing is wrong")
    version: int = Field(description="grows when other weights label the view")
    step: int
    seconds: float
    samples: dict[str, int] = Field(description="parts of images that are learned from, and that have held-out pieces")
    loss: list[tuple[float, float]] = Field(description="seconds and mean loss of batches")
    held_out_loss: list[tuple[float, float]] = Field(
        description="seconds and loss on held-out pieces of strokes; without any, on all"
    )
    accuracy: list[tuple[float, float]] = Field(description="seconds and share of positions of these labeled right")


class UncertainPlace(BaseModel):
    """A place at which the network doubts."""

    row: float
    column: float
    uncertainty: float = Field(description="mean entropy of the calibrated probabilities there, 0 to 1")


class FolderName(BaseModel):
    """What the folder is called in which is painted."""

    name: str = Field(min_length=1, max_length=80)


class RunName(BaseModel):
    """What a saved run is called."""

    name: str = Field(min_length=1, max_length=80)


class SavedRun(BaseModel):
    """A saved run."""

    folder: str


def add_painting(api: Any, place: PaintPlace, turnstile: Turnstile) -> None:
    """Add the routes of painting.

    Args:
        api: the FastAPI application.
        place: where is painted.
        turnstile: runs what reads and writes masks.
    """

    @api.get("/api/paint", tags=["paint"])
    async def painted() -> PaintFacts:
        """Return the classes, and how much is painted of each."""
        if place.begun is None:
            return PaintFacts(open=False, can_begin=place.can_begin)
        return await turnstile.run(_facts, place.begun)

    @api.post("/api/paint/begin", tags=["paint"])
    async def begin(body: FolderName) -> PaintFacts:
        """Begin to paint into a folder of the opened one, where the server was started without `--paint`."""
        return await turnstile.run(lambda: _facts(place.begin(body.name)))

    @api.put("/api/paint/classes", tags=["paint"])
    async def name_classes(body: PaintClassList) -> PaintFacts:
        """Name the classes; the label of a class is its place in the list. The first call makes the data set."""
        classes = [PaintClass(one.name, _rgb(one.color)) for one in body.classes]
        await turnstile.run(lambda: place.session.set_classes(classes))
        return await turnstile.run(lambda: _facts(place.session))

    _add_strokes(api, place, turnstile)
    _add_training(api, place, turnstile)


def _add_strokes(api: Any, place: PaintPlace, turnstile: Turnstile) -> None:
    from fastapi import Response

    @api.get("/api/paint/inputs/{number}", tags=["paint"])
    async def mask(number: InputNumber) -> PaintedImageFacts:
        """Return how much is painted on an image."""
        return await turnstile.run(lambda: _image_facts(place.session, place.session.image(number)))

    @api.post("/api/paint/inputs/{number}/strokes", tags=["paint"])
    async def stroke(number: InputNumber, body: StrokeBody) -> PaintedImageFacts:
        """Draw a stroke. It is in the mask on the disk before the answer comes."""
        drawn = Stroke(body.kind, body.points, body.radius)
        label, view = IGNORE if body.label is None else body.label, None if body.view is None else body.view.box()
        cut = (body.axis, body.index)
        return await turnstile.run(
            lambda: _image_facts(place.session, place.session.paint(number, cut, drawn, label, view))
        )

    @api.post("/api/paint/inputs/{number}/undo", tags=["paint"])
    async def undo(number: InputNumber) -> PaintedImageFacts:
        """Take the last stroke on an image back."""
        return await turnstile.run(lambda: _image_facts(place.session, place.session.step_back(number, again=False)))

    @api.post("/api/paint/inputs/{number}/redo", tags=["paint"])
    async def redo(number: InputNumber) -> PaintedImageFacts:
        """Draw the stroke again that was undone last."""
        return await turnstile.run(lambda: _image_facts(place.session, place.session.step_back(number, again=True)))

    @api.get(
        "/api/paint/inputs/{number}/mask/{level}/{row}/{column}", tags=["paint"], **content("application/octet-stream")
    )
    async def tile(
        number: InputNumber, level: Level, row: TileRow, column: TileColumn, axis: Axis = 0, index: Index = 0
    ) -> Response:
        """Return what is painted in a tile, one byte for each pixel: the class, or 255. Level 0 is the finest.

        The header `Atrous-Revision` says after how many changes.
        """

        def read() -> Any:
            image = place.session.image(number)
            revision = image.revision
            return image.tile((axis, index), level, row, column), revision

        values, revision = await turnstile.run(read)
        return raw_answer(values, {"Atrous-Revision": str(revision)})


def _add_training(api: Any, place: PaintPlace, turnstile: Turnstile) -> None:
    from fastapi import Request

    @api.get("/api/paint/training", tags=["paint"])
    async def training() -> TrainingFacts:
        """Return how far the training is, and its curves."""
        return _training_facts(place.session)

    @api.post("/api/paint/training", tags=["paint"])
    async def train(on: FillOn = True) -> TrainingFacts:
        """Start the training on what is painted, or with `on=false` stop it."""
        await turnstile.run(place.session.train, on)
        return _training_facts(place.session)

    @api.get("/api/paint/inputs/{number}/where", tags=["paint"])
    async def where(
        request: Request, number: InputNumber, top: Edge = 0, left: Edge = 0, bottom: Edge = 0, right: Edge = 0,
        count: PlaceCount = 5,
    ) -> list[UncertainPlace]:  # fmt: skip
        """Return where to paint next: at which places the network doubts most, in the whole image or in a view."""
        view = None
        if bottom > top and right > left:
            image = await turnstile.run(place.session.image, number)
            height, width = image.size[-2:]
            view = slice(min(top, height - 1), min(bottom, height)), slice(min(left, width - 1), min(right, width))
        wish = await turnstile.run(place.session.where, number, view, count)
        found = await awaited(wish, request.is_disconnected)
        return [UncertainPlace(row=row, column=column, uncertainty=doubt) for row, column, doubt in found]

    @api.post("/api/paint/save", tags=["paint"])
    async def save(body: RunName) -> SavedRun:
        """Save the network in training as a run in the folder `runs` of the server's current folder."""
        return SavedRun(folder=str(await turnstile.run(place.session.save, body.name)))


def _facts(session: PaintSession) -> PaintFacts:
    classes = session.folder.classes
    return PaintFacts(
        open=True,
        folder=session.folder.root.resolve().name,
        classes=[PaintClassFacts(name=one.name, color=hexadecimal(one.color)) for one in classes],
        counts=session.folder.counts()[: len(classes)].tolist(),
    )


def _image_facts(session: PaintSession, image: PaintedImage) -> PaintedImageFacts:
    size = image.size
    planes = [size] if len(size) == 2 else [(*size[:axis], *size[axis + 1 :]) for axis in range(len(size))]
    return PaintedImageFacts(
        revision=image.revision,
        size=size,
        planes=[level_sizes(plane) for plane in planes],
        counts=image.counts[: len(session.folder.classes)].tolist(),
        can_undo=image.can_undo,
        can_redo=image.can_redo,
    )


def _training_facts(session: PaintSession) -> TrainingFacts:
    trainer = session.trainer
    return TrainingFacts(
        state=trainer.state,  # type: ignore[arg-type]
        problem=trainer.problem,
        version=session.viewer.networks,
        step=trainer.step,
        seconds=trainer.seconds,
        samples=trainer.samples,
        loss=list(trainer.loss.points),
        held_out_loss=list(trainer.held_out_loss.points),
        accuracy=list(trainer.accuracy.points),
    )


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color)
    return red, green, blue
