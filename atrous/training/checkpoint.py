"""The whole state of a run in one file that needs no unpickling and is never half-written."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from atrous.errors import UserError
from atrous.files import replacing


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and JSON facts to a safetensors file.

    A process that is killed at any moment, or a power cut, leaves the whole old file or the whole new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        save_file({k: v.detach().contiguous() for k, v in tensors.items()}, beside, {"facts": json.dumps(facts)})
        with beside.open("rb") as written:
            os.fsync(written.fileno())


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and facts of a file from `write_tensors`.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: is this the folder of a run?") from None
    except Exception as error:  # safetensors raises its own error class for every kind of damage
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error


def pack(network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Everything that the next step depends on, as flat tensors."""
    tensors = {f"network/{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{k}": v for k, v in values.items()}
    return tensors


def unpack(
    tensors: dict[str, torch.Tensor], network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Load what `pack` gave into objects built the same way.

    Raises:
        UserError: the checkpoint is of another network.
    """

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}

    try:
        network.load_state_dict(part("network/"))
        average.load_state_dict(part("average/"))
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise UserError(f"the checkpoint does not fit the recipe's network: {first}") from error
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in part("optimizer/").items():
        index, key = name.split("/")
        like = parameters[int(index)]
        # A fused optimizer walks memory, not indices: its state must lie as the weight does (channels_last).
        laid = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
        state.setdefault(int(index), {})[key] = laid
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
