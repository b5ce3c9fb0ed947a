"""An exported ONNX file run on an input of any size, on windows that overlap by the halo that stands in its metadata.

A file has no module whose operators could be followed. `atrous export` proves stride and halo of the network, and
writes them into the file (`atrous.exporting.window_facts`); a file without them is refused.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.data.source import Sink, Source
from atrous.errors import UserError
from atrous.geometry.field import AxisField
from atrous.geometry.plan import byte_count
from atrous.geometry.program import Box
from atrous.stream.onnx_engine import onnx_session
from atrous.stream.options import Options
from atrous.stream.post import post_function, result_like
from atrous.stream.process import steady_process
from atrous.stream.source import checked_sink, checked_source, read_box
from atrous.stream.windows import CORE, SMALLEST, AxisWindow, axis_windows, window_product, window_size, write_window

KEY = "atrous"
"""The entry of the metadata that `atrous export` writes."""
STRIPS_ONLY = ("axis", "strip", "blocks", "resume", "spool", "dtype")
"""Options that a file, which runs on windows, does not take."""
MEMORY = 768 * 2**20
"""Bytes of a window, about, where no `memory` is given."""


class OnnxNetwork:
    """An ONNX file that `atrous export` wrote, ready for `stream`.

    Args:
        path: the file.

    Attributes:
        path: as given.
        facts: what the file says about itself.

    Raises:
        UserError: there is no such file, `atrous export` did not write it, or its network cannot run on windows.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file: give an ONNX file that atrous export wrote")
        try:
            self.session = onnx_session(self.path)
        except UserError:
            raise
        except Exception as error:  # ONNX Runtime raises types of its own
            raise UserError(f"{self.path}: ONNX Runtime cannot load it ({str(error).splitlines()[0]})") from error
        stored = self.session.get_modelmeta().custom_metadata_map.get(KEY)
        if stored is None:
            raise UserError(
                f"{self.path}: says nothing of its stride and halo, which atrous export writes: give the torch module, "
                'as in stream(network, source, engine="onnxruntime")'
            )
        self.facts: dict[str, Any] = json.loads(stored)
        if "refused" in self.facts["windows"]:
            raise UserError(f"{self.path}: cannot be run on windows: {self.facts['windows']['refused']}")

    @cached_property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return [output.name for output in self.session.get_outputs()]

    def output(self, chosen: int | str | None) -> str:
        """Return the name of the output that an option names; the first one for None.

        Raises:
            UserError: there is no such output.
        """
        if isinstance(chosen, int) and -len(self.outputs) <= chosen < len(self.outputs):
            return self.outputs[chosen]
        name = self.outputs[0] if chosen is None else chosen
        if name not in self.outputs:
            raise UserError(f"{self.path}: output={chosen!r}: it gives {', '.join(self.outputs)}: choose one of them")
        return str(name)

    def fields(self, shape: tuple[int, ...]) -> dict[int, AxisField]:
        """Return stride and halo along each axis for an input of this shape `(C, *S)`.

        Raises:
            UserError: the file does not take such an input.
        """
        image, axes = self.facts["input"], self.facts["windows"]["axes"]
        if len(shape) != len(axes) + 1 or shape[0] != image["channels"]:
            wanted = f"{image['channels']} channels and {len(axes)} axes"
            raise UserError(f"{self.path}: reads {wanted}, the source has the shape {shape}")
        found = {}
        rows = zip(shape[1:], image["least"], image["multiple"], axes, strict=True)
        for axis, (length, least, multiple, facts) in enumerate(rows):
            outputs = length / facts["stride"]
            if length < least or length % multiple or outputs != round(outputs):
                raise UserError(f"{self.path}: takes {image['sizes']}, the source has the size {shape[1:]}: pad it")
            before, after = facts["halo"]
            found[axis] = AxisField(axis, length, round(outputs), facts["stride"], 0, 0.0, (before, after))
        return found

    def run(self, name: str, x: Tensor) -> Tensor:
        """Return one output for values `(1, C, *S)`."""
        image = np.ascontiguousarray(x.numpy())
        return torch.from_numpy(self.session.run([name], {self.facts["input"]["name"]: image})[0])


