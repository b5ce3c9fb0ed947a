"""Make the picture at the top of the README: a part of the demo's large scene, its labels, and the wrong pixels.

Usage: make demo && .venv/bin/python docs/demo_picture.py
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from atrous.color import default_palette
from atrous.data.formats import read_image, read_label
from atrous.demo.digits import CLASSES, digit_scene
from atrous.demo.run import LARGE, LARGE_SEED
from atrous.report.pictures import colorize, errors, to_rgb

TITLES = ("scene", "predicted digits", "wrong pixels (red)")
GAP, TITLE = 8, 30  # pixels between the panels, and of the line above them
PART = (slice(1024, 1424), slice(1024, 1424))


def main() -> None:
    pictures = Path("runs/demo/pictures")
    image, prediction = read_image(pictures / "large.png"), read_label(pictures / "labels" / "large.png")
    _, truth = digit_scene((LARGE, LARGE), LARGE_SEED, channels=1, split="test")
    image, prediction, truth = image[:, *PART], prediction[PART], truth[PART]
    panels = [to_rgb(image), colorize(prediction, default_palette(len(CLASSES))), errors(image, truth, prediction)]
    target = Path("docs/pictures/demo.png")
    target.parent.mkdir(exist_ok=True)
    titled(panels, TITLES).quantize(128).save(target, optimize=True)
    print(target)


def titled(panels: Sequence[np.ndarray], titles: Sequence[str]) -> Image.Image:
    """Return panels `(H, W, 3)` side by side, each with its title above it."""
    height, width = panels[0].shape[:2]
    picture = Image.new("RGB", ((width + GAP) * len(panels) - GAP, height + TITLE), "white")
    draw = ImageDraw.Draw(picture)
    for i, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        left = i * (width + GAP)
        picture.paste(Image.fromarray(panel), (left, TITLE))
        draw.text((left + width / 2, TITLE / 2), title, "#30343b", ImageFont.load_default(17), anchor="mm")
    return picture


if __name__ == "__main__":
    main()
