"""Exact streaming: the answer of the whole input, of any fully convolutional network, in bounded memory.

Words that all files here use:

- A *value* is what one operator of the network gives; it has the operator's number. Value 0 is the input.
- One spatial axis is *streamed*: the input is read along it, a *strip* of rows at a time. A *row* is one position of
  the streamed axis (or of whatever axis is named) with everything that a value holds there.
- A value is *whole* when it has no rows along the streamed axis: a weight, a pooled vector.
- A *program* says which rows of which values are to be computed; a *step* is what one strip makes possible.
- A *barrier* needs all rows of its input at once. Each barrier on the way to the output takes one more *pass* over the
  input.

Read `stream.py` first, then `run.py`, `rows.py` and `compute/`; for gradients `gradient_walks.py`.
"""

from atrous.geometry.axis import Refused
from atrous.geometry.plan import StreamPlan
from atrous.stream.differentiable import Differentiable, prepare_gradient
from atrous.stream.dispatch import Cluster, connect
from atrous.stream.gradient import gradient
from atrous.stream.options import Options
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.session import Session
from atrous.stream.stream import plan, stream
from atrous.tasks.summed import SummedLoss

__all__ = [
    "Cluster",
    "Differentiable",
    "Options",
    "Prepared",
    "Refused",
    "Session",
    "StreamPlan",
    "SummedLoss",
    "connect",
    "gradient",
    "plan",
    "prepare",
    "prepare_gradient",
    "stream",
]