def stream_file(network: OnnxNetwork, source: Source, sink: Sink | None, options: Options) -> Any:
    """Compute an output of a file on the whole source, window by window, and return the sink; see `stream`.

    Raises:
        UserError: an option is not for files, or the file does not take this source.
    """
    _check_options(network, options)
    checked_source(source)
    shape = tuple(int(n) for n in source.shape)
    fields, name = network.fields(shape), network.output(options.output)
    box = _region(fields, options)
    by_axis = _windows(network, fields, byte_count(options.memory), box)
    windows = list(window_product(by_axis, len(fields)))
    lead = network.session.get_outputs()[network.outputs.index(name)]
    channels = () if len(lead.shape) == len(fields) + 1 else (int(lead.shape[1]),)
    kind = torch.uint8 if "uint8" in lead.type else torch.float32
    whole = (1, *channels, *(box[g][1] - box[g][0] for g in fields))
    sink = checked_sink(sink, *result_like(whole, kind, options.post, len(fields)))
    post = post_function(options.post)
    peak = int(max(_positions(window) for window in windows) * network.facts["windows"]["bytes_per_position"])
    with steady_process(peak) as between, torch.inference_mode():
        for number, window in enumerate(windows):
            place = {g: (w.start, w.stop) for g, w in enumerate(window)}
            x = read_box(source, place, torch.float32, torch.device("cpu"))
            write_window(network.run(name, x), window, fields, box, sink, post)
            between()
            if options.progress is not None:
                options.progress((number + 1) / len(windows))
    return sink


def _check_options(network: OnnxNetwork, options: Options) -> None:
    usual = Options()
    given = [name for name in STRIPS_ONLY if getattr(options, name) != getattr(usual, name)]
    if options.strategy == "strips":
        given.append("strategy='strips'")
    if given:
        raise UserError(f"{network.path}: ONNX files run on windows, which take no {', '.join(given)}: leave it out")
    if options.engine != "onnxruntime":
        raise UserError(f"{network.path}: is run by ONNX Runtime: give engine='onnxruntime'")
    if network.facts["input"]["fixed"] is not None:
        raise UserError(f"{network.path}: is for {network.facts['input']['sizes']}: export it without --size")


def _region(fields: dict[int, AxisField], options: Options) -> Box:
    """The output rows to compute along each axis."""
    if options.region is None:
        return {g: (0, field.outputs) for g, field in fields.items()}
    if len(options.region) != len(fields):
        raise UserError(f"region has {len(options.region)} slices, but the output has {len(fields)} spatial axes")
    box: Box = {}
    for (g, field), part in zip(fields.items(), options.region, strict=True):
        lo, hi, step = part.indices(field.outputs)
        if step != 1 or hi <= lo:
            raise UserError(
                f"region {part} on axis {g} of {field.outputs} positions: give a slice that is not empty, and no step"
            )
        box[g] = (lo, hi)
    return box


def _windows(
    network: OnnxNetwork, fields: dict[int, AxisField], memory: float | None, box: Box
) -> dict[int, list[AxisWindow]]:
    """Windows along each axis, so small that one fits into memory, if they can be."""
    facts = network.facts["windows"]
    core = CORE[len(fields)]
    while True:
        found = {}
        for g, field in fields.items():
            step, least = facts["axes"][g]["period"], network.facts["input"]["least"][g]
            size = max(window_size(field, step, core, box[g]), -(-least // step) * step)
            found[g] = axis_windows(field, step, size, box[g])
        largest = max(_positions(window) for window in window_product(found, len(fields)))
        if largest * facts["bytes_per_position"] <= (memory or MEMORY) or core <= SMALLEST:
            return found
        core //= 2


def _positions(window: tuple[AxisWindow, ...]) -> int:
    count = 1
    for w in window:
        count *= w.stop - w.start
    return count
