"""A training that starts from the weights of another run (fine-tuning): `train.start` in a recipe."""

from pathlib import Path
from typing import Any

from torch import nn

from atrous.errors import UserError
from atrous.models.network import DenseNetwork
from atrous.nn.blocks import Normalize
from atrous.recipe.plan import PlannedRecipe
from atrous.recipe.run import Run, open_run
from atrous.recipe.schema import validate
from atrous.surgery.transplant import transplant

OF_DATA = ("ndim", "in_channels", "mean", "std", "partners", "factor")
"""Keys of the section `model` that follow from the data, not from the run that a training starts from."""


class NothingFitsError(UserError):
    """Not one tensor of the run has the shape of one of the network."""


def check_start(folder: Path | str) -> Run:
    """Open the run whose weights a training starts from.

    Raises:
        UserError: it is neither the folder of a run nor a named model, or the run has no weights.
    """
    run = open_run(folder)
    if not run.weights.exists():
        raise UserError(f"{run.weights}: no such file: a training can only start from a run that has weights")
    return run


def with_network_of(run: Run, planned: PlannedRecipe) -> PlannedRecipe:
    """Return a planned recipe with the network of a run, if both learn the same kind of task on as many axes.

    Channels and normalization stay those of the data. In all other cases the plan stays as it is.

    Raises:
        UserError: the run's network does not go together with the planned recipe.
    """
    theirs, recipe = run.recipe, planned.recipe
    alike = theirs.task.kind == recipe.task.kind and theirs.model.ndim == recipe.model.ndim
    if not alike or theirs.model.name == "custom":
        return planned
    values = recipe.model_dump()
    model = {key: value for key, value in theirs.model.model_dump().items() if key not in OF_DATA}
    values["model"] |= model
    reasons = {key: reason for key, reason in planned.reasons.items() if key.removeprefix("model.") not in model}
    reasons["model.name"] = f"the network of {run.title}, from whose weights the training starts"
    return PlannedRecipe(validate(values, f"--start {run.title}"), reasons)


def start_from(folder: Path, network: DenseNetwork) -> tuple[DenseNetwork, str]:
    """Return the network with the weights of a run wherever they fit, and a line that says how many do.

    Tensors are matched as `atrous.transplant` does. The normalization of the input is not copied: it belongs to the
    recipe, that is, to the data.

    Args:
        folder: of the run, or the name of a model.
        network: that of the recipe; it is not changed.

    Raises:
        NothingFitsError: no tensor fits.
        UserError: the folder is not that of a run with weights.
    """
    run = check_start(folder)
    kept = normalizations(network)
    given = {name: value for name, value in run.tensors().items() if name not in kept}
    try:
        converted = transplant(given, network)
    except UserError as error:
        raise NothingFitsError(f"{run.title}: none of its weights fits this network: start from another") from error
    started: Any = converted.network
    wanted = [name for name in network.state_dict() if name not in kept]
    copied = int(converted.certificate.compared.split()[0])
    return started, f"starting from {run.title}: {copied} of {len(wanted)} tensors fit and are copied"


def normalizations(network: nn.Module) -> set[str]:
    """Return the names of the tensors that normalize the input.

    >>> sorted(normalizations(nn.Sequential(Normalize([0.0], [1.0], ndim=1), nn.Conv1d(1, 2, 3))))
    ['0.mean', '0.std']
    """
    return {
        f"{path}.{name}".lstrip(".")
        for path, module in network.named_modules()
        if isinstance(module, Normalize)
        for name in ("mean", "std")
    }
