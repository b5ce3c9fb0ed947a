"""Make the picture at the top of the README: a part of the demo's large scene, its labels, and the wrong pixels.

Usage: make demo && .venv/bin/python docs/demo_picture.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

from atrous.color import default_palette
from atrous.data.formats import read_image, read_label
from atrous.demo.digits import CLASSES, digit_scene
from atrous.demo.run import LARGE, LARGE_SEED
from atrous.report.pictures import colorize, errors, to_rgb

PART = (slice(1024, 1424), slice(1024, 1424))


def main() -> None:
    pictures = Path("runs/demo/pictures")
    image, prediction = read_image(pictures / "large.png"), read_label(pictures / "labels" / "large.png")
    _, truth = digit_scene((LARGE, LARGE), LARGE_SEED, channels=1, split="test")
    image, prediction, truth = image[:, *PART], prediction[PART], truth[PART]
    panels = [to_rgb(image), colorize(prediction, default_palette(len(CLASSES))), errors(image, truth, prediction)]
    gap = np.full((panels[0].shape[0], 8, 3), 255, np.uint8)
    joined = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)
    target = Path("docs/pictures/demo.png")
    target.parent.mkdir(exist_ok=True)
    Image.fromarray(joined).quantize(128).save(target, optimize=True)
    print(target)


if __name__ == "__main__":
    main()
