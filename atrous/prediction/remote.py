"""Labels of inputs at URLs, and labels that go to a URL: zarr arrays in object stores, written in whole shards.

The labels are cut into units as on a cluster, and computed by its workers or one after the other by this process. Which
units are done is recorded in the folder of the array, so that the same command goes on. An array whose attribute
`complete` is true is left as it is.

Several jobs may compute the units of one input without a cluster: job 3 of 64 every 64th from the third on. They share
the record. One more job looks whether all are done, and says that the array is complete.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from atrous.data.formats import FileFault, stem
from atrous.data.formats.remote import open_remote, reading, remote_store, shown
from atrous.data.formats.table import is_url, local_path
from atrous.data.pages import turn_source
from atrous.data.preprocess import to_channels
from atrous.data.void import voided
from atrous.device import check_device
from atrous.errors import UserError
from atrous.prediction.inputs import Opened, prepared
from atrous.prediction.intervals import CutLabels
from atrous.prediction.jobs import Written
from atrous.prediction.predictor import Predictor
from atrous.prediction.regions import options
from atrous.prediction.shares import Share, require_no_barriers
from atrous.stream.cluster import gathered
from atrous.stream.dispatch import Cluster, Dispatch, Dispatcher, Here
from atrous.stream.here import run_here
from atrous.stream.portable import PartSink, write_chunks
from atrous.stream.unit_record import State, UnitRecord
from atrous.stream.units import Units, cut_units
from atrous.stream.worker import UnitWork, gather_unit, layout, require_alike
from atrous.tasks.custom import least_lengths

CHUNKS = {1: 2**18, 2: 512, 3: 64}
"""The longest side of a chunk of labels, by the number of axes."""
SHARD = 4
"""Chunks along each side of a shard, which is one object in a store, where the labels are larger than that."""


def open_entry(predictor: Predictor, entry: str) -> Opened:
    """Open an input by its path or URL, as the network reads it.

    Raises:
        UserError: it cannot be read, or does not fit the network.
    """
    if not is_url(entry):
        return predictor.open(Path(local_path(entry)))
    expected, ndim = predictor.expected, predictor.run.recipe.model.ndim
    if expected.images > 1:
        raise UserError(
            f"{shown(entry)}: a network of change reads two images, which are not read from URLs: copy them"
        )
    source, header = open_remote(entry)
    count = expected.of_file.count or source.shape[0]
    if (len(source.shape), source.shape[0]) != (ndim + 1, count):
        source = turn_source(source, ndim, count)
    if len(source.shape) != ndim + 1:
        what = f"shape {tuple(source.shape)}, but the network reads (channels, {ndim} axes)"
        raise FileFault(shown(entry), what, "give an input with as many axes")
    source = to_channels(source, expected.of_file, Path(shown(entry)), ())
    preparation = expected.preparation(predictor.preparation, header.spacing)
    opened = prepared(expected.composed(source), preparation, header.spacing)
    return replace(opened, differences=tuple(expected.differences(source, header.spacing, predictor.preparation)))


def open_labels_at(place: str, size: tuple[int, ...], classes: Sequence[str]) -> Any:
    """Open the zarr array for labels `(*S)` at a path or URL, or create it, in shards of several chunks.

    Raises:
        UserError: there is an array of another shape or origin, or the place cannot be written.
    """
    import zarr
    from zarr.errors import ContainsArrayError

    store = remote_store(place, read_only=False) if is_url(place) else place
    side = CHUNKS[len(size)]
    chunks = tuple(min(side, n) for n in size)
    shards = tuple(SHARD * c if n > c else c for n, c in zip(size, chunks, strict=True))

    def opened() -> Any:
        try:
            return zarr.open_array(store, mode="r+")
        except FileNotFoundError:
            attributes = {"classes": list(classes), "complete": False}
            with suppress(ContainsArrayError):  # another job was faster
                return zarr.create_array(
                    store, shape=size, chunks=chunks, shards=shards, dtype="uint8", attributes=attributes
                )
            return zarr.open_array(store, mode="r+")

    array = reading(place, opened)
    if array.shape != size or array.dtype != np.uint8:
        raise UserError(f"{shown(place)}: there is an array of shape {array.shape}, not labels {size}: give another -o")
    if "complete" not in array.attrs:  # what is created here has it: this may be an image, or corrected by hand
        raise UserError(f"{shown(place)}: there is an array that this command has not begun: give another -o")
    return array


@dataclass
class RemoteWork(UnitWork):
    """A trained network on one input at a path or URL, whose labels go into a zarr array.

    Attributes:
        predictor: the network, as it was loaded.
        entry: the input.
        place: of the labels.
        units: how they are cut.
        signed: `layout` of the graph that the client exported.
        device: where to compute.
    """

    predictor: Predictor
    entry: str
    place: str
    units: Units
    signed: str
    device: str

    @cached_property
    def ends(self) -> tuple[Predictor, Opened, Any]:
        """The network, the input and the labels, opened once in this process."""
        predictor = self.predictor
        if self.device != predictor.device:
            check_device(self.device)
            predictor = replace(predictor, network=predictor.network.to(self.device), device=self.device)
        opened = open_entry(predictor, self.entry)
        require_alike(predictor.prepared(_shape(opened)).graph, self.signed)
        return predictor, opened, open_labels_at(self.place, _shape(opened)[1:], predictor.classes)

    def compute(self, unit: int, known: dict[int, Tensor]) -> None:
        """See `UnitWork.compute`: the labels are written."""
        predictor, opened, labels = self.ends
        region = self.units.region(unit)
        part = PartSink(voided(labels, opened.valid), region)
        asked = replace(
            options(predictor, predictor.task.decode), region=region, barriers=known or None, axis=self.units.along
        )
        ready = predictor.prepared(_shape(opened))
        reading(self.place, lambda: run_here(ready, predictor.standardized(opened.source), part, asked))
        part.settle()

    def gather(self, phase: int, unit: int, known: dict[int, Tensor]) -> State:
        """See `UnitWork.gather`."""
        predictor, opened, _ = self.ends
        source, ready = predictor.standardized(opened.source), predictor.prepared(_shape(opened))
        return gather_unit(ready, self.units, (phase, unit), known, source, options(predictor))


@dataclass(frozen=True)
class Computing:
    """Who computes the units of an input: this process all of them, where nothing else is said.

    Attributes:
        cluster: whose workers compute.
        share: which of them this job computes, of several jobs.
        join: nothing is computed; the labels are complete if all units are done.
    """

    cluster: Cluster | None = None
    share: Share | None = None
    join: bool = False

    def of(self, count: int) -> list[int]:
        """Return the numbers of the units to compute here, of so many."""
        return [] if self.join else list(range(count)) if self.share is None else self.share.of(count)


def predict_remote(
    predictor: Predictor,
    entries: Sequence[str],
    out: str,
    by: Computing = Computing(),
    progress: Callable[[float], None] = lambda done: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Written:
    """Label inputs at paths and URLs; the labels of `a/b.tif` go to the zarr array `b.zarr` in `out`.

    An input that fails does not stop the others.

    Args:
        predictor: a network that gives labels.
        entries: files, or URLs of zarr, OME-Zarr and TIFF.
        out: a folder, or a URL of one.
        by: who computes.
        progress: called with the number of finished inputs, parts of one included.
        tell: called with how each input is cut, and with what is unlike the training data.

    Raises:
        UserError: two inputs have the same name, or labels would be written over an input.
    """
    places = [f"{local_path(out).rstrip('/')}/{stem(Path(shown_name(entry)))}.zarr" for entry in entries]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise UserError(f"{shown(twice)}: two inputs would be written there: give them one by one")
    inputs = {_where(entry) for entry in entries}
    over = next((place for place in places if _where(place) in inputs), None)
    if over is not None:
        raise UserError(
            f"{shown(over) if is_url(over) else over}: labels would be written over an input: give another -o"
        )
    written: list[Any] = []
    skipped: list[Any] = []
    failed: list[tuple[Any, str]] = []
    for number, (entry, place) in enumerate(zip(entries, places, strict=True)):
        result: Any = shown(place) if is_url(place) else Path(place)
        try:
            done = _predict_one(predictor, entry, place, by, lambda share, n=number: progress(n + share), tell)
            (written if done else skipped).append(result)
        except UserError as error:
            failed.append((shown(entry) if is_url(entry) else Path(entry), str(error)))
        progress(number + 1)
    return Written(tuple(written), tuple(skipped), tuple(failed))


def _where(entry: str) -> str:
    """A path or URL in the form by which two of the same place are equal."""
    return shown(entry).rstrip("/") if is_url(entry) else str(Path(local_path(entry)).resolve())


def shown_name(entry: str) -> str:
    """Return the last part of a path or URL.

    >>> shown_name("s3://bucket/a.zarr/?versionId=3"), shown_name("scans/b.tif")
    ('a.zarr', 'b.tif')
    """
    text = shown(entry) if is_url(entry) else local_path(entry)
    return text.rstrip("/").rpartition("/")[2]


def _predict_one(
    predictor: Predictor,
    entry: str,
    place: str,
    by: Computing,
    progress: Callable[[float], None],
    tell: Callable[[str], None],
) -> bool:
    """Label one input; return False if nothing was left to do here."""
    opened = open_entry(predictor, entry)
    name, shape = (shown(entry) if is_url(entry) else entry), _shape(opened)
    if opened.regridded:
        fix = "copy it to this machine, and give a folder with -o"
        raise UserError(f"{name}: the network works on another grid than that of the file: {fix}")
    if least_lengths(predictor.task) and not predictor.whole(shape):
        what = "its labels follow from all of it (task.shortest), so they are not computed in units at URLs"
        raise UserError(f"{name}: {what}: copy it to this machine, and give a folder with -o")
    for difference in opened.differences:
        tell(f"{name}: {difference}")
    array = open_labels_at(place, shape[1:], predictor.classes)
    if array.attrs.get("complete"):
        return False
    if not predictor.whole(shape):
        return _compute(predictor, (entry, place), array, shape, by, progress, tell)
    if by.join:
        raise UserError(f"{name}: is not labelled yet: run the jobs with --part that have not finished")
    if by.of(1):
        labels = np.empty(shape[1:], np.uint8)
        predictor.write(opened.source, voided(CutLabels(labels, opened), opened.valid))
        reading(place, lambda: array.__setitem__(..., labels))
        array.attrs["complete"] = True
    return bool(by.of(1))


def _compute(
    predictor: Predictor,
    ends: tuple[str, str],
    array: Any,
    shape: tuple[int, ...],
    by: Computing,
    progress: Callable[[float], None],
    tell: Callable[[str], None],
) -> bool:
    """Compute the labels of one input in units, those that are missing; return False if none was, of this job."""
    (entry, place), ready, cluster = ends, predictor.prepared(shape), by.cluster
    if by.share is not None:
        require_no_barriers(ready)
    units = cut_units(ready, chunks=write_chunks(array, len(shape) - 1))
    tell(f"{shown_name(entry)}: {units.text(np.dtype(np.float32).itemsize)}")
    facts = (replace(predictor, memory=None).identity(), shown(entry), shape, units.sides)
    record = UnitRecord.beside(array, len(units), sha256(repr(facts).encode()).hexdigest())
    device = predictor.device if cluster is None else cluster.device or predictor.device
    sent = predictor if cluster is None else replace(predictor)  # what was exported here is not sent
    work = RemoteWork(sent, entry, place, units, layout(ready.graph), device)
    missing, steps = [unit for unit in by.of(len(units)) if unit not in record.done], len(units.passes)
    if by.share is not None:
        job, mine = f"job {by.share.number} of {by.share.count}", len(by.of(len(units)))
        tell(f"{job} has {mine} units, {len(missing)} of them to be computed")
    elif record.done:
        tell(f"{len(record.done)} of {len(units)} units are done already")
    with _dispatcher(cluster, work, units) as dispatcher:
        known = {}
        if missing:
            known = gathered(dispatcher, ready, predictor.dtype, record, lambda share: progress(share / steps))
        for done, outcome in enumerate(dispatcher.outcomes(None, missing, known)):
            record.mark(outcome.unit)
            progress((steps - 1 + (done + 1) / len(missing)) / steps)
    if by.share is not None:
        return bool(missing)
    if by.join and (left := [unit for unit in range(len(units)) if unit not in record.done]):
        raise UserError(
            f"{shown_name(entry)}: {len(left)} of {len(units)} units are missing, the first is number {left[0] + 1}: "
            "run the jobs with --part that have not finished, then --join again"
        )
    array.attrs["complete"] = True
    record.remove()
    return True


@contextmanager
def _dispatcher(cluster: Cluster | None, work: UnitWork, units: Units) -> Iterator[Dispatcher]:
    if cluster is None:
        yield Here(work, units)
        return
    with Dispatch(cluster, work, units) as dispatch:
        yield dispatch


def _shape(opened: Opened) -> tuple[int, ...]:
    return tuple(int(n) for n in opened.source.shape)
