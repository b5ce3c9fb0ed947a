"""What there is time for: from how many crops on a larger network is ahead of a smaller one.

A larger network learns more from a step and takes fewer steps in the same time. So the choices stand in the order of
what a step costs, and each says how many crops it must see to win. How many crops the minutes buy depends on the
machine: `atrous.recipe.probe` measures it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

RATE = 7.0
"""Crops per second of the larger network for objects on two cores: expected where nothing is measured."""


@dataclass(frozen=True)
class NetworkChoice:
    """A network that is trained from scratch, and its batch.

    Attributes:
        depth: layers of the ResNet.
        batch: crops in a step.
        crops: the training must see at least so many.
        reason: why it is chosen then.
    """

    depth: int
    batch: int
    crops: float
    reason: str


OBJECT_NETWORKS = (
    NetworkChoice(10, 2, 0.0, "objects are small beside the images: fewer layers take more steps in the same time"),
    NetworkChoice(
        18, 4, 8400.0,
        "there is time for more layers: a deeper network catches up after about 6300 crops (15 minutes on two cores)",
    ),
)  # fmt: skip
"""For objects in images.

Nuclei on two cores, at about 7 crops per second: after 8 minutes depth 10 with batch 2 is ahead; after 15 of 30 minutes
depth 18 with batch 4 is level with it (AP50 0.844 and 0.841). After 30 minutes depth 10 with batch 2 has 0.853; depth
18 with batch 8 had 0.868, on a machine that may have been faster. 8400 crops are 20 minutes. Machines of other speeds
were not tried.
"""


def crops_seen(minutes: float | None, rate: float | None) -> float:
    """Return how many crops a training sees.

    Args:
        minutes: wall time of the training; None where its length is given in epochs, which says nothing about the time:
            then 0.
        rate: crops per second; None where it was not measured, which means `RATE`.

    >>> crops_seen(20, None), crops_seen(10, 20.0), crops_seen(None, 20.0)
    (8400.0, 12000.0, 0.0)
    """
    return 60 * (minutes or 0.0) * (RATE if rate is None else rate)


def affordable(choices: Sequence[NetworkChoice], crops: float) -> NetworkChoice:
    """Return the last choice that a training of so many crops is long enough for.

    Args:
        choices: in the order of what a step costs; the first one needs no crops.
        crops: that the training sees.

    >>> affordable(OBJECT_NETWORKS, 3000).depth, affordable(OBJECT_NETWORKS, 9000).depth
    (10, 18)
    """
    return [choice for choice in choices if choice.crops <= crops][-1]
