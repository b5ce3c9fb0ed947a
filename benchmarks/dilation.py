"""Lower the output stride of encoders by our `dilate` and by the libraries' own options, and compare with the original.

    python -m benchmarks.dilation --keep rows.jsonl

Weights and batch-norm statistics are random, numbers are float32. Errors are the largest |difference| divided by the
largest |output of the original|. The columns:

- "ours": error of `dilate` on the coarse grid of the original, borders included, over all levels that the encoder
  returns, on inputs of `--size` and of other sizes.
- "stitched": difference of `dilate` to shift-and-stitch (the original on shifted inputs), where outputs do not depend
  on padding; "-" if the coarsest map depends on the whole input, or if its receptive field makes this too expensive.
- "peer": error of the library's own conversion with the same weights: `output_stride=` of timm and
  segmentation_models_pytorch, `replace_stride_with_dilation` of torchvision; "-" if it has none for this encoder.

A stride of 1 takes 1024 times the multiply-adds of the coarsest level.
"""

import copy
import math
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

from atrous.errors import UserError
from atrous.geometry.field import AxisField, axis_field
from atrous.geometry.graph import export_graph
from atrous.geometry.layout import followed
from atrous.geometry.lower import lower
from atrous.surgery import dilate
from atrous.surgery.certificate import evaluating, relative_error, tensors
from benchmarks.rows import arguments, measure

MOST = 60e9
"""Approximate number of multiply-adds above which shift-and-stitch is left out."""

ENCODERS = (
    *(f"torchvision:{n}" for n in ("resnet18", "resnet50", "resnext50_32x4d", "mobilenet_v2", "regnet_x_400mf")),
    *(f"torchvision:{n}" for n in ("vgg11_bn", "squeezenet1_1", "googlenet", "densenet121", "mnasnet0_5")),
    *(f"timm:{n}" for n in ("resnet18", "resnet26d", "seresnet18", "tf_efficientnet_lite0", "tf_efficientnet_b0")),
    *(f"timm:{n}" for n in ("mobilenetv3_small_100", "convnext_atto", "regnety_002", "densenet121", "xception41")),
    *(f"timm:{n}" for n in ("dpn48b", "res2net50_26w_4s", "ghostnet_050", "cspresnet50", "resnetblur18")),
    *(f"timm:{n}" for n in ("convnextv2_atto", "edgenext_xx_small", "resnet50_gn")),
    *(f"smp:{n}" for n in ("resnet18", "resnet50", "mobilenet_v2", "efficientnet-b0", "densenet121", "vgg11_bn")),
    *(f"smp:{n}" for n in ("se_resnet50", "dpn68", "xception", "timm-regnetx_002", "inceptionv4")),
)


def build(name: str, output_stride: int | None = None) -> nn.Module | None:
    """Return an encoder, or the library's own version of it at another output stride; None if there is none."""
    library, _, encoder = name.partition(":")
    torch.manual_seed(0)
    return {"timm": _timm, "smp": _smp, "torchvision": _torchvision}[library](encoder, output_stride)


def _timm(encoder: str, output_stride: int | None) -> nn.Module | None:
    import timm

    more: dict[str, Any] = {} if output_stride is None else {"output_stride": output_stride}
    try:
        return timm.create_model(encoder, features_only=True, **more)
    except (NotImplementedError, AssertionError, TypeError, RuntimeError):
        return None


def _smp(encoder: str, output_stride: int | None) -> nn.Module | None:
    import segmentation_models_pytorch as smp

    if output_stride not in (None, 8, 16):  # it supports no others
        return None
    try:
        return smp.encoders.get_encoder(encoder, weights=None, output_stride=output_stride or 32)
    except (ValueError, NotImplementedError, KeyError):
        return None


def _torchvision(encoder: str, output_stride: int | None) -> nn.Module | None:
    import torchvision

    more: dict[str, Any] = {"init_weights": False} if encoder == "googlenet" else {}
    if output_stride is not None:
        if "resne" not in encoder or output_stride not in (8, 16):
            return None
        more["replace_stride_with_dilation"] = [False, output_stride == 8, True]
    try:
        network: Any = torchvision.models.get_model(encoder, weights=None, **more)
    except (NotImplementedError, ValueError):
        return None
    if hasattr(network, "features"):
        return network.features
    maps = [m for n, m in network.named_children() if n not in ("avgpool", "fc", "dropout", "classifier")]
    return nn.Sequential(*maps[: _cut(network)])


def _cut(network: nn.Module) -> int | None:
    """Return the index of the first auxiliary head, which GoogLeNet has at its end; None for other networks."""
    names = [n for n, _ in network.named_children() if n not in ("avgpool", "fc", "dropout", "classifier")]
    return next((i for i, n in enumerate(names) if n.startswith("aux")), None)


