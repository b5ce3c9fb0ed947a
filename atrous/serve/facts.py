"""What the API answers, as models that its OpenAPI description shows."""

from pydantic import BaseModel, Field

from atrous.serve.display import Shown
from atrous.serve.labeled import LabeledInput
from atrous.serve.levels import TILE, level_sizes
from atrous.serve.picture import OpenedPicture, Plane
from atrous.serve.store import UNKNOWN
from atrous.serve.viewer import Viewer
from atrous.serve.worker import NetworkWorker


class ChannelFacts(BaseModel):
    """One channel, and how it is shown at first."""

    number: int = Field(description="of the channel, from 0")
    name: str = Field(description="empty where it has none")
    low: float = Field(description="value that is black")
    high: float = Field(description="value that has the full color")
    color: str = Field(description="six hexadecimal digits: RRGGBB")
    shown: bool = Field(description="whether the channel is shown at first")


class PlaneFacts(BaseModel):
    """The planes across one axis: an image has one, a volume or a video has some across each axis."""

    axis: int
    count: int = Field(description="number of planes")
    grid: tuple[int, int] = Field(description="number of rows and columns")
    levels: list[tuple[int, int]] = Field(
        description="height and width of every level, finest first; planes of a volume are as high and wide as in space"
    )
    spacing: tuple[float, float] | None = Field(description="distance of neighboring rows and columns")


class InputName(BaseModel):
    """One opened file in the list."""

    id: int
    name: str = Field(description="path below the opened folder")


class InputList(BaseModel):
    """A part of the list of opened files."""

    total: int
    inputs: list[InputName]


class InputFacts(InputName):
    """One opened file."""

    view: str = Field(default="planes", description="how it is shown: planes, signal or genome")
    shape: tuple[int, ...] = Field(description="channels, then the spatial axes")
    dtype: str
    kind: str = Field(description="rgb, gray, array, volume, video, map and others")
    spacing: tuple[float, ...] | None = Field(description="distance of neighboring positions along each spatial axis")
    unit: str | None = Field(description="of the spacing")
    axes: str | None = Field(description="letters of the spatial axes, where the file says them")
    channels: list[ChannelFacts]
    planes: list[PlaneFacts]
    tile: int = Field(description="height and width of a tile")
    sequences: int = Field(
        default=0, description="of a genome, the number of its sequences; 1 of a signal, 0 of others"
    )
    annotated: bool = Field(default=False, description="whether annotated features lie beside a genome")
    truth: bool = Field(
        default=False, description="whether its true labels are known: it is a listed sample of the evaluation"
    )


class ClassFacts(BaseModel):
    """One class."""

    number: int
    name: str
    color: str = Field(description="six hexadecimal digits: RRGGBB")


class RunFacts(BaseModel):
    """The network that labels the inputs; without one, the list of classes is empty."""

    name: str | None = Field(description="of the run's folder")
    classes: list[ClassFacts]
    void: int = Field(description="label of positions without data")
    unknown: int = Field(description="stands in tiles for labels that are not computed yet")
    version: int = Field(
        default=0, description="grows when another network takes its place: then all labels are outdated"
    )


class PositionValues(BaseModel):
    """The values of one position."""

    position: tuple[int, ...]
    values: list[float | None] = Field(description="one for each channel; null for NaN and infinite values")


class ProbabilityFacts(BaseModel):
    """What the network says of one position."""

    position: tuple[int, ...] = Field(description="on the grid of the labels")
    label: int = Field(description="number of the class, 255 where the input has no data")
    name: str
    probabilities: list[float] = Field(description="one for each class; empty where the input has no data")


class LabelFacts(BaseModel):
    """How far the labels of an input are."""

    state: str = Field(description="new, opening, reading (the network reads the whole input once) or ready")
    problem: str = Field(description="why there are no labels; empty if nothing is wrong")
    size: tuple[int, ...] | None = Field(description="of the labels; that of the input, or of a level of a slide")
    planes: list[list[tuple[int, int]]] = Field(
        description="height and width of every level of the planes across each axis; of an image, of one"
    )
    whole: bool = Field(description="whether the network takes the input in one piece: all labels come at once")
    known: float = Field(description="part of the labels that are computed, 0 to 1")
    complete: bool = Field(description="whether nothing is left to compute; of a genome, also its features are found")
    read: float = Field(description="part of the input that a network with barriers has read, 0 to 1")
    filling: bool = Field(description="whether the rest is being computed")
    version: int = Field(description="grows with every change of the labels")


