"""Encoders: networks that turn an input into feature maps at several strides."""

from atrous.encoders.classifier import ClassifierEncoder, classifier_encoder
from atrous.encoders.dense import DenseEncoder, DenseLayers
from atrous.encoders.encoder import Encoder, Plain
from atrous.encoders.lite import efficientnet_lite, efficientnet_lite0
from atrous.encoders.resnet import ResNet
from atrous.encoders.shrunk import Shrunk
from atrous.encoders.timm_encoder import TimmEncoder
from atrous.encoders.vgg import VGG

__all__ = [
    "VGG",
    "ClassifierEncoder",
    "DenseEncoder",
    "DenseLayers",
    "Encoder",
    "Plain",
    "ResNet",
    "Shrunk",
    "TimmEncoder",
    "classifier_encoder",
    "efficientnet_lite",
    "efficientnet_lite0",
]
