"""What a caller of `search` may choose, and what is refused before any file of the data is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from atrous.errors import UserError
from atrous.geometry.plan import byte_count
from atrous.recipe.schema import Recipe, check_settings, check_value
from atrous.verbs.train_options import require_known

SAMPLER_NAMES = ("tpe", "evolution", "policy", "latent")
"""Those of `atrous.searching.samplers`, which needs Optuna."""
RUNGS = 3
SHARE, SHORTEST = 90.0, 0.25
"""A training on the first rung takes this part of the whole search, and at least so many minutes."""
UNASKED = ("out", "minutes", "resume", "say", "progress")
"""Options that say nothing about what is searched."""


@dataclass(frozen=True)
class SearchOptions:
    """What a caller of `search` may choose; each is a keyword argument of `search`.

    Attributes:
        out: folder of the search; `runs/NAME-search` when None. If it holds a search that was begun with the same
            options, that one goes on.
        minutes: wall time of the whole search.
        sampler: how points are chosen: "tpe", "evolution", "policy" or "latent".
        latency: most milliseconds that a network may take for the input.
        memory: most memory that a network may take for the input, in bytes or as text such as "500MB".
        shape: size of the input that is timed, such as (512, 512); about the median size of the data when empty.
        vary: names of the variables that vary; all of them when empty.
        rung: minutes of a training on the first rung; a 90th of the search when None.
        recipe: a recipe to search around, instead of a planned one.
        settings: `section.key=value` of the planned recipe, one text or several; what they set does not vary.
        inherit: whether a new point starts from the weights of the nearest one that was trained.
        seed: random seed.
        device: where to train, as for `train`.
        description: a dataset.toml that lies elsewhere.
        task: what is learned; None leaves it to dataset.toml.
        resume: folder of a search to go on with; then only `minutes` may be given beside it.
        say: called with lines of text that tell what is going on; None prints them to standard error.
        progress: called with the seconds that are over after each trial.
    """

    out: Path | str | None = None
    minutes: float | None = None
    sampler: str = "tpe"
    latency: float | None = None
    memory: float | str | None = None
    shape: Sequence[int] = ()
    vary: Sequence[str] = ()
    rung: float | None = None
    recipe: Recipe | Path | str | None = None
    settings: Sequence[str] | str = ()
    inherit: bool = True
    seed: int = 0
    device: str | None = None
    description: Path | str | None = None
    task: str | None = None
    resume: Path | str | None = None
    say: Callable[[str], None] | None = None
    progress: Callable[[float], None] | None = None

    @property
    def given_settings(self) -> list[str]:
        """The settings as a list."""
        return [self.settings] if isinstance(self.settings, str) else list(self.settings)

    @property
    def rungs(self) -> tuple[float, ...]:
        """Minutes of a training on each rung; a rung is left out that takes more than a third of the search."""
        from atrous.searching.halving import rung_minutes

        assert self.minutes is not None
        first = self.rung or max(SHORTEST, self.minutes / SHARE)
        return tuple(m for i, m in enumerate(rung_minutes(first, RUNGS)) if i == 0 or m <= self.minutes / 3)

    def asked(self, data: str) -> dict[str, Any]:
        """Return what says which search this is, as JSON can hold it."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in UNASKED}
        recipe = self.recipe.model_dump(mode="json") if isinstance(self.recipe, Recipe) else self.recipe
        values |= {"recipe": recipe, "settings": self.given_settings, "shape": list(self.shape), "data": data}
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
        return plain | {"vary": list(self.vary)}

    def check(self) -> None:
        """Refuse what is wrong whatever the data are.

        Raises:
            UserError: Optuna is not installed, an option has no such value, or an option does not go with `resume`.
        """
        if find_spec("optuna") is None:
            raise UserError("the search needs Optuna: pip install 'atrous[search]'")
        if self.resume is not None:
            self._check_resume()
        elif self.minutes is None:
            raise UserError("give the length of the search: --minutes N")
        if self.minutes is not None and not self.minutes > 0:
            raise UserError(f"--minutes {self.minutes:g}: give a number above 0")
        if self.sampler not in SAMPLER_NAMES:
            raise UserError(f"--sampler {self.sampler}: choose one of {', '.join(SAMPLER_NAMES)}")
        for name in ("latency", "rung"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"--{name} {value:g}: give a number above 0")
        byte_count(self.memory)
        if any(length < 1 for length in self.shape):
            raise UserError(f"--input {','.join(map(str, self.shape))}: give sizes of 1 or more")
        check_value("train", "seed", self.seed, "--seed")
        if self.device is not None:
            check_value("train", "accelerator", self.device, "--device")
        check_settings(self.given_settings)
        for setting in self.given_settings:
            if setting.split("=")[0].strip() in ("train.minutes", "train.epochs", "train.start"):
                raise UserError(f"--set {setting}: the search says how long each training is, and where it starts")

    def _check_resume(self) -> None:
        given = [
            entry.name
            for entry in fields(self)
            if entry.name not in ("resume", "minutes", "say", "progress")
            and getattr(self, entry.name) not in (entry.default, [], "")
        ]
        if given:
            raise UserError(f"--resume goes on with a search as it was begun: leave out {', '.join(given)}")


def read_search_options(options: Mapping[str, Any]) -> SearchOptions:
    """Return the options of a call of `search`.

    Raises:
        TypeError: there is no option of a name; the nearest one is named.
    """
    require_known("search", [entry.name for entry in fields(SearchOptions)], options)
    return SearchOptions(**options)
