"""Tables of the torch classes that exist once per number of axes. All other code is written once for any `ndim`."""

from collections.abc import Sequence

from torch import nn

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
CONV_TRANSPOSE = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
BATCH_NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
INSTANCE_NORM = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
MAX_POOL = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVG_POOL = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
REPLICATION_PAD = {1: nn.ReplicationPad1d, 2: nn.ReplicationPad2d, 3: nn.ReplicationPad3d}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
"""Name of linear interpolation in `torch.nn.functional.interpolate`."""


def per_axis(value: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """Return one value per axis: repeat a single number, or check that a sequence has `ndim` values.

    Raises:
        ValueError: the sequence has another length.

    >>> per_axis(3, 2), per_axis((1, 2, 2), 3)
    ((3, 3), (1, 2, 2))
    """
    if isinstance(value, int):
        return (value,) * ndim
    if len(value) != ndim:
        raise ValueError(f"{tuple(value)} has {len(value)} values for {ndim} axes")
    return tuple(value)
