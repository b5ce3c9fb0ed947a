"""Convert classifiers of torchvision and timm to fully convolutional networks, and compare the outputs.

    python -m benchmarks.convolutionalize --size 224

Weights and batch-norm statistics are random, numbers are float32. The error is the largest |difference| of the scores
at the classifier's own input size, divided by the largest |score|. "larger input" is the size of the output map on an
input that is two strides larger per axis.
"""

import time
from typing import Any

import torch
from torch import nn

from atrous.errors import UserError
from atrous.surgery import convolutionalize
from benchmarks.dilation import randomize
from benchmarks.rows import arguments, measure

CLASSIFIERS = (
    *(f"torchvision:{n}" for n in ("alexnet", "vgg11", "vgg16_bn", "resnet18", "resnet50", "wide_resnet50_2")),
    *(f"torchvision:{n}" for n in ("resnext50_32x4d", "densenet121", "mobilenet_v2", "mobilenet_v3_small")),
    *(f"torchvision:{n}" for n in ("efficientnet_b0", "efficientnet_v2_s", "convnext_tiny", "regnet_y_400mf")),
    *(f"torchvision:{n}" for n in ("regnet_x_400mf", "shufflenet_v2_x1_0", "squeezenet1_0", "squeezenet1_1")),
    *(f"torchvision:{n}" for n in ("googlenet", "inception_v3", "mnasnet1_0", "vit_b_16")),
    *(f"timm:{n}" for n in ("resnet18", "resnet50d", "vgg11", "densenet121", "mobilenetv3_small_100", "convnext_atto")),
    *(f"timm:{n}" for n in ("tf_efficientnet_b0", "efficientnet_lite0", "regnety_002", "mnasnet_050", "xception41")),
    *(f"timm:{n}" for n in ("ghostnet_050", "dla34", "cspresnet50", "repvgg_a0", "hrnet_w18_small", "inception_v4")),
)

NATIVE = {"torchvision:inception_v3": 299, "timm:inception_v4": 299, "timm:xception41": 299}
"""Input sizes of classifiers that are not trained at `--size`."""


def build(name: str) -> nn.Module:
    library, _, model = name.partition(":")
    torch.manual_seed(0)
    if library == "timm":
        import timm

        return timm.create_model(model)
    import torchvision

    more: dict[str, Any] = {"init_weights": False} if model in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(model, weights=None, **more)


def row(name: str, size: int) -> dict[str, Any]:
    """Convert one classifier, and return the error or the reason of the refusal."""
    start = time.perf_counter()
    try:
        certificate = convolutionalize(randomize(build(name)), NATIVE.get(name, size)).certificate
    except UserError as reason:
        return {"error": None, "refused": str(reason)}
    facts = {
        "changes": len(certificate.changes),
        "whole": len(certificate.remarks),
        "seconds": time.perf_counter() - start,
    }
    return {"error": certificate.max_error, "compared": certificate.compared.split("; ")[1], **facts}


def line(row: dict[str, Any]) -> str:
    error = "refused" if row["error"] is None else f"{row['error']:.1e}"
    return f"{row['name']:36} {error:>8}  {row.get('compared', row.get('refused'))}"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--classifiers", nargs="+", default=CLASSIFIERS)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    print(f"{'classifier':36} {'error':>8}  larger input", flush=True)
    libraries = ("torch", "torchvision", "timm")
    measure(options.classifiers, lambda name: row(name, options.size), line, options=options, libraries=libraries)


if __name__ == "__main__":
    main()
