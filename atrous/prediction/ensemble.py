"""Several trained networks that predict as one: the mean of their calibrated probabilities."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import nn

from atrous.errors import UserError
from atrous.nn.blocks import Normalize
from atrous.prediction.predictor import LoadOptions, Predictor, load
from atrous.recipe.run import Run
from atrous.tasks.custom import gene_rules, least_lengths
from atrous.tasks.ensemble import EnsembleTask
from atrous.tasks.foreground import ForegroundTask
from atrous.tasks.semantic import Semantic
from atrous.tasks.stranded import Stranded
from atrous.tasks.temperature import class_task


class JoinedNetworks(nn.Module):
    """Networks side by side on the same input: `(N, C, *S)` raw values -> their outputs, joined along the channels.

    It is one network for `atrous.stream`: an input of any size goes through all of them in one pass, strip by strip.
    The first one's normalization is that of the whole. What another one learned with another mean and deviation is
    given values that are scaled from the one to the other.

    Args:
        networks: `(N, C, *S) -> (N, K, *S)`; copies of them are taken.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        copies = [copy.deepcopy(network) for network in networks]
        (mean, std), ndim = statistics(copies[0]), networks[0].normalize.mean.ndim - 2  # type: ignore[union-attr]
        self.normalize = Normalize(mean.tolist(), std.tolist(), ndim)  # type: ignore[arg-type]
        for each in copies:
            own_mean, own_std = statistics(each)
            same = torch.equal(own_mean, mean) and torch.equal(own_std, std)
            # z = (x - mean) / std, so (x - own_mean) / own_std = (z - (own_mean - mean) / std) / (own_std / std)
            scaled = Normalize(((own_mean - mean) / std).tolist(), (own_std / std).tolist(), ndim)  # type: ignore[arg-type]
            each.add_module("normalize", nn.Identity() if same else scaled)
        self.networks = nn.ModuleList(copies)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs `(N, sum of K, *S)` of `(N, C, *S)`."""
        x = self.normalize(x)
        return torch.cat([network(x) for network in self.networks], dim=1)


def statistics(network: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation `(C,)` with which a network normalizes its input."""
    return network.normalize.mean.flatten().cpu(), network.normalize.std.flatten().cpu()


def load_ensemble(runs: Sequence[Run | Path | str], *, flip: bool = False, **loading: Unpack[LoadOptions]) -> Predictor:
    """Load one or more trained networks as one predictor.

    Args:
        runs: folders; the first one says how inputs are read and what the classes look like.
        flip: whether to average over mirror images; of a single run only.
        **loading: as `atrous.load` takes them.

    Returns:
        The predictor of a single run; for several, one whose probabilities are the mean of those of all, each
        calibrated by its own run.

    Raises:
        UserError: a run cannot be loaded, has other classes or reads its input in another way than the first one, or
            finds objects or numbers and not classes.
    """
    first, *others = [load(run, flip=flip, **loading) for run in runs]
    if not others:
        return first
    if flip:
        raise UserError("--tta flip: an ensemble is not averaged over mirror images too: leave one of them out")
    tasks: list[Any] = [class_task(each.task) for each in (first, *others)]
    for each, task in zip((first, *others), tasks, strict=True):
        if not isinstance(task, Semantic | Stranded):
            raise UserError(f"{each.run.title}: --ensemble is for probabilities of classes: leave it out")
        if isinstance(each.task, ForegroundTask):
            raise UserError(f"{each.run.title}: --ensemble is not for change and motion: leave it out")
        _check_alike(first, each)
    networks = [each.network for each in (first, *others)]
    pairs = [statistics(network) for network in networks]
    # What is scaled from one normalization to another would be rounded twice in a short type.
    alike = all(torch.equal(torch.stack(pair), torch.stack(pairs[0])) for pair in pairs)
    short = alike and all(each.dtype != torch.float32 for each in others)
    dtype = first.dtype if short or first.dtype == torch.float64 else torch.float32
    task = EnsembleTask(tuple(tasks))
    return replace(first, network=JoinedNetworks(networks).eval(), task=task, dtype=dtype)


def _check_alike(first: Predictor, other: Predictor) -> None:
    """Refuse a run that cannot be averaged with the first one.

    Raises:
        UserError: it has other classes, or reads its input in another way.
    """
    folder, before = other.run.folder, first.run.folder
    if other.classes != first.classes:
        raise UserError(
            f"{folder}: classes are {', '.join(other.classes)}, but {before} has {', '.join(first.classes)}: an "
            "ensemble needs runs that learned the same classes in the same order"
        )
    facts = {
        "kind of data": lambda p: p.kind,
        "task": lambda p: p.run.recipe.task.kind,
        "number of axes": lambda p: p.run.recipe.model.ndim,
        "number of channels": lambda p: p.run.recipe.model.in_channels,
        "channels": lambda p: p.expected.channels,
        "orientation": lambda p: p.expected.orientation,
        "signals": lambda p: tuple(p.run.recipe.input.tracks),
        "scaling of the intensities": lambda p: (p.preparation.intensity, p.preparation.low, p.preparation.high),
        "spacing": lambda p: p.preparation.spacing,
        "value for no data": lambda p: p.preparation.nodata,
        "rules of genes": lambda p: gene_rules(p.task),
        "least lengths of intervals": lambda p: least_lengths(p.task),
    }
    for name, fact in facts.items():
        if fact(first) != fact(other):
            raise UserError(
                f"{folder}: its {name} is {_said(fact(other))}, that of {before} {_said(fact(first))}: an ensemble "
                "needs runs that read their input alike; train them on one data set with different --seed"
            )


def _said(fact: object) -> str:
    return "none" if fact in ((), "", None) else str(fact)
