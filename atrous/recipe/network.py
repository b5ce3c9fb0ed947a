"""From the model section of a recipe to a network. One dict of encoders, one of models."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from atrous.encoders.classifier import classifier_encoder
from atrous.encoders.dense import DenseLayers
from atrous.encoders.encoder import Encoder
from atrous.encoders.lite import LITE_NAMES, efficientnet_lite
from atrous.encoders.moving import WithMotion
from atrous.encoders.pairs import Siamese, WithDifference
from atrous.encoders.resnet import ResNet
from atrous.encoders.shrunk import Shrunk
from atrous.encoders.strided import Strided
from atrous.encoders.timm_encoder import TimmEncoder
from atrous.encoders.vgg import VGG
from atrous.errors import UserError
from atrous.models.codons import codons
from atrous.models.deeplab import deeplab
from atrous.models.dilated import dilated
from atrous.models.evidence import EvidenceNetwork
from atrous.models.fc_densenet import fc_densenet
from atrous.models.fcn import fcn
from atrous.models.fcos import fcos
from atrous.models.five_layer import five_layer
from atrous.models.hed import hed
from atrous.models.network import DenseNetwork
from atrous.models.own import own_network
from atrous.models.restorer import Restorer
from atrous.models.segnet import segnet
from atrous.models.skips import fcn8s, fcn16s, fcn32s
from atrous.models.stylizer import Stylizer
from atrous.models.unet import unet
from atrous.models.video import VideoNetwork
from atrous.nn.attention import attention
from atrous.recipe.model_keys import WITHOUT_ENCODER
from atrous.recipe.sections import ModelSection
from atrous.surgery.dilate import dilate
from atrous.surgery.inflate import inflate

TORCHVISION = "torchvision:"
CUSTOM = "custom"
"""The model name of runs that trained the user's own network."""
OUTPUT_STRIDES = {"deeplab": 16, "dilated": 8}
"""Of the encoder where a recipe says nothing; the other models take it as it is."""
ENCODERS: dict[str, Callable[[ModelSection, int | None], Encoder]] = {
    "resnet": lambda m, stride: ResNet(
        m.ndim,
        m.in_channels,
        depth=m.depth,
        width=m.encoder_width,
        strides=tuple(s if isinstance(s, int) else tuple(s) for s in m.strides),
        output_stride=stride,
        antialias=m.antialias,
        stem=m.stem,
    ),
    "vgg": lambda m, stride: VGG(
        m.ndim, m.in_channels, depth=m.depth, width=m.encoder_width, output_stride=stride, antialias=m.antialias
    ),
    "strided": lambda m, _: Strided(
        m.ndim, m.in_channels, width=m.encoder_width, strides=[s if isinstance(s, int) else tuple(s) for s in m.strides]
    ),
}
"""Encoders of our own, in any dimension; every other name is asked of torchvision or timm."""


def _with_encoder(build: Callable[..., DenseNetwork], *names: str) -> Callable[..., DenseNetwork]:
    """A builder over the recipe's encoder that is given these keys of the model section by name."""

    def made(model: ModelSection, outputs: int, **options: Any) -> DenseNetwork:
        return build(build_encoder(model), outputs, **{name: getattr(model, name) for name in names}, **options)

    return made


def _fused(build: Callable[..., DenseNetwork]) -> Callable[..., DenseNetwork]:
    def made(model: ModelSection, outputs: int, **options: Any) -> DenseNetwork:
        if model.fusion is not None:
            options["fuse"] = model.fusion
        return build(build_encoder(model), outputs, width=model.width, **options)

    return made


def _fc_densenet(model: ModelSection, outputs: int, **options: Any) -> DenseNetwork:
    *blocks, bottleneck = model.blocks
    layers = DenseLayers(tuple(blocks), bottleneck=bottleneck, growth=model.growth)
    return fc_densenet(model.ndim, model.in_channels, outputs, layers=layers, **options)


def _five_layer(model: ModelSection, outputs: int, **options: Any) -> DenseNetwork:
    return five_layer(model.ndim, model.in_channels, outputs, width=model.width, **options)


def _codons(model: ModelSection, outputs: int, **options: Any) -> DenseNetwork:
    options["reverse_complement"] = model.reverse_complement and (model.partners or True)
    options |= {"width": (model.width, model.local), "dilations": model.dilations}
    return codons(model.ndim, model.in_channels, outputs, **options)


def _restorer(model: ModelSection, outputs: int, **options: Any) -> nn.Module:
    given = {"width": model.width, "levels": model.levels, "stride": model.first_stride, "factor": model.factor}
    given["residual"] = model.residual is not False
    return Restorer(model.ndim, model.in_channels, outputs, **given, **options)


def _evidence(model: ModelSection, outputs: int, **options: Any) -> nn.Module:
    return EvidenceNetwork(build_encoder(model), outputs, **options)


def _stylizer(model: ModelSection, outputs: int, **options: Any) -> nn.Module:
    return Stylizer(model.ndim, model.in_channels, outputs, width=model.width, **options)


MODELS: dict[str, Callable[..., Any]] = {
    "fcn": _fused(fcn),
    "unet": _fused(unet),
    "fcn32s": _with_encoder(fcn32s),
    "fcn16s": _with_encoder(fcn16s),
    "fcn8s": _with_encoder(fcn8s, "at_once"),
    "fcos": _with_encoder(fcos, "width", "finest"),
    "hed": _with_encoder(hed, "width", "detail"),
    "segnet": _with_encoder(segnet),
    "deeplab": _with_encoder(deeplab, "width", "rates", "image_pooling"),
    "dilated": _with_encoder(dilated, "width", "context"),
    "fc_densenet": _fc_densenet,
    "five_layer": _five_layer,
    "codons": _codons,
    "restorer": _restorer,
    "stylizer": _stylizer,
    "evidence": _evidence,
}