def randomize(network: nn.Module) -> nn.Module:
    """Give norms, biases and layer scales random values, so that no error is hidden by zeros or ones."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        if parameter.numel() == max(parameter.shape, default=1):
            parameter.data.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
    for key, buffer in network.named_buffers():
        if key.endswith("running_mean"):
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
        if key.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    return network.eval()


def coarse_error(dilated: nn.Module, original: nn.Module, size: int) -> float:
    """Return the largest relative error of all levels, each on the grid of the original; infinite if sizes differ."""
    x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(2))
    with evaluating(dilated, original):
        maps, originals = tensors(dilated(x)), tensors(original(x))
    errors = []
    for new, old in zip(maps, originals, strict=True):
        rate = max(1, round(new.shape[-1] / old.shape[-1]))
        errors.append(relative_error(new[..., ::rate, ::rate], old))
    return max(errors)


@cache
def field_of(name: str) -> AxisField | None:
    """Return the receptive field of an encoder's coarsest map; None if it is the whole input."""
    network = build(name)
    assert network is not None
    levels = len(tensors(network.eval()(torch.zeros(1, 3, 64, 64))))
    _, axes, _ = followed(lower(export_graph(network, (3, 64, 64), output=levels - 1 if levels > 1 else None)))
    return None if 0 not in axes or axes[0].barriers else axis_field(axes[0])


def stitched_error(dense: nn.Module, original: nn.Module, name: str, stride: int) -> float | None:
    """Return the error against shift-and-stitch, at outputs that do not depend on padding; None if too expensive.

    Three of the r x r shifts by multiples of the new stride are tried, on the smallest input that has such outputs. The
    input is rolled around, so that its size, on which "same" padding depends, does not change.
    """
    field = field_of(name)
    if field is None or (rate := int(field.stride) // stride) == 1:
        return None
    coarse = int(field.stride)
    size = -(-(field.receptive_field + 3 * coarse) // coarse) * coarse
    if sum(p.numel() for p in original.parameters()) * (size / stride) ** 2 > MOST:
        return None
    x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(3))
    errors = []
    with evaluating(dense, original):
        fine = tensors(dense(x))[-1]
        for down, right in ((1, 1), (rate - 1, 0), (0, rate // 2)):
            expected = tensors(original(x.roll((-down * stride, -right * stride), (2, 3))))[-1]
            rows, columns = (_interior(field, size - shift * stride) for shift in (down, right))
            errors.append(
                relative_error(fine[..., down::rate, right::rate][..., rows, columns], expected[..., rows, columns])
            )
    return max(errors)


def _interior(field: AxisField, length: int) -> slice:
    """Return the outputs that do not depend on padding before or after an input of this length."""
    first = math.ceil(-field.offset / field.stride)
    return slice(first, int((length - field.receptive_field - field.offset) // field.stride) + 1)


def error_or_reason(measure_error: Callable[[], float | None]) -> float | str | None:
    """Return the measured error, or the first words of the reason why the network was refused."""
    try:
        return measure_error()
    except UserError as reason:
        return f"refused: {str(reason).split(':', maxsplit=1)[0]}"


def row(name: str, size: int) -> dict[str, Any]:
    """Measure one encoder at one output stride; `name` is "encoder@stride"."""
    encoder, _, number = name.partition("@")
    stride, start = int(number), time.perf_counter()
    original = build(encoder)
    assert original is not None
    randomize(original)

    def peer() -> float | None:
        converted = build(encoder, stride)
        if converted is None:
            return None
        try:
            converted.load_state_dict(copy.deepcopy(original.state_dict()))
            return coarse_error(converted, original, size)
        except RuntimeError as error:  # the library's own conversion does not run
            raise UserError(f"fails ({str(error).splitlines()[0][:40]})") from error

    ours: float | str | None
    stitched = None
    try:
        dilated = dilate(original, stride, shape=(3, size, size))
        ours = dilated.certificate.max_error
        stitched = stitched_error(dilated.network, original, encoder, stride)
    except UserError as reason:
        ours = f"refused: {str(reason).split(':', maxsplit=1)[0]}"
    return {"ours": ours, "stitched": stitched, "peer": error_or_reason(peer), "seconds": time.perf_counter() - start}


def line(row: dict[str, Any]) -> str:
    encoder, _, stride = row["name"].partition("@")
    errors = [row[key] for key in ("ours", "stitched", "peer")]
    ours, stitched, peer = ("-" if v is None else v if isinstance(v, str) else f"{v:.1e}" for v in errors)
    return f"{encoder:32} {stride:>6} {ours:>10} {stitched:>10} {peer:>10} {row['seconds']:8.0f}"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--encoders", nargs="+", default=ENCODERS)
    parser.add_argument("--strides", nargs="+", type=int, default=[16, 8, 4, 1])
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    print(f"{'encoder':32} {'stride':>6} {'ours':>10} {'stitched':>10} {'peer':>10} {'seconds':>8}", flush=True)
    names = [f"{encoder}@{stride}" for encoder in options.encoders for stride in options.strides]
    libraries = ("torch", "torchvision", "timm", "segmentation-models-pytorch")
    measure(names, lambda name: row(name, options.size), line, options=options, libraries=libraries)


if __name__ == "__main__":
    main()
