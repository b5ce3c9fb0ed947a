"""What an exported file says about itself, in its metadata and in the `.json` beside it."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from atrous.color import Palette
from atrous.data.preprocess import Expected, Preparation
from atrous.exporting.program import ExportSizes

BASES = "ACGT"
"""The first channels of a sequence."""
KEY = "atrous"
"""The metadata entry that holds all facts as JSON; the others are what programs of other makers look for."""
WORDS = {
    "labels": "class number of each position (of genomes one bit for each class), uint8",
    "probabilities": "probability of each class at each position, float32",
    "values": "numbers at each position in the units of the training targets, float32",
    "maps": "dense maps that objects, boxes or points are decoded from, float32; atrous decodes them, no other program",
    "output": "what the network returns, float32",
}
"""What each output holds."""


def describe_input(
    channels: int, ndim: int, preparation: Preparation | None, expected: Expected | None, sizes: ExportSizes
) -> dict[str, Any]:
    """Return what the input of a file is, as plain numbers, texts and lists.

    Args:
        channels: of the input.
        ndim: spatial axes.
        preparation: what the graph does to the values first; None for nothing.
        expected: what the training inputs were like; None where unknown.
        sizes: which sizes the file is for.
    """
    facts: dict[str, Any] = {
        "name": "image",
        "layout": "(batch, channels, " + ("length", "height, width", "depth, height, width")[ndim - 1] + ")",
        "type": "float32, the raw values of a file",
        "channels": channels,
        "sizes": sizes.text(),
        "least": list(sizes.least),
        "fixed": None if sizes.fixed is None else list(sizes.fixed),
        "multiple": list(sizes.multiple),
    }
    if preparation is not None:
        facts["in the graph"] = {
            "intensity": list(preparation.intensity), "low": list(preparation.low), "high": list(preparation.high),
            "nodata": list(preparation.nodata), "fill": list(preparation.fill),
        }  # fmt: skip
    if expected is not None:
        facts["channel names"] = list(expected.channels.names)
        facts["color"] = expected.channels.color
        facts["range"] = None if expected.range is None else list(expected.range)
    before = [] if expected is None or expected.images == 1 else [_stacking(facts, expected)]
    spacing = list(preparation.spacing if preparation else ()) or (
        list(expected.spacing) if expected is not None and expected.resampled else []
    )
    if spacing:
        facts["spacing"] = spacing
        before.append(f"resample the input to the spacing {spacing}: the graph does not")
    if before:
        facts["to do before"] = "; ".join(before)
    if expected is not None and expected.orientation:
        facts["orientation"] = expected.orientation
    return facts


def _stacking(facts: dict[str, Any], expected: Expected) -> str:
    """How the channels of two images become those of the input; what the background is goes to the facts."""
    if expected.background is None:
        return "put the channels of the image after behind those of the image before"
    facts["background"] = asdict(expected.background)
    return (
        "put the channels of its background behind those of each frame: the median of earlier frames "
        "(atrous.data.background)"
    )


def describe_bases(image: dict[str, Any], tracks: Sequence[str]) -> dict[str, Any]:
    """Return the facts of an input that is a sequence of bases, with signals behind them.

    >>> describe_bases({"name": "image"}, ["methylation"])["channel names"]
    ['A', 'C', 'G', 'T', 'methylation']
    """
    shares = "float32, the shares of A, C, G and T at each base: 1 for the base that it is, a quarter of each for N"
    kind = shares if not tracks else f"{shares}; then the values of the signals"
    return {**image, "type": kind, "channel names": [*BASES, *tracks]}


def describe(
    network: str,
    task: str,
    classes: Sequence[str],
    palette: Palette,
    outputs: Sequence[str],
    image: dict[str, Any],
    windows: dict[str, Any],
    kind: str = "",
) -> dict[str, Any]:
    """Return what a file holds, as plain numbers, texts and lists.

    Args:
        network: what it is, in a few words.
        task: name of the task, "network" for a network without one.
        classes: names in label order.
        palette: a color per class.
        outputs: their names.
        image: `describe_input`.
        windows: `atrous.exporting.window_facts.window_facts`.
        kind: of data that the network reads: "grids", "videos", "genomes"; "" where unknown.
    """
    return {
        "atrous": version("atrous"),
        "made": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "network": network,
        "task": task,
        "kind": kind,
        "classes": list(classes),
        "palette": [list(color) for color in palette],
        "input": image,
        "outputs": {name: WORDS[name] for name in outputs},
        "windows": windows,
    }


def describe_least(facts: dict[str, Any], least: Sequence[int]) -> dict[str, Any]:
    """Return the facts of a file whose labels are decoded sample by sample, though intervals have a least length.

    Args:
        facts: `describe`.
        least: samples of the shortest interval of each class in the labels that atrous gives.

    >>> describe_least({"outputs": {"labels": "class numbers"}}, [2, 14])["shortest intervals"]
    [2, 14]
    """
    outputs = dict(facts["outputs"])
    if "labels" in outputs:
        outputs["labels"] += "; each sample by itself: intervals may be shorter than those that atrous gives"
    return {**facts, "outputs": outputs, "shortest intervals": list(least)}


def properties(facts: dict[str, Any]) -> dict[str, str]:
    """Return the facts as flat texts, under the keys that other programs read.

    `task`, `names`, `stride`, `imgsz`, `channels`, `batch`, `description`, `author`, `date` and `version` are those
    that Ultralytics writes into its ONNX files; `atrous` holds everything as JSON.

    >>> facts = {"atrous": "1", "made": "2026-01-01", "network": "unet", "task": "semantic", "classes": ["a", "b"],
    ...          "input": {"channels": 3, "least": [33, 33], "multiple": [1, 1]}, "windows": {"axes": [{"period": 16}]}}
    >>> made = properties(facts)
    >>> made["names"], made["stride"], made["imgsz"], made["task"]
    ("{0: 'a', 1: 'b'}", '16', '[48, 48]', 'semantic')
    """
    image, axes = facts["input"], facts["windows"].get("axes", [])
    stride = max([axis["period"] for axis in axes] or image["multiple"])
    usual = image.get("fixed") or [-(-least // stride) * stride for least in image["least"]]
    return {
        "description": f"{facts['network']}, exported by atrous",
        "author": "atrous",
        "version": facts["atrous"],
        "date": facts["made"],
        "task": facts["task"],
        "names": str(dict(enumerate(facts["classes"]))),
        "stride": str(stride),
        "imgsz": str(usual),
        "batch": "1",
        "channels": str(image["channels"]),
        KEY: json.dumps(facts),
    }
