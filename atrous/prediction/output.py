"""What every kind of output has in common: the job loop knows nothing else about the files that it writes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrous.errors import UserError
from atrous.prediction.inputs import Opened
from atrous.prediction.zones import FollowOptions


@dataclass(frozen=True)
class Companions:
    """What is written for each input beside its labels.

    Attributes:
        overlay: a picture of the labels over the image; of a video, an mp4.
        probabilities: "zarr" or "tiff" for images, volumes and signals, "bigwig" for genomes; None for none.
        polygons: "gpkg" or "geojson": the labels of maps as polygons; None for none.
        dicom_seg: a DICOM segmentation of each DICOM series.
        tracks: of videos, what of the things that move is written; None for nothing.
        objects: "coco", "geojson", "imagej", "dota", "parquet": found objects in the formats of other programs.
        uncertainty: the uncertainty at each position, in the format of the probabilities, and a picture of it.
        coverage: the share of the positions whose set of classes is to hold the true one: sizes of these sets; None for
            none.
        thin: edges as lines that are one pixel wide.
    """

    overlay: bool = False
    probabilities: str | None = None
    polygons: str | None = None
    dicom_seg: bool = False
    objects: tuple[str, ...] = ()
    uncertainty: bool = False
    coverage: float | None = None
    thin: bool = False
    tracks: FollowOptions | None = None

    def leave_out(self, name: str, why: str) -> None:
        """Refuse one of these where an answer has none.

        Args:
            name: of the attribute.
            why: there is none.

        Raises:
            UserError: it is wanted.
        """
        if getattr(self, name):
            raise UserError(f"--{name.replace('_', '-')}: {why}: leave it out")


class Output(ABC):
    """One output of one input: a file, or a folder of files.

    An output of which a path exists is never replaced. Otherwise the job loop calls `begin` for each part of the input
    (a FASTA file has a part per sequence, any other input has one) and assigns the network's values to `sink`; at the
    end it calls `finish`. If the input is damaged it calls `discard`; if something else ended the run, `pause`.

    Attributes:
        paths: what it writes.
        values: what its sink takes: "labels" uint8 `(*S)` or "probabilities" float32 `(K, *S)`; "none" if it has no
            sink, since it is drawn in `finish` from another output.
        in_order: whether the sink takes whole rows of the first spatial axis only, in ascending order.
        drawn_from: the output from which this one is drawn; that one is begun too, even if its file exists already.
        sink: what the network's values for the current part are assigned to, with `shape` and `dtype`.
        complete: whether an interrupted run has left all values of the current part: the network need not run.
        main_last: whether the first path is put in its place last, so that it alone says whether the output is there;
            else any of the paths says so.
        resumes: whether the values are written to disk as they come, so that an interrupted run can resume.
    """

    paths: tuple[Path, ...]
    values: str = "none"
    in_order: bool = False
    drawn_from: "Output | None" = None
    sink: Any = None
    complete: bool = False
    main_last: bool = False
    resumes: bool = False

    @abstractmethod
    def begin(self, opened: Opened, streamed: bool) -> None:
        """Make the sink ready for the next part of the input.

        Args:
            opened: the part.
            streamed: whether its values come strip by strip, since the whole would not fit in memory.

        Raises:
            UserError: the output cannot be written for this input.
        """

    @abstractmethod
    def finish(self) -> None:
        """Complete the output and put it in its place."""

    @abstractmethod
    def discard(self) -> None:
        """Remove everything that was begun. May be called at any time, also twice."""

    def end(self) -> None:  # noqa: B027 (most outputs have nothing to do then)
        """All values of the current part have arrived."""

    def pause(self) -> None:
        """The run is interrupted: keep what the next run goes on from, and remove everything else."""
        if not self.resumes:
            self.discard()


class SeveralSinks:
    """A sink that assigns the same values to several sinks of one shape."""

    def __init__(self, sinks: Sequence[Any]) -> None:
        self.sinks = tuple(sinks)
        self.shape, self.dtype = tuple(sinks[0].shape), np.dtype(sinks[0].dtype)

    def __setitem__(self, key: Any, values: np.ndarray) -> None:
        for sink in self.sinks:
            sink[key] = values


def part_path(path: Path) -> Path:
    """The hidden path beside `path` under which an output is written until it is complete.

    >>> part_path(Path("out/a.zarr"))
    PosixPath('out/.a.zarr.part')
    """
    return path.with_name(f".{path.name}.part")
