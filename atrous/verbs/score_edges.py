"""The score-edges verb: edge maps of any detector, compared with what annotators marked."""

import csv
import io
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from atrous.data.edge_files import find_annotations, find_strengths, read_annotators, read_strength
from atrous.data.formats import image_shape
from atrous.errors import UserError
from atrous.files import write_text
from atrous.tasks.edge_matching import TooManyPairs
from atrous.tasks.edge_metrics import (
    MAX_DISTANCE,
    THRESHOLDS,
    EdgeCounts,
    EdgeMetrics,
    EdgeScores,
    count_edges,
    edge_thresholds,
)
from atrous.tasks.thinning import suppress


@dataclass(frozen=True)
class EdgeOptions:
    """How edge maps are compared with annotations; the defaults are those of the benchmark of BSDS500.

    Attributes:
        thresholds: how many, evenly spread between 0 and 1.
        max_distance: largest distance of matched pixels, as a share of the image's diagonal.
        thin: whether edges are thinned at each threshold.
        nms: whether strengths are suppressed beside their maxima first: for the raw maps of a network.
        segmentation: whether images of the ground truth are segmentations, of which boundaries are made.
    """

    thresholds: int = THRESHOLDS
    max_distance: float = MAX_DISTANCE
    thin: bool = True
    nms: bool = False
    segmentation: bool = False

    def require_valid(self) -> None:
        """Raise `UserError` if a number is out of range."""
        if not 1 <= self.thresholds <= 10_000:
            raise UserError(f"--thresholds {self.thresholds}: give a number from 1 to 10000")
        if not (math.isfinite(self.max_distance) and 0 <= self.max_distance < 1):
            raise UserError(f"--max-distance {self.max_distance}: give a share of the diagonal, such as {MAX_DISTANCE}")


@dataclass(frozen=True)
class EdgeScored:
    """The metrics of edge maps.

    Attributes:
        scores: the metrics.
        note: what to know about the files that were compared, in one sentence; empty if there is nothing.
    """

    scores: EdgeScores
    note: str = ""


@dataclass(frozen=True)
class _EdgePair:
    """The result and the ground truth of one image, and how they are compared."""

    name: str
    result: Path
    truth: Path
    options: EdgeOptions


