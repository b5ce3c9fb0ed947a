"""The complete state of a run in one file, which is never half-written and needs no unpickling to be read."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from atrous.errors import UserError
from atrous.files import disk_trouble, replacing


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and JSON facts to a safetensors file.

    The data go to a second file, which then replaces the first by a rename. If the process is killed at any moment,
    either the old file or the new one is complete.

    Args:
        path: file to write; its folder is created if needed.
        tensors: tensors by name.
        facts: anything that JSON can hold.

    Raises:
        UserError: the disk is full or does not take the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        try:
            save_file({k: v.detach().contiguous() for k, v in tensors.items()}, beside, {"facts": json.dumps(facts)})
        except SafetensorError as error:
            trouble = disk_trouble(error)
            if trouble is None:
                raise
            raise UserError(f"{path}: {trouble}") from error


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors and the facts of a file that `write_tensors` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: give the folder of a run") from None
    except Exception as error:  # safetensors raises its own error class for every kind of damage
        raise UserError(
            f"{path}: cannot be read as a safetensors file ({error}): it may be damaged, restore it from a copy"
        ) from error


def state_path(folder: Path) -> Path:
    """Return where the state of the run in `folder` lies."""
    return folder / "checkpoint" / "state.safetensors"


def has_state(folder: Path) -> bool:
    """Return whether the run in `folder` has a checkpoint; a run killed before its first one has none."""
    return state_path(folder).exists()


def pack(network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return all tensors that the next training step depends on, by names such as "network/weight"."""
    tensors = {f"network/{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{k}": v for k, v in values.items()}
    return tensors


def unpack(
    tensors: dict[str, torch.Tensor], network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Load the tensors that `pack` returned into a network, an average and an optimizer that were built the same way.

    Raises:
        UserError: the checkpoint belongs to another network.
    """

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}

    try:
        network.load_state_dict(part("network/"))
        average.load_state_dict(part("average/"))
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise UserError(
            f"the checkpoint does not fit the recipe's network: {first}: use the recipe that the run began with"
        ) from error
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in part("optimizer/").items():
        index, key = name.split("/")
        parameter = parameters[int(index)]
        # A fused optimizer reads memory in storage order, so its state needs the memory format of the weight.
        state_value = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        state.setdefault(int(index), {})[key] = state_value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
