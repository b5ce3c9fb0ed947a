"""Why a network cannot be exported: one line with the true reason and what to do about it.

Some reasons show before the export: the object is no module, its weights have no shape or no numbers yet, its forward
pass takes several inputs. The others are told by what `torch.export` raises.
"""

import contextlib
import inspect
import io
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from atrous.errors import UserError

LOGS = ("torch._subclasses", "torch.fx.experimental", "torch.export", "torch._export")
LONGEST = 240
"""Characters of a reason that somebody else wrote, beyond which it is cut."""

DECIDED = (
    "its forward pass depends on the values of the input (an if, a loop until something holds, a boolean index)",
    "write that part with torch.where or a fixed number of steps, or take the part of the network before it",
)
REASONS: tuple[tuple[str, str | None, str], ...] = (
    (r"data-dependent|data dependent|unbacked|\.item\(\)", *DECIDED),
    (
        r"NVIDIA|[Cc]uda|CUDA",
        "its forward pass works on CUDA, and the network and its input are on another device",
        "create tensors on the device of the input (device=x.device), or move the network to the GPU",
    ),
    (r"on the same device", None, "put all weights and buffers on one device"),
    (r"\.numpy\(\)|numpy", "its forward pass leaves torch (NumPy)", "write that part with operators of torch"),
    (r"channels", None, "give the shape with the channels that the network reads"),
    (
        r"[Kk]ernel size can't be greater|[Oo]utput size is too small|[Pp]adding size should be less|too small",
        None,
        "give a larger input",
    ),
    (r"quantized", "it is quantized", "take the network before quantization"),
)
"""What an error says, the reason in our words (None: in its own), and what to do."""


def one_line(error: BaseException) -> str:
    """Return what an error says in one line, cut where it is long; the name of its type where it says nothing.

    >>> one_line(ValueError("sizes must be\\nmultiples of 32"))
    'sizes must be multiples of 32'
    """
    paragraph = str(error).strip().split("\n\n")[0]
    text = " ".join(paragraph.split()) or type(error).__name__
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " ..."


def require_network(network: Any) -> None:
    """Raise `UserError` unless this is a module whose operators can be known: no script, no weights without a shape."""
    name = type(network).__name__
    if not isinstance(network, nn.Module):
        raise UserError(f"{name}: is no torch.nn.Module: give the network itself")
    if isinstance(network, torch.jit.ScriptModule):
        raise UserError(
            f"{name}: is a ScriptModule, whose operators cannot be followed: give the Python module that it was made of"
        )
    tensors = (*network.named_parameters(), *network.named_buffers())
    lazy = [path for path, value in tensors if isinstance(value, UninitializedParameter | UninitializedBuffer)]
    if lazy:
        raise UserError(
            f"{name}: {lazy[0]} has no shape yet (a lazy module): run the network once on an input of its size before"
        )
    kinds = {value.is_meta for _, value in tensors}
    if kinds == {True, False}:
        path = next(path for path, value in tensors if value.is_meta)
        raise UserError(f"{name}: {path} is on the device meta, without numbers: load its weights, or create it on cpu")


def require_numbers(path: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor; raise `UserError` if it has a shape only (device meta), so that nothing can be computed."""
    if tensor.is_meta:
        raise UserError(f"{path}: is on the device meta, without numbers: load the weights of the network first")
    return tensor


def require_one_input(network: nn.Module) -> None:
    """Raise `UserError` unless the forward pass can be called with one tensor."""
    arguments = inspect.signature(network.forward).parameters.values()
    needed = [a.name for a in arguments if a.default is a.empty and a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)]
    by_name = [a.name for a in arguments if a.kind is a.KEYWORD_ONLY and a.name in needed]
    positional = [a for a in arguments if a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD, a.VAR_POSITIONAL)]
    wrap = "wrap it in a module whose forward pass takes one tensor (N, C, *S)"
    if len(needed) > 1:
        raise UserError(f"{type(network).__name__}: takes {len(needed)} inputs ({', '.join(needed)}): {wrap}")
    if by_name or not positional:
        how = f"takes {by_name[0]} by name only" if by_name else "takes no input"
        raise UserError(f"{type(network).__name__}: {how}: {wrap}")


def require_computable(network: nn.Module) -> None:
    """Raise `UserError` unless this is a module that takes one tensor, and whose weights have numbers."""
    require_weights(network)
    require_one_input(network)


def require_weights(network: nn.Module) -> None:
    """Raise `UserError` unless this is a module whose weights have numbers."""
    require_network(network)
    for path, value in (*network.named_parameters(), *network.named_buffers()):
        require_numbers(path, value)


@contextmanager
def exporting(network: nn.Module, shape: tuple[int, ...]) -> Iterator[None]:
    """Turn what `torch.export` raises within the block into a `UserError` of one line, and silence what it prints."""
    require_network(network)
    require_one_input(network)
    names = [name for name in logging.root.manager.loggerDict if name.startswith(LOGS)]
    logs = [log for log in map(logging.getLogger, names) if not log.disabled]
    printed = io.StringIO()
    for log in logs:
        log.disabled = True
    try:
        with contextlib.redirect_stderr(printed):
            yield
    except Exception as error:
        raise export_error(network, shape, error) from error
    finally:
        for log in logs:
            log.disabled = False
    sys.stderr.write(printed.getvalue())


def export_error(network: nn.Module, shape: tuple[int, ...], error: Exception) -> UserError:
    """Return the error of one line that says why the network cannot be exported, where, and what to do."""
    if isinstance(error, UserError):
        return error
    said = one_line(error)
    what, hint = said, "change that, or try another size (the forward pass may need a multiple of the stride)"
    for pattern, reason, remedy in REASONS:
        if re.search(pattern, said):
            what, hint = reason or said, remedy
            break
    return UserError(
        f"{type(network).__name__}: cannot be exported at input shape {shape}: {what}{_place(error)}: {hint}"
    )


def _place(error: Exception) -> str:
    """Return the line of the user's own code at which the error was raised, if the traceback has one."""
    library = str(Path(torch.__file__).parent)
    own = str(Path(__file__).resolve().parents[1])
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if not f.filename.startswith((library, own, "<")) and f.name not in ("__torch_dispatch__", "inner")
    ]
    standard = str(Path(contextlib.__file__).parent)
    frames = [f for f in frames if not f.filename.startswith(standard) or "site-packages" in f.filename]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