def build_encoder(model: ModelSection) -> Encoder:
    """The recipe's encoder.

    Raises:
        UserError: there is no such encoder, or it does not fit `ndim`, `depth` or the output stride.
    """
    if model.motion:
        frame = build_encoder(model.model_copy(update={"motion": False, "shrink": 1}))
        try:
            encoder = WithMotion(frame)
        except ValueError as error:
            raise UserError(f"model.motion: {error}") from error
        return encoder if model.shrink == 1 else Shrunk(encoder, model.shrink)
    if model.compare != "channels":
        images = 1 if model.compare == "features" else 3  # how many of them one encoder sees at once
        alone = model.model_copy(update={"in_channels": model.in_channels // 2 * images, "compare": "channels"})
        encoder = build_encoder(alone)
        return Siamese(encoder) if model.compare == "features" else WithDifference(encoder)
    encoder = _encoder(model)
    return encoder if model.shrink == 1 else Shrunk(encoder, model.shrink)


def _encoder(model: ModelSection) -> Encoder:
    stride = model.output_stride or OUTPUT_STRIDES.get(model.name)
    if model.encoder in ENCODERS:
        try:
            return ENCODERS[model.encoder](model, stride)
        except ValueError as error:
            raise UserError(f"model.encoder = {model.encoder!r}: {error}") from error
    if model.ndim == 1:
        raise UserError(f"model.encoder = {model.encoder!r} is 2-D, the data are 1-D: use resnet or vgg")
    if model.antialias:
        raise UserError(f"model.antialias is for resnet and vgg, not for model.encoder = {model.encoder!r}")
    if model.encoder in LITE_NAMES:
        encoder = efficientnet_lite(model.encoder, model.in_channels, pretrained=model.pretrained)
    elif model.encoder.startswith(TORCHVISION):
        name = model.encoder.removeprefix(TORCHVISION)
        encoder = classifier_encoder(name, model.in_channels, pretrained=model.pretrained)
    else:
        encoder = TimmEncoder(model.encoder, model.in_channels, pretrained=model.pretrained)
    if stride is not None and max(encoder.strides[-1]) > stride:
        strides = tuple(tuple(min(step, stride) for step in level) for level in encoder.strides)
        dense: Any = dilate(encoder, stride).network
        dense.strides = strides
        encoder = dense
    return encoder if model.ndim == 2 else _inflated(encoder)


def _inflated(encoder: Any) -> Encoder:
    """A 2-D encoder for volumes: it keeps its weights, strides along depth are those along height."""
    side = max(encoder.strides[-1])
    inflated: Any = inflate(encoder, shape=(encoder.in_channels, side, side)).network
    inflated.ndim, inflated.strides = 3, tuple((level[0], *level) for level in encoder.strides)
    return inflated


def build_network(model: ModelSection, outputs: int, own: nn.Module | None = None) -> DenseNetwork:
    """Return the recipe's network, `(N, in_channels, *S)` raw values to `(N, outputs, *S)`.

    Args:
        model: the section `model` of the recipe.
        outputs: channels of the output.
        own: the user's network, where `model.name` is "own".

    Raises:
        UserError: the model, its encoder and its options do not go together; or the user's network is missing or does
            not fit.

    >>> build_network(ModelSection(encoder_width=8, width=16, depth=10), 2).outputs
    2
    """
    if model.name == CUSTOM:
        if own is None:
            raise UserError(
                "the run trained a network of your own, which only Python can build: pass it, as in "
                "atrous.load(run, network=MyNetwork())"
            )
        statistics: dict[str, Any] = {"mean": model.mean, "std": model.std}
        return own_network(own, model.ndim, model.in_channels, outputs, coarse=model.coarse, **statistics)  # pyright: ignore[reportReturnType]
    if own is not None:
        raise UserError(f"the run trained {model.name!r}, which atrous builds itself: leave network= out")
    if model.temporal != "none":
        picture = build_network(model.model_copy(update={"ndim": 2, "temporal": "none"}), outputs)
        try:
            return VideoNetwork(
                picture, model.temporal, kernel=model.temporal_kernel, causal=model.causal, motion=model.motion
            )
        except ValueError as error:
            raise UserError(f"model.temporal = {model.temporal!r}: {error}") from error
    if model.name not in MODELS:
        raise UserError(f"model.name = {model.name!r}: a network of your own is built in Python: pass it as network=")
    options: dict[str, Any] = {"mean": model.mean, "std": model.std}
    if model.attention != "none":
        options["attend"] = partial(attention, model.attention)
    if model.fine:
        options["fine"] = True
    if model.deep_supervision:
        options["deep_supervision"] = True
    try:
        return MODELS[model.name](model, outputs, **options)
    except ValueError as error:
        raise UserError(f"model.name = {model.name!r} over model.encoder = {model.encoder!r}: {error}") from error


def describe(model: ModelSection) -> str:
    """The network in a few words.

    >>> describe(ModelSection(name="unet", attention="scse"))
    'unet over resnet with scse attention'
    """
    text = model.name if model.name in WITHOUT_ENCODER else f"{model.name} over {model.encoder}"
    text = text if model.attention == "none" else f"{text} with {model.attention} attention"
    text += {"channels": "", "values": " of two images and their difference", "features": ", siamese"}[model.compare]
    if model.temporal == "none":
        return text
    along = {"frames": "frame by frame", "levels": "mixed along time", "blocks": "(2+1)-D"}[model.temporal]
    return f"{text}{' with motion' if model.motion else ''}, {along}{', causal' if model.causal else ''}"
