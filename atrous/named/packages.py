"""Named models: folders of installed packages, found by entry points and read without running any of their code."""

import difflib
from dataclasses import dataclass
from hashlib import file_digest
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from atrous.errors import UserError
from atrous.named.card import CARD, Card, read_card

GROUP = "atrous.models"
"""The group of entry points that name modules with models in them."""
INSTALL = "pip install ./packages/atrous-models, in a clone of the repository"
"""Installs the models of this repository."""
NEEDED = ("model.safetensors", "recipe.toml")


@dataclass(frozen=True)
class NamedModel:
    """A trained network that a package brings.

    Attributes:
        name: what a command calls it.
        folder: where its files lie: recipe.toml, model.safetensors, card.toml and, for some, others.
        package: the distribution that brings it.
        version: of the distribution.
    """

    name: str
    folder: Path
    package: str
    version: str

    def card(self) -> Card:
        """Return what is known about it.

        Raises:
            UserError: the card is missing or damaged.
        """
        return read_card(self.folder / CARD)

    def size(self) -> int:
        """Return how many bytes its weights have on disk.

        Raises:
            UserError: they are missing.
        """
        path = self.folder / "model.safetensors"
        if not path.is_file():
            raise UserError(f"{path}: is missing: install {self.package} again")
        return path.stat().st_size

    def check(self) -> None:
        """Compare its files with the digests on its card.

        Raises:
            UserError: a file is missing, is not the one that was packed, or was not packed.
        """
        again = f"install {self.package} again"
        digests = self.card().sha256
        there = {path.name for path in self.folder.iterdir() if not path.name.startswith((".", "__"))} - {CARD}
        for name in sorted({*digests, *NEEDED, *there}):
            path = self.folder / name
            if not path.is_file():
                raise UserError(f"{path}: is missing: {again}")
            if name not in digests:
                raise UserError(f"{path}: has no sha256 in {CARD}: {again}")
            with path.open("rb") as file:
                if file_digest(file, "sha256").hexdigest() != digests[name]:
                    raise UserError(f"{path}: is damaged or was changed, as its sha256 is not that of {CARD}: {again}")


def named_models() -> dict[str, NamedModel]:
    """Return the named models of all installed packages, by name.

    `packages/atrous-models` in the repository has those of this project. Wherever the folder of a run is taken, as by
    `atrous.load`, the name of a model does too. Another package brings models with an entry point in the group
    `atrous.models`, whose value is a module: each folder inside it that has a `card.toml` is a model.

    Raises:
        UserError: two packages bring a model of one name, or a package was not installed whole.
    """
    found: dict[str, NamedModel] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (_package(point), point.name)):
        for card in sorted(_folder(point).glob(f"*/{CARD}")):
            name, version = card.parent.name, "" if point.dist is None else point.dist.version
            model = NamedModel(name, card.parent, _package(point), version)
            if name in found and found[name].folder != model.folder:
                both = f"{found[name].package} and {model.package}"
                raise UserError(f"{name}: {both} both bring a model of this name: uninstall one of them")
            found[name] = model
    return found


def named_model(name: str) -> NamedModel:
    """Return the model of a name.

    Raises:
        UserError: there is none of this name; those that there are, and similar ones, are named.
    """
    models = named_models()
    if name not in models:
        raise UserError(f"{name}: {not_known(name, models)}")
    return models[name]


def not_known(name: str, models: dict[str, NamedModel]) -> str:
    """Return what to tell who asks for a model that is not there.

    >>> not_known("nuclei", {}).partition(": ")[0]
    'no model of that name, as no named models are installed'
    >>> model = NamedModel("nuclei", Path("nuclei"), "atrous-models", "0.1.0")
    >>> not_known("nucleus", {"nuclei": model})
    'no model of that name: did you mean nuclei? There are: nuclei (atrous models)'
    """
    if not models:
        return f"no model of that name, as no named models are installed: {INSTALL}"
    near = difflib.get_close_matches(name, models)
    meant = f"did you mean {' or '.join(near)}? There are" if near else "there are"
    return f"no model of that name: {meant}: {', '.join(models)} (atrous models)"


def _package(point: EntryPoint) -> str:
    return point.value if point.dist is None else point.dist.name


def _folder(point: EntryPoint) -> Path:
    """The folder of the module that an entry point names; the module is not imported.

    Raises:
        UserError: there is no such folder.
    """
    spec = find_spec(point.value) if "." not in point.value else None
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    if not places:
        raise UserError(f"{_package(point)}: brings no folder {point.value}: install it again")
    return Path(places[0])
