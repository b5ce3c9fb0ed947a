"""How short the intervals in the labels of a signal may be: those of the training split say it."""

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.recipe.schema import Recipe

GRIDS = "grids"


def least_samples(recipe: Recipe) -> tuple[int, ...]:
    """Return the samples of the shortest interval of each class in the labels of a signal.

    `task.shortest` has them at the rate of the training data; the network may work at another one (`input.spacing`).

    Empty where each sample gets its most probable class: the recipe says nothing (`task.shortest`), every length is 0
    or 1, or the data are genomes, of whose intervals short ones are left out instead.
    """
    given, files, network = recipe.task.shortest, recipe.input.grid, recipe.input.spacing
    if recipe.model.ndim != 1 or recipe.data.kind != GRIDS or max(given, default=0) < 2:
        return ()
    factor = files[0] / network[0] if files and network else 1.0
    least = tuple(max(1, int(length * factor + 1e-6)) for length in given)
    return least if max(least) > 1 else ()


def plan_shortest(dataset: Dataset, fingerprint: Fingerprint, reasons: dict[str, str]) -> list[int]:
    """Return the key `task.shortest` of a recording with a class at each sample; empty for other data."""
    if dataset.task != "semantic" or fingerprint.ndim != 1 or max(fingerprint.shortest or (), default=0) < 2:
        return []
    reasons["task.shortest"] = (
        "samples of the shortest intervals of the training split, without the shortest 0.5 % as slips: none in the "
        "labels is shorter; 1 is any, also where a class has few intervals"
    )
    return list(fingerprint.shortest or ())
