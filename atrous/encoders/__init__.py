"""Encoders: networks that turn a grid into feature maps at several strides."""

from atrous.encoders.encoder import Encoder
from atrous.encoders.resnet import ResNet
from atrous.encoders.timm_encoder import TimmEncoder, efficientnet_lite0
from atrous.encoders.vgg import VGG

__all__ = ["VGG", "Encoder", "ResNet", "TimmEncoder", "efficientnet_lite0"]
