"""The folder of a search: what was asked, the planned recipe, the space, the database, and a run for each trial."""

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from atrous.errors import UserError
from atrous.files import replacing
from atrous.recipe.schema import Recipe, read_recipe, to_toml
from atrous.searching.ladder import Ladder, open_storage
from atrous.searching.limits import Needs
from atrous.searching.space import Space


@dataclass(frozen=True)
class SearchOrder:
    """What was asked of a search, and what the data asked of it; it is kept in `search.json`.

    Attributes:
        data: folder of the data set.
        description: a dataset.toml that lies elsewhere, or None.
        minutes: wall time of the whole search.
        sampler: one of `atrous.searching.samplers.SAMPLERS`.
        rungs: minutes of a training on each rung.
        seed: of the search.
        inherit: whether a new point starts from the weights of the nearest one that was trained.
        needs: what is asked of every network, as `Needs.to_dict` gives it.
        metric: name of the metric.
        higher_is_better: whether greater values of it are better.
        asked: the options of the command, by name.
    """

    data: str
    description: str | None
    minutes: float
    sampler: str
    rungs: tuple[float, ...]
    seed: int
    inherit: bool
    needs: dict[str, Any]
    metric: str
    higher_is_better: bool
    asked: dict[str, Any]


@dataclass(frozen=True)
class SearchFolder:
    """A folder of a search.

    Attributes:
        path: where it is.
        order: what was asked.
        recipe: the planned recipe.
        space: what varies.
    """

    path: Path
    order: SearchOrder
    recipe: Recipe
    space: Space

    @property
    def runs(self) -> Path:
        """The folder of the trials' runs."""
        return self.path / "trials"

    @property
    def needs(self) -> Needs:
        """What is asked of every network."""
        stored = self.order.needs
        return Needs(tuple(stored["shape"]), tuple(stored["objects"]), stored["latency"], stored["memory"])

    def ladder(self) -> Ladder:
        """Open the database.

        Raises:
            UserError: there is none, it is damaged, or it may not be written.
        """
        if not self.database.exists():
            raise UserError(f"{self.database}: is missing: restore it from a copy, or begin anew with another --out")
        with self.usable():
            return _ladder(self.database, self.order, self.space)

    @property
    def database(self) -> Path:
        """The file of the database."""
        return self.path / "search.db"

    @contextmanager
    def usable(self) -> Iterator[None]:
        """Within the block, errors of the database are mistakes of the user's: it is damaged, full, locked or closed.

        Raises:
            UserError: the database raised an error.
        """
        try:
            yield
        except (SQLAlchemyError, StorageInternalError) as error:
            said = error.__cause__ if isinstance(error.__cause__, SQLAlchemyError) else error
            why = " ".join(str(getattr(said, "orig", None) or said).split())
            fix = "see that it may be written and no other program holds it, or begin anew with another --out"
            raise UserError(f"{self.database}: cannot be used ({why}): {fix}") from error


def create_search(path: Path, order: SearchOrder, recipe: Recipe, reasons: Mapping[str, str], space: Space) -> None:
    """Make the folder of a search; it appears whole, with its database, or not at all.

    Raises:
        UserError: it exists already, or cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            beside.mkdir()
            (beside / "trials").mkdir()
            (beside / "planned.toml").write_text(to_toml(recipe, reasons), encoding="utf-8")
            content = {**asdict(order), "space": space.to_dict()}
            (beside / "search.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
            ladder = _ladder(beside / "search.db", order, space)
            ladder.close()
    except OSError as error:
        raise UserError(f"{path}: cannot be made ({error.strerror}): give another --out") from error


def open_search(path: Path) -> SearchFolder:
    """Open the folder of a search.

    Raises:
        UserError: there is none, or a file in it is not what a search wrote.
    """
    file = path / "search.json"
    if not file.exists():
        raise UserError(f"{path}: is not the folder of a search: give one that `atrous search --out FOLDER` made")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        space = Space.from_dict(content.pop("space"))
        order = SearchOrder(**{**content, "rungs": tuple(content["rungs"])})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: is damaged ({error}): begin a new search with another --out") from error
    return SearchFolder(path, order, read_recipe(path / "planned.toml"), space)


def same_search(folder: SearchFolder, asked: Mapping[str, Any], minutes: float) -> SearchFolder:
    """Return a search that the same command began, with the minutes that are asked now.

    Raises:
        UserError: the folder holds a search that was begun in another way.
    """
    for name, now in json.loads(json.dumps(dict(asked))).items():
        before = folder.order.asked.get(name)
        if before != now:
            raise UserError(
                f"{folder.path}: holds a search with {name} = {before}, not {now}: give another --out, or go on with "
                f"that one: atrous search --resume {shlex.quote(str(folder.path))}"
            )
    return replace(folder, order=replace(folder.order, minutes=minutes))


def _ladder(database: Path, order: SearchOrder, space: Space) -> Ladder:
    return Ladder.open(
        open_storage(database), order.rungs, space, sampler=order.sampler, seed=order.seed,
        higher_is_better=order.higher_is_better,
    )  # fmt: skip
