"""The space of a search: which settings of a recipe vary, and which values each of them may have.

A point of the space is a label for every variable. A label stands for settings `section.key=value` that are applied to
the planned recipe; the first label of a variable stands for none, so the point of first labels is the planned recipe.
Some variables matter only beside certain labels of others: the kernel of a ResNet's first convolution means nothing for
another encoder. Where a variable does not matter, its label is taken to be the first one.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from atrous.errors import UserError

Labels = dict[str, str]
"""A point: the label of every variable, by the variable's name."""


@dataclass(frozen=True)
class Variable:
    """One thing that varies.

    Attributes:
        name: such as "decoder".
        options: by label, the settings that it stands for; those of the first label are empty.
        needs: the labels that other variables, which come before, must have so that this one matters, by their names.
    """

    name: str
    options: dict[str, tuple[str, ...]]
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, that of the planned recipe first."""
        return tuple(self.options)

    @property
    def keys(self) -> set[str]:
        """The keys `section.key` that its settings set."""
        return {setting.partition("=")[0] for settings in self.options.values() for setting in settings}


@dataclass(frozen=True)
class Space:
    """The variables of a search.

    >>> encoder = Variable("encoder", {"small": (), "large": ("model.depth=34",)})
    >>> space = Space((encoder, Variable("stem", {"3": (), "7": ("model.stem=7",)}, {"encoder": ("large",)})))
    >>> [space.text(point) for point in space.points()]
    ['encoder=small', 'encoder=large stem=3', 'encoder=large stem=7']
    >>> space.settings({"encoder": "large", "stem": "7"})
    ['model.depth=34', 'model.stem=7']
    """

    variables: tuple[Variable, ...]

    @property
    def planned(self) -> Labels:
        """The point of the planned recipe."""
        return {variable.name: variable.labels[0] for variable in self.variables}

    def active(self, labels: Mapping[str, str]) -> list[Variable]:
        """Return the variables that matter at a point."""
        chosen: list[Variable] = []
        names: set[str] = set()
        for variable in self.variables:
            if all(name in names and labels[name] in allowed for name, allowed in variable.needs.items()):
                chosen.append(variable)
                names.add(variable.name)
        return chosen

    def canonical(self, labels: Mapping[str, str]) -> Labels:
        """Return the point with the first label wherever a variable does not matter: equal recipes, equal points."""
        names = {variable.name for variable in self.active(labels)}
        return {v.name: labels[v.name] if v.name in names else v.labels[0] for v in self.variables}

    def text(self, labels: Mapping[str, str]) -> str:
        """Return a point in words, without the variables that do not matter."""
        return " ".join(f"{variable.name}={labels[variable.name]}" for variable in self.active(labels))

    def settings(self, labels: Mapping[str, str]) -> list[str]:
        """Return the settings that make the planned recipe the recipe of a point."""
        return [setting for variable in self.active(labels) for setting in variable.options[labels[variable.name]]]

    def random(self, generator: np.random.Generator) -> Labels:
        """Draw a point: every label of a variable is as likely as every other."""
        drawn = {v.name: v.labels[int(generator.integers(len(v.labels)))] for v in self.variables}
        return self.canonical(drawn)

    def points(self) -> Iterator[Labels]:
        """Yield every different point once."""
        names = [variable.name for variable in self.variables]
        for combination in itertools.product(*(variable.labels for variable in self.variables)):
            labels = dict(zip(names, combination, strict=True))
            if labels == self.canonical(labels):
                yield labels

    @property
    def at_most(self) -> int:
        """The number of points, counted as if every variable always mattered."""
        return math.prod(len(variable.labels) for variable in self.variables)

    def distance(self, first: Mapping[str, str], second: Mapping[str, str], section: str = "") -> int:
        """Return how many variables differ between two points.

        Args:
            first: a point.
            second: a point.
            section: counts only variables that set a key of this section of the recipe; all of them when empty.
        """
        a, b = self.canonical(first), self.canonical(second)
        counted = [v.name for v in self.variables if not section or any(k.startswith(f"{section}.") for k in v.keys)]
        return sum(a[name] != b[name] for name in counted)

    def without(self, keys: Iterable[str]) -> "Space":
        """Return the space without the variables that set one of these keys `section.key`."""
        fixed = set(keys)
        return self._keep({variable.name for variable in self.variables if not variable.keys & fixed})

    def only(self, names: Iterable[str]) -> "Space":
        """Return the space of some variables; the others keep their first label.

        Raises:
            UserError: there is no variable of a name.
        """
        wanted, known = list(names), [variable.name for variable in self.variables]
        for name in wanted:
            if name not in known:
                raise UserError(f"--vary {name}: the search can vary {', '.join(known)}")
        return self._keep(set(wanted))

    def _keep(self, names: set[str]) -> "Space":
        """The space of these variables; what they need of others holds or not as in the planned recipe."""
        planned = self.planned
        certain = {v.name: planned[v.name] for v in self.active(planned) if v.name not in names}
        kept = []
        for variable in self.variables:
            missing = {name: labels for name, labels in variable.needs.items() if name not in names}
            if variable.name in names and all(certain.get(name) in labels for name, labels in missing.items()):
                needs = {name: labels for name, labels in variable.needs.items() if name in names}
                kept.append(Variable(variable.name, variable.options, needs))
            else:
                names = names - {variable.name}
        return Space(tuple(kept))

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the variables as JSON can hold them."""
        return [asdict(variable) for variable in self.variables]

    @classmethod
    def from_dict(cls, content: Iterable[Mapping[str, Any]]) -> "Space":
        """Return the space that `to_dict` gave."""
        return cls(
            tuple(
                Variable(
                    entry["name"],
                    {label: tuple(settings) for label, settings in entry["options"].items()},
                    {name: tuple(labels) for name, labels in entry["needs"].items()},
                )
                for entry in content
            )
        )
