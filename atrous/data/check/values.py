"""The numbers of targets of values from which a training is planned."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from atrous.data.moments import merge
from atrous.data.scan import Scan
from atrous.data.targets.fine_image import usual_factor


@dataclass(frozen=True)
class ValueFacts:
    """What is known of the values of train (of all splits without train).

    Attributes:
        mean: of each output.
        std: standard deviation of each output.
        least: value of all outputs.
        most: value of all outputs.
        dtype: type of the values in the files.
        factor: the grid of the values is finer by this factor than that of their images (super-resolution).
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    least: float
    most: float
    dtype: str
    factor: int = 1


def value_facts(scans: Sequence[Scan]) -> ValueFacts | None:
    """Return what is known of the values; None where targets are none, or are the images themselves."""
    known = [one for one in scans if one.contents is not None and one.contents.values is not None]
    chosen = [one for one in known if one.split == "train"] or known
    headers = [one.contents.header for one in chosen if one.contents is not None and one.contents.header is not None]
    moments = [one.contents.values for one in chosen if one.contents is not None and one.contents.values is not None]
    outputs = {len(one.mean) for one in moments}
    if len(outputs) != 1:  # the check names the files that have others
        return None
    total = reduce(merge, moments)
    dtype = headers[0].dtype if len({header.dtype for header in headers}) == 1 else "float32"
    mean, std = (tuple(map(float, row)) for row in (total.mean, total.std))
    return ValueFacts(mean, std, float(total.least.min()), float(total.most.max()), dtype, usual_factor(chosen))
