"""Networks, each built by a plain function from parts that are passed in."""

from atrous.models.codons import codons
from atrous.models.deeplab import deeplab
from atrous.models.dilated import dilated
from atrous.models.fc_densenet import fc_densenet
from atrous.models.fcn import fcn
from atrous.models.fcos import fcos
from atrous.models.five_layer import five_layer
from atrous.models.hed import hed
from atrous.models.network import DenseNetwork
from atrous.models.segnet import segnet
from atrous.models.skips import fcn8s, fcn16s, fcn32s
from atrous.models.unet import unet
from atrous.models.video import VideoNetwork

__all__ = [
    "DenseNetwork",
    "VideoNetwork",
    "codons",
    "deeplab",
    "dilated",
    "fc_densenet",
    "fcn",
    "fcn8s",
    "fcn16s",
    "fcn32s",
    "fcos",
    "five_layer",
    "hed",
    "segnet",
    "unet",
]
