"""A module that keeps the grid, run on each phase of a finer grid by itself.

With `r` fine positions per coarse position, a fine grid is made of `r` interleaved grids per axis: phase `p` holds the
fine positions `p, p + r, p + 2r, ...`. Phase 0 is the coarse grid. A module that maps a grid to a grid of the same size
can run on each phase as it stands, whatever it does inside: attention, norms over positions, reflecting padding. Phase
0 is then the original's value, borders included, and the other phases are those of shift-and-stitch (Long, Shelhamer
and Darrell, CVPR 2015, section 3.1).

Modules whose operators can be dilated one by one are not run so: there one convolution does the work of all phases.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.errors import UserError

Phase = tuple[int, ...]


class OnPhases(nn.Module):
    """Mixin for a module that runs on each phase by itself; `rates` holds the phases per axis.

    The module keeps its name, parameters, children and hooks, since only its class changes.
    """

    rates: tuple[int, ...]

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Map `(N, C, *S)` to `(N, C', *S)`; the one tensor among the arguments is split, the others are passed on."""
        places = [(args, i) for i, a in enumerate(args) if isinstance(a, Tensor)]
        names = [name for name, a in kwargs.items() if isinstance(a, Tensor)]
        kind = type(self).__name__
        if len(places) + len(names) != 1:
            raise UserError(f"{kind} is called with several tensors: only a module of one map can run on each phase")

        def run(x: Tensor) -> Tensor:
            given = [x if isinstance(a, Tensor) else a for a in args]
            y = super(OnPhases, self).forward(*given, **{n: x if n in names else a for n, a in kwargs.items()})
            if not isinstance(y, Tensor) or y.shape[2:] != x.shape[2:]:
                raise UserError(
                    f"{kind} gives {tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__} for a map of "
                    f"{tuple(x.shape)}: only a module that keeps the size of its map can run on each phase"
                )
            return y

        x = args[places[0][1]] if places else kwargs[names[0]]
        results: dict[Phase, Tensor] = {}
        for phases in _alike(x.shape[2:], self.rates):
            parts = [x[_index(phase, self.rates)] for phase in phases]
            # One batch is faster. An exported graph has one image at a time, so that norms over positions can stream.
            apart = torch.compiler.is_exporting()
            found = [run(part) for part in parts] if apart else run(torch.cat(parts)).split(x.shape[0])
            results.update(zip(phases, found, strict=True))
        return interleaved(results, self.rates, x.shape[2:])

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Make the class anew where the module is copied or loaded: it is not found under its name."""
        return _empty, (type(self).__mro__[2],), self.__dict__

    def extra_repr(self) -> str:
        """Return what the module's own class says of it, and the phases."""
        own = super().extra_repr()
        return f"{own}{', ' if own else ''}on each of {'x'.join(map(str, self.rates))} phases"


def run_on_phases(module: nn.Module, rates: Sequence[int]) -> None:
    """Let a module run on each of `rates` phases per axis, in place.

    A module that runs on phases already runs on so many times more.
    """
    if isinstance(module, OnPhases):
        module.rates = tuple(old * new for old, new in zip(module.rates, rates, strict=True))
        return
    module.__class__ = _class_on_phases(type(module))  # not a new module: every reference to the old one stays valid
    cast(OnPhases, module).rates = tuple(rates)


@cache
def _class_on_phases(kind: type) -> type:
    """Return the class of modules of class `kind` that run on phases, under the same name."""
    return type(kind.__name__, (OnPhases, kind), {"__module__": __name__})


def _empty(kind: type) -> nn.Module:
    """Return a module of class `kind` on phases without content, which a copy fills."""
    made: Any = _class_on_phases(kind)
    return made.__new__(made)


def _index(phase: Phase, rates: Sequence[int]) -> tuple[Any, ...]:
    """Return the index of the positions of a phase in `(N, C, *S)`."""
    return (..., *(slice(p, None, r) for p, r in zip(phase, rates, strict=True)))


def _alike(sizes: Sequence[int], rates: Sequence[int]) -> list[list[Phase]]:
    """Return the phases that hold positions, in groups of equal size, each of which is one batch.

    >>> _alike((5,), (2,)), _alike((6,), (2,)), _alike((1,), (2,))
    ([[(0,)], [(1,)]], [[(0,), (1,)]], [[(0,)]])
    """
    groups: dict[tuple[int, ...], list[Phase]] = defaultdict(list)
    for phase in product(*map(range, rates)):
        own = tuple(-(-(size - p) // r) for size, p, r in zip(sizes, phase, rates, strict=True))
        if min(own) > 0:
            groups[own].append(phase)
    return list(groups.values())


def interleaved(results: dict[Phase, Tensor], rates: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Return the map `(N, C, *sizes)` whose phases are the values of `results`; phase 0 is the longest.

    >>> even, odd = torch.tensor([[[0.0, 2.0, 4.0]]]), torch.tensor([[[1.0, 3.0]]])
    >>> interleaved({(0,): even, (1,): odd}, (2,), (5,)).tolist()
    [[[0.0, 1.0, 2.0, 3.0, 4.0]]]
    """
    longest = results[(0,) * len(rates)]
    coarse, n = longest.shape[2:], len(rates)
    padded = []
    for phase in product(*map(range, rates)):
        value = results.get(phase)
        if value is None:  # a phase without positions
            padded.append(torch.zeros_like(longest))
            continue
        missing = [m for length, own in zip(coarse, value.shape[2:], strict=True) for m in (length - own, 0)]
        padded.append(F.pad(value, missing[::-1]) if any(missing) else value)
    # (N, C, *coarse, *rates) -> (N, C, coarse 0, rate 0, coarse 1, rate 1, ...) -> (N, C, *(coarse * rates))
    x = torch.stack(padded, -1).reshape(*longest.shape, *rates)
    x = x.permute(0, 1, *(dim for g in range(n) for dim in (2 + g, 2 + n + g)))
    x = x.reshape(*longest.shape[:2], *(length * r for length, r in zip(coarse, rates, strict=True)))
    return x[(..., *(slice(size) for size in sizes))]
