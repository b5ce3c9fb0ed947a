"""Networks, each built by a plain function from parts that are passed in."""

from atrous.models.fcn import fcn
from atrous.models.network import DenseNetwork
from atrous.models.unet import unet

__all__ = ["DenseNetwork", "fcn", "unet"]
