"""The card of a named model: what it is for, what it was trained on, how good it is, and where it fails."""

import textwrap
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atrous.errors import UserError

CARD = "card.toml"
"""Its name, in the folder of the model."""
TEXTS = ("summary", "task", "input", "trained_on", "data_license", "source", "license", "command")
"""Its keys that are one line of text each, all of them needed."""
TITLES = {
    "task": "task", "input": "input", "trained_on": "trained on", "data_license": "data license", "source": "source",
    "license": "license of the weights", "command": "trained by",
}  # fmt: skip
WIDTH = 100
"""Characters of a line of the text."""


@dataclass(frozen=True)
class Measurement:
    """Metrics that a model reached on data, and the command that prints them.

    Attributes:
        on: the data, in words.
        command: prints the metrics.
        values: the metrics by name.
        note: what they mean, in words; may be empty.
    """

    on: str
    command: str
    values: dict[str, float]
    note: str = ""

    def text(self) -> str:
        """Return the measurement in a few lines."""
        values = ", ".join(f"{name} {value:g}" for name, value in self.values.items())
        lines = [_wrapped(self.on, "  "), _wrapped(self.command, "    "), _wrapped(values, "    ")]
        return "\n".join([*lines, *([_wrapped(self.note, "    ")] if self.note else [])])


@dataclass(frozen=True)
class Card:
    """What `card.toml` says about a model.

    Attributes:
        summary: what the model does, in one sentence.
        task: what its outputs mean, such as "instances".
        input: the inputs that it is for.
        trained_on: the data, and their part.
        data_license: the license of the data.
        source: where the data are from.
        license: of the weights.
        command: trained the model.
        measured: metrics on data that it was not trained on.
        fails: where it fails, a sentence for each.
        sha256: digests of the model's files, by name.
        float16: what storing the weights in float16 changed; empty if nothing was measured.
    """

    summary: str
    task: str
    input: str
    trained_on: str
    data_license: str
    source: str
    license: str
    command: str
    measured: tuple[Measurement, ...]
    fails: tuple[str, ...]
    sha256: dict[str, str]
    float16: str = ""

    def text(self) -> str:
        """Return the card as text for a terminal."""
        rows = [_wrapped(getattr(self, key), f"{title + ':':<24}") for key, title in TITLES.items()]
        parts = [_wrapped(self.summary), "\n".join(rows)]
        parts.append("\n".join(["measured on", *(each.text() for each in self.measured)]))
        parts.append("\n".join(["where it fails", *(_wrapped(line, "  - ") for line in self.fails)]))
        parts += [_wrapped(self.float16, f"{'float16:':<24}")] if self.float16 else []
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the same for JSON."""
        return asdict(self)


def read_card(path: Path) -> Card:
    """Read a `card.toml`.

    Args:
        path: of the file.

    Raises:
        UserError: it is missing or not TOML, or a key is missing, unknown or of another type.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: a named model has a card") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not TOML: {error}") from None
    unknown = sorted(values.keys() - {*TEXTS, "measured", "fails", "sha256", "float16"})
    if unknown:
        raise UserError(f"{path}: {unknown[0]} is no key of a card: remove it")
    texts = {key: _text(values, key, path) for key in TEXTS}
    measured = values.get("measured")
    if not isinstance(measured, list) or not measured:
        raise UserError(f"{path}: [[measured]] is missing: say how good the model is on data that it did not train on")
    fails = values.get("fails")
    if not isinstance(fails, list) or not fails or not all(isinstance(line, str) and line.strip() for line in fails):
        raise UserError(f"{path}: fails must list sentences that say where the model fails")
    float16 = _text(values, "float16", path) if "float16" in values else ""
    return Card(
        **texts, measured=tuple(_measurement(each, path) for each in measured), fails=tuple(fails),
        sha256=_digests(values.get("sha256", {}), path), float16=float16,
    )  # fmt: skip


def _measurement(values: Any, path: Path) -> Measurement:
    """One of `[[measured]]`, checked."""
    if not isinstance(values, dict):
        raise UserError(f"{path}: measured must be tables [[measured]] with on, command and values")
    if unknown := sorted(values.keys() - {"on", "command", "values", "note"}):
        raise UserError(f"{path}: [[measured]] has on, command, values and note, not {unknown[0]}: remove it")
    numbers = values.get("values")
    if not isinstance(numbers, dict) or not numbers or not all(_is_number(number) for number in numbers.values()):
        raise UserError(f"{path}: values of [[measured]] must be numbers by the name of a metric")
    on, command = (_text(values, key, path) for key in ("on", "command"))
    return Measurement(on, command, numbers, _text(values, "note", path) if "note" in values else "")


def _digests(values: Any, path: Path) -> dict[str, str]:
    """The section `sha256`, checked: plain names of files beside the card, and 64 hexadecimal digits each."""
    for name, digest in values.items() if isinstance(values, dict) else [("", values)]:
        plain = name not in ("", ".", "..") and not set(name) & set("/\\:")
        hexadecimal = isinstance(digest, str) and len(digest) == 64 and not set(digest) - set("0123456789abcdef")
        if not plain or not hexadecimal:
            raise UserError(f"{path}: [sha256] must give the digest of each file beside the card, by its name")
    return values


def _text(values: dict[str, Any], key: str, path: Path) -> str:
    """A value that must be text."""
    value = values.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{path}: {key} is missing or no text: write one line of text")
    return " ".join(value.split())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrapped(text: str, before: str = "") -> str:
    """Text in lines, the first one after `before`, the others below it."""
    return textwrap.fill(
        text, WIDTH, initial_indent=before, subsequent_indent=" " * len(before), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
