"""Label a picture with an exported network. Needs onnxruntime, numpy and Pillow, and nothing else.

atrous export runs/cells -o cells.onnx
python onnx_labels.py cells.onnx picture.png labels.png
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image


def main(model, picture, out):
    """Write the class number of each pixel of a picture as a PNG."""
    session = onnxruntime.InferenceSession(model)
    image = Image.open(picture).convert("L" if session.get_inputs()[0].shape[1] == 1 else "RGB")
    values = np.atleast_3d(np.asarray(image, dtype=np.float32)).transpose(2, 0, 1)[None]
    labels = session.run(["labels"], {"image": values})[0][0]
    Image.fromarray(labels).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