class ViewBox(BaseModel):
    """A part of a plane, in positions of the labels; of a signal or a sequence, `left` to `right`."""

    sequence: int = Field(0, ge=0, le=2**31, description="of a genome, the number of the sequence")
    axis: int = Field(0, ge=0, le=2)
    index: int = Field(0, ge=0, le=2**31)
    top: int = Field(ge=-(2**31), le=2**31)
    left: int = Field(ge=-(2**52), le=2**52)
    bottom: int = Field(ge=-(2**31), le=2**31)
    right: int = Field(ge=-(2**52), le=2**52)


def hexadecimal(color: tuple[int, int, int]) -> str:
    """Return a color as six digits.

    >>> hexadecimal((255, 0, 16))
    'ff0010'
    """
    return bytes(color).hex()


def input_facts(number: int, picture: OpenedPicture) -> InputFacts:
    """Return the facts of an opened file."""
    header, size = picture.header, picture.shape[1:]
    planes = [
        PlaneFacts(
            axis=axis,
            count=1 if len(size) == 2 else size[axis],
            grid=picture.grid(Plane(axis)),
            levels=level_sizes(picture.size(Plane(axis))),
            spacing=picture.spacing(Plane(axis)),
        )
        for axis in picture.axes
    ]
    color = header.kind.startswith(("rgb", "palette", "cmyk")) and picture.shape[0] == 3
    named = ("Red", "Green", "Blue") if color else ("",) * picture.shape[0]
    names = header.names if len(header.names) == picture.shape[0] else named
    first = 3 if color or len(picture.shown) <= 3 else 1
    channels = [_channel(shown, names[shown.channel], shown.channel < first) for shown in picture.shown]
    if first == 1:
        channels[0].color = "ffffff"
    return InputFacts(
        id=number,
        name=picture.file.name,
        shape=picture.shape,
        dtype=header.dtype,
        kind=header.kind,
        spacing=header.spacing,
        unit=header.unit or ("mm" if header.affine is not None and header.spacing is not None else None),
        axes=header.axes,
        channels=channels,
        planes=planes,
        tile=TILE,
    )


def _channel(shown: Shown, name: str, is_shown: bool) -> ChannelFacts:
    color = hexadecimal(shown.color)
    return ChannelFacts(number=shown.channel, name=name, low=shown.low, high=shown.high, color=color, shown=is_shown)


def run_facts(viewer: Viewer) -> RunFacts:
    """Return the facts of the network."""
    predictor = viewer.predictor
    if predictor is None:
        return RunFacts(name=None, classes=[], void=255, unknown=UNKNOWN)
    classes = [
        ClassFacts(number=number, name=name, color=hexadecimal(color))
        for number, (name, color) in enumerate(zip(predictor.classes, predictor.palette, strict=True))
    ]
    name, version = predictor.run.folder.resolve().name, viewer.networks
    return RunFacts(name=name, classes=classes, void=255, unknown=UNKNOWN, version=version)


def label_facts(labeled: LabeledInput, worker: NetworkWorker) -> LabelFacts:
    """Return how far the labels of an input are."""
    store = labeled.store
    return LabelFacts(
        state=labeled.state,
        problem=labeled.problem,
        size=None if store is None else store.size,
        planes=[] if store is None else [level_sizes(size) for size in planes_of(store.size)],
        whole=labeled.whole,
        known=0.0 if store is None else store.share,
        complete=labeled.complete,
        read=labeled.read,
        filling=worker.fills(labeled),
        version=0 if store is None else store.version,
    )


def planes_of(size: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return height and width of the planes across each axis; of an image, its own; of a signal, none.

    >>> planes_of((2, 3, 4)), planes_of((5,))
    ([(3, 4), (2, 4), (2, 3)], [])
    """
    if len(size) < 3:
        return [size] if len(size) == 2 else []
    return [(*size[:axis], *size[axis + 1 :]) for axis in range(len(size))]
