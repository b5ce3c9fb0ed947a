"""Post-training quantization to 8 bits by NNCF, for OpenVINO."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from atrous.extras import library, quiet


def quantized(model: Any, images: Sequence[np.ndarray]) -> Any:
    """Return an OpenVINO model whose convolutions compute with 8-bit numbers.

    Their ranges are those that occur on the given images (Jacob et al. 2018, "Quantization and training of neural
    networks for efficient integer-arithmetic-only inference").

    Args:
        model: of OpenVINO, in float32.
        images: raw values `(C, *S)` of training images.

    Raises:
        UserError: the extra `int8` is not installed.
    """
    nncf = library("nncf", "int8", "--int8")
    batches = [np.ascontiguousarray(image, dtype=np.float32)[None] for image in images]
    with quiet():
        return nncf.quantize(model, nncf.Dataset(batches), subset_size=len(batches))