def score_edges(
    results: Path | str,
    ground_truth: Path | str,
    options: EdgeOptions | None = None,
    *,
    workers: int = 1,
    out: Path | str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> EdgeScored:
    """Compare edge maps with annotations as the benchmark of BSDS500 does: ODS, OIS and AP.

    Args:
        results: folder of edge strengths: images of 8 or 16 bits, or floats from 0 to 1.
        ground_truth: folder of `.mat` files, of images, or of folders with an image for each annotator, of the same
            names.
        options: how they are compared.
        workers: processes; more than one need a main module that may be imported, as `multiprocessing` says.
        out: CSV file to write, with a row for each image; must not exist.
        progress: called as `progress(done, total)` after each image.

    Raises:
        UserError: a result is missing or has another size than its ground truth, a file cannot be read, no annotator
            marked anything, an option is out of range, or `out` cannot be written.

    >>> import tempfile
    >>> import numpy as np
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "edges").mkdir(), (folder / "truth").mkdir()
    (None, None)
    >>> edges = np.zeros((20, 20)); edges[10] = 1
    >>> np.save(folder / "edges" / "a.npy", edges); np.save(folder / "truth" / "a.npy", edges)
    >>> score_edges(folder / "edges", folder / "truth").scores.best.f
    1.0
    """
    start, options = time.monotonic(), options or EdgeOptions()
    options.require_valid()
    if workers < 1:
        raise UserError(f"--workers {workers}: give 1 or more")
    if out is not None:
        _require_new(Path(out))
    pairs, note = _pairs(Path(results), Path(ground_truth), options)
    _require_comparable(pairs, Path(ground_truth))
    metrics = EdgeMetrics(edge_thresholds(options.thresholds))
    for done, (name, counts) in enumerate(_counted(pairs, workers), 1):
        metrics.add(name, counts)
        progress(done, len(pairs))
    scores = metrics.result(time.monotonic() - start)
    if out is not None:
        write_text(Path(out), _csv(scores))
    return EdgeScored(scores, note)


def _pairs(results: Path, ground_truth: Path, options: EdgeOptions) -> tuple[list[_EdgePair], str]:
    """Return result and ground truth of every image, and what is said of results that have none.

    Raises:
        UserError: an image has no result.
    """
    found, truths = find_strengths(results), find_annotations(ground_truth)
    missing = sorted(truths.keys() - found.keys())
    if missing:
        fix = "give an edge map of every image, or leave the ground truth out"
        raise UserError(f"{results}: no edge map for {_listed(missing)} of {ground_truth}: {fix}")
    more = sorted(found.keys() - truths.keys())
    said = "has no ground truth and counts nowhere" if len(more) == 1 else "have no ground truth and count nowhere"
    note = f"{_listed(more)} of {results} {said}" if more else ""
    return [_EdgePair(name, found[name], truths[name], options) for name in sorted(truths)], note


def _listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _require_comparable(pairs: Sequence[_EdgePair], ground_truth: Path) -> None:
    """Raise unless every result has the size of its ground truth, and some annotator marked something.

    Every ground truth is read once more for this, which takes little time: a mistake in the last one is told at once.
    """
    marked = False
    for pair in pairs:
        annotators = read_annotators(pair.truth, segmentation=pair.options.segmentation)
        size = image_shape(pair.result)[1:]
        if size != annotators[0].shape:
            told, wanted = (" x ".join(map(str, shape)) for shape in (size, annotators[0].shape))
            raise UserError(
                f"{pair.result}: size {told}, but {pair.truth} has {wanted}: save edges in the image's size"
            )
        marked = marked or any(annotator.any() for annotator in annotators)
    if not marked:
        raise UserError(f"{ground_truth}: no annotator marked an edge: look at the files")


def _counted(pairs: Sequence[_EdgePair], workers: int) -> Iterator[tuple[str, EdgeCounts]]:
    """Yield name and counts of every image, in order; one image is in the memory of each process.

    Raises:
        UserError: see `_count`, or a process was killed.
    """
    if workers == 1 or len(pairs) == 1:
        for pair in pairs:
            yield pair.name, _count(pair)
        return
    pool = ProcessPoolExecutor(min(workers, len(pairs)), multiprocessing.get_context("spawn"))
    try:
        for pair, counts in zip(pairs, pool.map(_count_apart, pairs), strict=True):
            if isinstance(counts, str):
                raise UserError(counts)
            yield pair.name, counts
    except BrokenProcessPool as error:
        raise UserError("a process was killed, probably for want of memory: try --workers 1") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _count_apart(pair: _EdgePair) -> EdgeCounts | str:
    """Count in another process; a mistake of the user comes back as its text."""
    try:
        return _count(pair)
    except UserError as error:
        return str(error)


def _count(pair: _EdgePair) -> EdgeCounts:
    """Read one image and count its edges.

    Raises:
        UserError: a file cannot be read, or the largest distance is too large for the image.
    """
    options, strength = pair.options, read_strength(pair.result)
    annotators = read_annotators(pair.truth, segmentation=options.segmentation)
    if options.nms:
        strength = suppress(strength)
    thresholds = edge_thresholds(options.thresholds)
    try:
        return count_edges(strength, annotators, thresholds, max_distance=options.max_distance, thinned=options.thin)
    except TooManyPairs as error:
        raise UserError(f"{pair.result}: {error}: give a smaller --max-distance") from error


def _require_new(path: Path) -> None:
    if path.suffix.lower() != ".csv":
        raise UserError(f"{path}: name a file that ends in .csv")
    if path.exists() or not path.parent.is_dir():
        what = "exists already, and nothing is overwritten" if path.exists() else "its folder does not exist"
        raise UserError(f"{path}: {what}: name another file")


def _csv(scores: EdgeScores) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("name", "f", "precision", "recall", "threshold"))
    for name, *numbers in scores.table():
        writer.writerow((name, *(f"{number:.6f}" for number in numbers)))
    return buffer.getvalue()
