"""What there is time for: from how many minutes on a larger network is ahead of a smaller one.

A larger network learns more from a step and takes fewer steps in the same time. So the choices stand in the order of
what a step costs, and each says from how many minutes of training it wins. The minutes are measured on two cores.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkChoice:
    """A network that is trained from scratch, and its batch.

    Attributes:
        depth: layers of the ResNet.
        batch: crops in a step.
        minutes: the training must last at least so long.
        reason: why it is chosen then.
    """

    depth: int
    batch: int
    minutes: float
    reason: str


OBJECT_NETWORKS = (
    NetworkChoice(10, 2, 0.0, "objects are small beside the images: fewer layers take more steps in the same time"),
    NetworkChoice(
        18, 4, 20.0,
        "there is time for more layers: on two cores a deeper network catches up after about 15 minutes",
    ),
)  # fmt: skip
"""For objects in images.

Nuclei on two cores: after 8 minutes depth 10 with batch 2 is ahead; after 15 of 30 minutes depth 18 with batch 4 is
level with it (AP50 0.844 and 0.841). After 30 minutes depth 10 with batch 2 has 0.853; depth 18 with batch 8 had 0.868,
on a machine that may have been faster.
"""


def affordable(choices: Sequence[NetworkChoice], minutes: float | None) -> NetworkChoice:
    """Return the last choice that a training of so many minutes has the time for.

    Args:
        choices: in the order of what a step costs; the first one needs no minutes.
        minutes: wall time of the training; None where its length is given in epochs, which says nothing about the time.

    >>> affordable(OBJECT_NETWORKS, 8).depth, affordable(OBJECT_NETWORKS, 30).depth
    (10, 18)
    """
    return [choice for choice in choices if choice.minutes <= (minutes or 0.0)][-1]
