"""`atrous models`: the named models that are installed, the card of one, and a copy of one as the folder of a run."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrous.errors import UserError
from atrous.files import disk_trouble, replacing
from atrous.named.card import Card
from atrous.named.packages import INSTALL, NamedModel, named_model, named_models

COLUMNS = ("model", "task", "MB", "license", "what it does")


@dataclass(frozen=True)
class Described:
    """A named model with its card.

    Attributes:
        model: the model.
        card: what is known about it.
    """

    model: NamedModel
    card: Card

    def text(self) -> str:
        """Return the card as text."""
        model = self.model
        head = f"{model.name} ({model.package} {model.version}, {model.size() / 1e6:.1f} MB)"
        return f"{head}\n\n{self.card.text()}"

    def to_dict(self) -> dict[str, Any]:
        """Return the same for JSON."""
        model = self.model
        facts = {"name": model.name, "package": model.package, "version": model.version, "folder": str(model.folder)}
        return {**facts, "bytes": model.size(), **self.card.to_dict()}


@dataclass(frozen=True)
class ModelTable:
    """The named models that are installed.

    Attributes:
        models: each with its card, in the order of packages and names.
    """

    models: tuple[Described, ...]

    def text(self) -> str:
        """Return a table, and what to do with a model."""
        rows = [COLUMNS, *(_row(each) for each in self.models)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
        lines = ["  ".join([*(f"{a:<{w}}" for a, w in zip(row, widths, strict=False)), row[-1]]) for row in rows]
        name = self.models[0].model.name
        return "\n".join([*lines, "", f"atrous models {name}", f"atrous predict {name} INPUT -o out"])

    def to_dict(self) -> dict[str, Any]:
        """Return the same for JSON."""
        return {"models": [each.to_dict() for each in self.models]}


def model_table() -> ModelTable:
    """Return the named models that are installed.

    Raises:
        UserError: none is installed, or a card is damaged.
    """
    models = named_models()
    if not models:
        raise UserError(f"no named models are installed: {INSTALL}")
    return ModelTable(tuple(Described(model, model.card()) for model in models.values()))


def describe_model(name: str) -> Described:
    """Return a named model with its card.

    Raises:
        UserError: there is no model of that name, or its card is damaged.
    """
    model = named_model(name)
    return Described(model, model.card())


def copy_model(name: str, folder: Path) -> None:
    """Copy a named model to a folder, which then is that of a run: it can be calibrated, changed and given away.

    Args:
        name: of the model.
        folder: must not exist.

    Raises:
        UserError: there is no model of that name, a file of it was changed, or the folder exists or cannot be made.
    """
    from atrous.recipe.run import check_new  # it imports torch, which a table does not need

    model = named_model(name)
    check_new(folder)
    model.check()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as beside:
            beside.mkdir()
            for path in model.folder.iterdir():
                if path.is_file():
                    shutil.copyfile(path, beside / path.name)  # without its mode: an installed file may be read-only
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({disk_trouble(error) or error.strerror})") from error


def _row(each: Described) -> tuple[str, ...]:
    model, card = each.model, each.card
    return (model.name, card.task, f"{model.size() / 1e6:.1f}", card.license, card.summary)
