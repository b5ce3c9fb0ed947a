"""The data doctor's findings as plain text, for a terminal of 100 columns or a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from atrous.data.check.fingerprint import Fingerprint, Sizes
from atrous.data.dataset import Dataset
from atrous.data.problems import Problem
from atrous.machine import cores

_BAR = 24
_LABEL = 9
LISTED = 8
"""Classes of which numbers are listed one by one, at most."""
RATE_PER_CORE = {1: 150_000, 2: 350_000, 3: 280_000}
"""Positions trained per second and core by axes, for `minutes_per_epoch`: the planned networks in bfloat16 (2026,
AVX512-BF16): pictures by a U-Net over EfficientNet-Lite0, batch 8 of 320x448; volumes and signals by ResNets. Smaller
networks are faster, processors without bfloat16 about half as fast."""


@dataclass(frozen=True)
class ClassRow:
    """One class in the masks.

    Attributes:
        name: of the class.
        frequency: share of the labeled positions of train.
        images: masks of all splits that have it.
    """

    name: str
    frequency: float
    images: int


class Findings(Protocol):
    """What is printed of a `Check`."""

    @property
    def dataset(self) -> Dataset:
        """See `Check`."""
        ...

    @property
    def fingerprint(self) -> Fingerprint:
        """See `Check`."""
        ...

    @property
    def classes(self) -> Sequence[ClassRow]:
        """See `Check`."""
        ...

    @property
    def ignored(self) -> float:
        """See `Check`."""
        ...

    @property
    def faults(self) -> tuple[Problem, ...]:
        """See `Check`."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """See `Check`."""
        ...

    @property
    def minutes_per_epoch(self) -> float:
        """See `Check`."""
        ...

    @property
    def targets(self) -> str:
        """See `Check`."""
        ...

    @property
    def axes(self) -> str:
        """See `Check`."""
        ...

    @property
    def columns(self) -> str:
        """See `Check`."""
        ...

    @property
    def compares_cases(self) -> bool:
        """See `Check`."""
        ...


def render(check: Findings) -> str:
    """Return aligned lines: what the data set holds, the classes, notes, problems, the verdict."""
    lines = _facts(check)
    if check.classes:
        lines += ["", *_classes(check)]
    if check.notes:
        lines += ["", "notes", *(f"  {note}" for note in check.notes)]
    for severity in ("error", "warning"):
        problems = [problem for problem in check.faults if problem.severity == severity]
        if problems:
            lines += ["", f"{severity}s", *(f"  {problem.line()}" for problem in problems)]
    return "\n".join([*lines, "", _verdict(check.faults)])


def size_text(sizes: Sizes) -> str:
    """Sizes in words: one size, or the range with the median.

    >>> size_text(Sizes((360, 480), (360, 480), (360, 480)))
    '360 x 480'
    >>> size_text(Sizes((10, 20), (15, 20), (30, 20)))
    '10 x 20 to 30 x 20, median 15 x 20'
    """
    least, median, most = (" x ".join(map(str, size)) for size in (sizes.min, sizes.median, sizes.max))
    return least if sizes.min == sizes.max else f"{least} to {most}, median {median}"


def amount(size: int) -> str:
    """Bytes in a unit that fits.

    >>> amount(900), amount(323_000_000)
    ('1 kB', '323 MB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}" if size < 10 * factor else f"{size / factor:.0f} {unit}"
    return f"{max(size / 1e3, 1):.0f} kB"


def duration(minutes: float) -> str:
    """Minutes in a unit that fits.

    >>> duration(0.2), duration(1.52), duration(150)
    ('12 seconds', '1.5 minutes', '2.5 hours')
    """
    if minutes < 1:
        return f"{minutes * 60:.0f} seconds" if minutes > 1.5 / 60 else "a second"
    return f"{minutes:.1f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"


def _facts(check: Findings) -> list[str]:
    dataset, numbers = check.dataset, check.fingerprint
    channels = f"{numbers.channels} channel{'s' if numbers.channels > 1 else ''}"
    if dataset.channel_names:
        channels += f" ({', '.join(dataset.channel_names)})"
    splits = ", ".join(f"{name} {count}" for name, count in numbers.images.items())
    facts = [
        ("data", str(dataset.root)),
        ("layout", dataset.layout),
        ("splits", f"{splits} ({dataset.split_origin})"),
        ("images", f"{size_text(numbers.sizes)}{check.axes}, {channels}, {numbers.dtype}"),
        ("values", f"{numbers.minimum:g} to {numbers.maximum:g}; {_intensities(numbers.mean, numbers.std)}"),
        ("masks", f"{check.targets}; {_ignored(check)}"),
        *([("columns", check.columns)] if check.columns else []),
        *_spacing(check),
        *_shortest(check),
        ("memory", f"{amount(numbers.bytes_decoded)} decoded"),
        ("epoch", _epoch(check)),
    ]
    return [f"{label:<{_LABEL}}{text}" for label, text in facts]


def _spacing(check: Findings) -> list[tuple[str, str]]:
    """Spacing of volumes, sampling rate of signals, and how much intensities differ between cases."""
    numbers, facts = check.fingerprint, []
    if numbers.spacing is not None and numbers.ndim == 1:
        low, high = 1 / numbers.spacing.max[0], 1 / numbers.spacing.min[0]
        seconds = sum(numbers.positions.values()) * numbers.spacing.median[0]
        rate = f"{low:g} Hz" if high - low < 1e-6 * high else f"{low:g} to {high:g} Hz"
        facts.append(("rate", f"{rate}, {duration(seconds / 60)} in all"))
    elif numbers.spacing is not None:
        least, median, most = (
            " x ".join(f"{value:.4g}" for value in row)
            for row in (numbers.spacing.min, numbers.spacing.median, numbers.spacing.max)
        )
        facts.append(("spacing", least if least == most else f"{least} to {most}, median {median}"))
    if check.compares_cases:
        facts.append(("scale", f"cases spread up to {numbers.case_scale:.3g} times as far as others"))
    return facts


def _shortest(check: Findings) -> list[tuple[str, str]]:
    """How short the intervals of recordings with a class at each sample are."""
    lengths, classes = check.fingerprint.shortest or (), check.dataset.classes
    if check.dataset.target.kind != "labels" or max(lengths, default=0) < 2:
        return []
    each = ", ".join(f"{name} {length}" for name, length in zip(classes, lengths, strict=True))
    each = each if len(classes) <= LISTED else f"{min(lengths)} to {max(lengths)}"
    return [("shortest", f"intervals in train: {each} samples, 0.5 % left out")]


def _intensities(mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    if len(mean) > 4:
        return f"{len(mean)} means {min(mean):.4g} to {max(mean):.4g}, deviations {min(std):.4g} to {max(std):.4g}"
    return f"mean {', '.join(f'{m:.4g}' for m in mean)}, deviation {', '.join(f'{s:.4g}' for s in std)} per channel"


def _ignored(check: Findings) -> str:
    return f"{check.ignored:.2%} of all positions count for nothing" if check.ignored else "every position counts"


def _epoch(check: Findings) -> str:
    positions = check.fingerprint.positions.get("train", 0)
    rate = f"{RATE_PER_CORE[check.fingerprint.ndim] / 1e6:g} million a second and core, {cores()} cores"
    return f"about {duration(check.minutes_per_epoch)} ({positions / 1e6:,.2f} million positions in train; {rate})"


def _classes(check: Findings) -> list[str]:
    width = max(5, *(len(row.name) for row in check.classes)) + 2
    total = sum(check.fingerprint.images.values())
    most = max(row.frequency for row in check.classes) or 1
    lines = [f"{'':<4}{'class':<{width}}{'share':>8}  {'images':>8}"]
    for i, row in enumerate(check.classes):
        bar = "#" * round(_BAR * row.frequency / most)
        images = f"{row.images}/{total}"
        lines.append(f"{i:>3} {row.name:<{width}}{row.frequency:>8.2%}  {images:>8}  {bar}".rstrip())
    return lines


def _verdict(problems: tuple[Problem, ...]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    counted = [f"{n} {word}{'s' if n > 1 else ''}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
    if not counted:
        return "no problems: ready to train"
    return f"{', '.join(counted)}: " + ("fix the errors before training" if errors else "ready to train")
