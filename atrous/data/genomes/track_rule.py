"""Which signals of genomes are learned and which are given: the table `[tracks]` of dataset.toml."""

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atrous.errors import UserError

KEYS = ("targets", "inputs", "missing", "strands")
STRAND_WORDS = (
    ("+", "-"), ("plus", "minus"), ("forward", "reverse"), ("fwd", "rev"), ("positive", "negative"), ("pos", "neg"),
    ("watson", "crick"),
)  # fmt: skip
"""Ends of names that say that two signals are those of the two strands."""
AMBIGUOUS = ("positive", "negative", "pos", "neg")
"""Words that mean a strand only where the other one is there too."""
_END = re.compile(r"^(.*?)[-_. ]?(\+|-|[a-z]+)$", re.IGNORECASE)


@dataclass(frozen=True)
class TrackRule:
    """The table `[tracks]` of dataset.toml.

    Attributes:
        targets: names of the signals that are learned, in this order; None: all that are no inputs.
        inputs: names of the signals that are further input channels; None: none, or all others where `targets` are
            named.
        missing: value of the bases of targets that a file does not cover; NaN: they are unknown.
        missing_of: the same for single targets, by name.
        strands: pairs of signals, those of the strand in the file and of the other one; None: as their names say.
        one_strand: the signals belong to the strand in the file alone: nothing is learned from the other one.
    """

    targets: tuple[str, ...] | None = None
    inputs: tuple[str, ...] | None = None
    missing: float = math.nan
    missing_of: dict[str, float] = field(default_factory=dict)
    strands: tuple[tuple[str, str], ...] | None = None
    one_strand: bool = False

    def value_for(self, name: str) -> float:
        """Return the value of bases that a target does not cover; NaN where they are unknown."""
        return self.missing_of.get(name, self.missing)

    def chosen(self, names: Sequence[str], file: Path | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return which of the signals that a data set has are targets, and which are inputs.

        Args:
            names: of all signals.
            file: the dataset.toml, for messages.

        Raises:
            UserError: a name is that of no signal, or no target is left.

        >>> TrackRule(inputs=("methylation",)).chosen(("coverage", "methylation"), None)
        (('coverage',), ('methylation',))
        """
        given = {"targets": self.targets, "inputs": self.inputs, "missing": tuple(self.missing_of)}
        given["strands"] = tuple(name for pair in self.strands or () for name in pair)
        for key, wanted in given.items():
            for name in wanted or ():
                if name not in names:
                    near = difflib.get_close_matches(name, names, 1, 0.5)
                    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
                    raise UserError(f"{file}: tracks.{key} names {name!r}, which no bigWig file has: {hint}")
        inputs = self.inputs or ()
        targets = self.targets if self.targets is not None else tuple(name for name in names if name not in inputs)
        if self.inputs is None and self.targets is not None:
            inputs = tuple(name for name in names if name not in targets)
        if not targets:
            raise UserError(f"{file}: tracks.inputs names every signal: leave at least one to be learned")
        return targets, inputs


def strand_pairs_of(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of signals whose names say that they are those of the two strands.

    >>> strand_pairs_of(("cage.minus", "cage.plus", "dnase", "rna-", "rna+"))
    (('cage.plus', 'cage.minus'), ('rna+', 'rna-'))
    """
    known = {_split(name): name for name in names}
    pairs = []
    for (stem, word), name in known.items():
        other = next((minus for plus, minus in STRAND_WORDS if plus == word), None)
        if other is not None and (stem, other) in known:
            pairs.append((name, known[stem, other]))
    return tuple(pairs)


def lone_strand(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> str | None:
    """Return a signal whose name says that it is of one strand, where that of the other strand is not there.

    >>> lone_strand(("rna.plus", "dnase"), ())
    'rna.plus'
    """
    words = {word for pair in STRAND_WORDS for word in pair} - set(AMBIGUOUS)
    paired = {name for pair in pairs for name in pair}
    return next((name for name in names if name not in paired and _split(name)[1] in words), None)


def partners_of(names: Sequence[str], rule: TrackRule) -> tuple[int, ...]:
    """Return for each target the number of the one that it becomes on the other strand.

    A signal without a strand, such as coverage, is its own partner. The result is empty where nothing is known of the
    other strand: a signal is of one strand, and that of the other one is not there.

    >>> partners_of(("dnase", "rna+", "rna-"), TrackRule()), partners_of(("rna+",), TrackRule())
    ((0, 2, 1), ())
    """
    pairs = strand_pairs_of(names) if rule.strands is None else rule.strands
    pairs = [pair for pair in pairs if set(pair) <= set(names)]
    if rule.one_strand or (rule.strands is None and lone_strand(names, pairs) is not None):
        return ()
    partner = {one: other for pair in pairs for one, other in (pair, pair[::-1])}
    return tuple(names.index(partner.get(name, name)) for name in names)


def _split(name: str) -> tuple[str, str]:
    """The name without the word at its end, and that word in small letters; a sign is a word."""
    match = _END.match(name)
    return (name, "") if match is None else (match[1], match[2].lower())


def parse_tracks(value: object, file: Path, _: Path | None = None) -> TrackRule:
    """Return the rule from its table in dataset.toml.

    Raises:
        UserError: an unknown key, a value of the wrong kind, or a signal that is both input and target.

    >>> parse_tracks({"targets": ["coverage"], "missing": 0}, Path("dataset.toml")).value_for("coverage")
    0.0
    """
    if not isinstance(value, dict) or set(value) - set(KEYS):
        unknown = sorted(set(value) - set(KEYS)) if isinstance(value, dict) else [value]
        raise UserError(f"{file}: [tracks] knows {', '.join(KEYS)}, not {unknown[0]!r}")
    found: dict[str, Any] = {}
    for key in ("targets", "inputs"):
        if key in value:
            found[key] = _names(key, value[key], file)
    both = sorted(set(found.get("targets", ())) & set(found.get("inputs", ())))
    if both:
        raise UserError(f"{file}: {both[0]!r} is in tracks.targets and in tracks.inputs: take it out of one")
    if "missing" in value:
        found |= _missing(value["missing"], file)
    if "strands" in value:
        found |= _strands(value["strands"], file)
    return TrackRule(**found)


def _names(key: str, value: object, file: Path) -> tuple[str, ...]:
    good = isinstance(value, list) and all(isinstance(name, str) and name for name in value)
    if not isinstance(value, list) or not good or (key == "targets" and not value):
        raise UserError(f'{file}: `tracks.{key}` must be names of signals, such as ["coverage"], not {value!r}')
    if len(set(value)) < len(value):
        twice = next(name for name in value if value.count(name) > 1)
        raise UserError(f"{file}: `tracks.{key}` names {twice!r} twice: name it once")
    return tuple(value)


def _missing(value: object, file: Path) -> dict[str, Any]:
    wanted = "the value of bases that a file does not cover, such as 0 or { coverage = 0 }"
    if isinstance(value, dict) and value and all(_is_number(entry) for entry in value.values()):
        return {"missing_of": {name: float(entry) for name, entry in value.items()}}
    if not _is_number(value):
        raise UserError(f"{file}: `tracks.missing` must be {wanted}, not {value!r}")
    return {"missing": float(str(value))}


def _strands(value: object, file: Path) -> dict[str, Any]:
    if value is False:
        return {"one_strand": True}
    pairs = value if isinstance(value, list) else []
    good = all(isinstance(p, list) and len(p) == 2 and all(isinstance(name, str) for name in p) for p in pairs)
    names = [name for pair in pairs for name in pair] if good else []
    if not isinstance(value, list) or not good or len(set(names)) < len(names):
        raise UserError(
            f'{file}: `tracks.strands` must be pairs of signals, such as [["plus", "minus"]], or false, not {value!r}'
        )
    return {"strands": tuple((pair[0], pair[1]) for pair in pairs)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
