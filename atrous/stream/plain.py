"""A runner that autograd can follow: no operator overwrites its inputs, and pieces of barriers go where one asks."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from atrous.geometry.graph import Op
from atrous.geometry.program import OpRun, Program
from atrous.stream.gather import Rows
from atrous.stream.run import Runner

TakePiece = Callable[[int, Tensor, Rows], None]
"""`take(barrier, piece, rows)` is given each piece of a barrier's input, and the rows of the whole that it holds."""


class PlainRunner(Runner):
    """Runs a program operator by operator, without any shortcut that gradients could not go through.

    Arguments:
        program, whole: as for `Runner`.
        gathered: what is given the pieces of each barrier.
    """

    def __init__(self, program: Program, whole: dict[int, Tensor], gathered: dict[int, Any]):
        super().__init__(program, whole, gathered)

    def _place(self, op: Op, run: OpRun) -> Tensor | None:
        return None

    def _may_overwrite(self, value: int, tensors: dict[int, Tensor]) -> bool:
        return False


class _Pieces:
    """Stands in for the gatherer of one barrier."""

    def __init__(self, barrier: int, take: TakePiece):
        self.barrier, self.take = barrier, take

    def update(self, piece: Tensor, rows: Rows) -> None:
        """Hand on one piece."""
        self.take(self.barrier, piece, rows)


def handed_on(program: Program, take: TakePiece) -> dict[int, Any]:
    """Return what stands in for the gatherers of a program, and hands each piece to a function."""
    return {barrier: _Pieces(barrier, take) for barrier in program.owned}


def dropped(barrier: int, piece: Tensor, rows: Rows) -> None:
    """Do nothing with a piece."""
