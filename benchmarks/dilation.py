"""Lower output stride, three ways: ours and the libraries' own, each against the original on the coarse grid.

    python -m benchmarks.dilation --strides 16 8 4 --size 64

Random weights, random batch-norm statistics, in float32. The error is the largest |difference| in units of the largest
|original|, over all levels that the encoder returns, borders included; 0.1 is a tenth of the largest output. "peer" is
the conversion of the library itself: `output_stride=` of timm and segmentation_models_pytorch,
`replace_stride_with_dilation` of torchvision, with the same weights; "-" where the library has none for this encoder.
"""

import argparse
import copy
import json
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from atrous.errors import UserError
from atrous.surgery import dilate
from atrous.surgery.certificate import evaluating, relative_error, tensors

ENCODERS = (
    *(f"torchvision:{n}" for n in ("resnet18", "resnet50", "resnext50_32x4d", "mobilenet_v2", "regnet_x_400mf")),
    *(f"torchvision:{n}" for n in ("vgg11_bn", "squeezenet1_1", "googlenet", "densenet121", "mnasnet0_5")),
    *(f"timm:{n}" for n in ("resnet18", "resnet26d", "seresnet18", "tf_efficientnet_lite0", "tf_efficientnet_b0")),
    *(f"timm:{n}" for n in ("mobilenetv3_small_100", "convnext_atto", "regnety_002", "densenet121", "xception41")),
    *(f"timm:{n}" for n in ("dpn48b", "res2net50_26w_4s", "ghostnet_050", "cspresnet50", "resnetblur18")),
    *(f"smp:{n}" for n in ("resnet18", "resnet50", "mobilenet_v2", "efficientnet-b0", "densenet121", "vgg11_bn")),
    *(f"smp:{n}" for n in ("se_resnet50", "dpn68", "xception", "timm-regnetx_002", "inceptionv4")),
)


def build(name: str, output_stride: int | None = None) -> nn.Module | None:
    """An encoder, or the library's own version of it at another output stride; None where there is none."""
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
    """GoogLeNet's auxiliary heads come last; its maps end before them."""
    names = [n for n, _ in network.named_children() if n not in ("avgpool", "fc", "dropout", "classifier")]
    return next((i for i, n in enumerate(names) if n.startswith("aux")), None)


def randomize(network: nn.Module) -> nn.Module:
    """Norms, biases and layer scales that hide nothing."""
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


def coarse_error(found: nn.Module, wanted: nn.Module, size: int) -> float:
    """The largest relative error of all levels, each on the grid of the original's; infinite where sizes differ."""
    x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(2))
    with evaluating(found, wanted):
        maps, originals = tensors(found(x)), tensors(wanted(x))
    errors = []
    for new, old in zip(maps, originals, strict=True):
        rate = max(1, round(new.shape[-1] / old.shape[-1]))
        errors.append(relative_error(new[..., ::rate, ::rate], old))
    return max(errors)


def said(measure: Callable[[], float | None]) -> float | str | None:
    """A measured error, or the reason of a refusal."""
    try:
        return measure()
    except UserError as reason:
        return f"refused: {str(reason).split(':', maxsplit=1)[0]}"


def row(name: str, stride: int, size: int) -> dict[str, Any]:
    """One encoder at one output stride."""
    original = build(name)
    assert original is not None
    randomize(original)

    def peer() -> float | None:
        found = build(name, stride)
        if found is None:
            return None
        try:
            found.load_state_dict(copy.deepcopy(original.state_dict()))
            return coarse_error(found, original, size)
        except RuntimeError as error:  # its own conversion does not run
            raise UserError(f"fails ({str(error).splitlines()[0][:40]})") from error

    def ours() -> float:
        return coarse_error(dilate(original, stride, shape=(3, size, size)).network, original, size)

    return {"encoder": name, "output_stride": stride, "ours": said(ours), "peer": said(peer)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", default=ENCODERS)
    parser.add_argument("--strides", nargs="+", type=int, default=[16, 8, 4])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    warnings.simplefilter("ignore")
    rows = []
    print(f"{'encoder':36} {'stride':>6} {'ours':>10} {'peer':>10}", flush=True)
    for name in given.encoders:
        for stride in given.strides:
            rows.append(row(name, stride, given.size))
            ours, peer = (
                "-" if v is None else v if isinstance(v, str) else f"{v:.1e}" for v in list(rows[-1].values())[2:]
            )
            print(f"{name:36} {stride:6} {ours:>10} {peer:>10}", flush=True)
    from importlib.metadata import version

    libraries = ("torch", "torchvision", "timm", "segmentation-models-pytorch")
    print(json.dumps({"size": given.size, "versions": {n: version(n) for n in libraries}, "rows": rows}))


if __name__ == "__main__":
    main()
