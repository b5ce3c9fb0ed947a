"""The loss of an output, strip by strip: sums over positions, of which each strip gives its part."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.errors import UserError
from atrous.tasks.summed import SummedLoss

Loss = Callable[[Tensor, Any], Tensor]
"""`loss(output, target)` returns a scalar: of a dense output a sum over positions, or what a `SummedLoss` makes of
several sums; of a pooled output any number."""

TOLERANCE = {torch.float64: 1e-6}
"""How far the sums of a strip may be from those of its halves together, in parts of these; else `ROUNDING`."""
ROUNDING = 1e-3


class DenseObjective:
    """The loss of an output with positions, `(1, ..., *S)`.

    Arguments:
        loss: called with rows of the output `(1, ..., *rows)` and the same rows of the target `(1, ..., *rows)`.
        target: `(..., *S)`, anything that can be sliced; None for a loss of the output alone.
        sizes: the spatial sizes `S` of the output.
        axis: the spatial axis along which strips are taken.

    Raises `UserError` when the target does not have the sizes of the output, and when the loss is no sum.
    """

    def __init__(self, loss: Loss, target: Any, sizes: tuple[int, ...], axis: int):
        self.loss, self.target, self.sizes, self.axis = loss, target, sizes, axis
        self.several = isinstance(loss, SummedLoss)
        self.checked = False
        if target is None:
            return
        shape = getattr(target, "shape", None)
        if shape is None or tuple(shape[len(shape) - len(sizes) :]) != sizes:
            what = type(target).__name__ if shape is None else tuple(shape)
            raise UserError(f"target: is {what}, but its last sizes must be those of the output, {sizes}")

    def sums(self, rows: Tensor, lo: int, hi: int) -> Tensor:
        """Return the part `(M,)` of rows `[lo, hi)` of the output in each sum."""
        target = self._target(lo, hi, rows)
        parts = self._sums(rows, target)
        if not self.checked and hi - lo > 1:
            self._require_sum(rows, target, parts)
        return parts

    def value(self, sums: Tensor) -> Tensor:
        """Return the loss by its sums."""
        return self.loss.value(sums) if isinstance(self.loss, SummedLoss) else sums.sum()

    def _sums(self, rows: Tensor, target: Tensor | None) -> Tensor:
        if isinstance(self.loss, SummedLoss):
            return self.loss.sums(rows, target)
        value = self.loss(rows, target)
        if not isinstance(value, Tensor) or value.numel() != 1:
            what = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f'the loss gave {what}: return one number, the sum over positions (reduction="sum")')
        return value.reshape(1)

    def _target(self, lo: int, hi: int, rows: Tensor) -> Tensor | None:
        """Return rows of the target with a batch axis: integers as int64, other numbers in the type of the output."""
        if self.target is None:
            return None
        leading = len(self.target.shape) - len(self.sizes)
        spatial = [slice(lo, hi) if g == self.axis else slice(None) for g in range(len(self.sizes))]
        part = self.target[(slice(None),) * leading + tuple(spatial)]
        if not isinstance(part, Tensor):
            part = np.asarray(part)
            kind = {"u": np.int64, "i": np.int64}.get(part.dtype.kind, part.dtype.newbyteorder("="))
            part = torch.from_numpy(np.array(part, dtype=kind))
        part = part.detach().to(rows.device)[None]
        if part.is_floating_point():
            return part.to(rows.dtype)
        return part if part.dtype == torch.bool else part.long()

    def _require_sum(self, rows: Tensor, target: Tensor | None, whole: Tensor) -> None:
        """Raise `UserError` unless the sums of the rows are those of their halves together."""
        place, tolerance = self.axis - len(self.sizes), TOLERANCE.get(whole.dtype, ROUNDING)
        half = rows.shape[place] // 2
        whole = whole.detach().double()
        together = torch.zeros_like(whole)
        size = together.clone()
        with torch.no_grad():
            for start, count in ((0, half), (half, rows.shape[place] - half)):
                given = None if target is None else target.narrow(place, start, count)
                part = self._sums(rows.detach().narrow(place, start, count), given).double()
                together, size = together + part, size + part.abs()
        wrong = ~((whole - together).abs() <= tolerance * size)
        if bool(wrong.any()):
            first = int(wrong.nonzero()[0])
            raise UserError(
                f"the loss is no sum over positions: a strip gives {float(whole[first]):.6g}, its two halves together "
                f'{float(together[first]):.6g}: take reduction="sum" and give the divisor as scale=, or a SummedLoss'
            )
        self.checked = bool(size.sum() > 0)
