"""A program as a model of bioimage.io: a `.zip` with an ONNX file, `rdf.yaml`, test arrays and a text about it.

The description follows version 0.5 of https://github.com/bioimage-io/spec-bioimage-io. Everything that is done to the
values stands in the ONNX file itself, so that the description lists no pre- or postprocessing.
"""

import gc
import io
import zipfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from keyword import iskeyword
from pathlib import Path
from string import ascii_letters, digits
from typing import Any

import numpy as np
import yaml

from atrous.errors import UserError
from atrous.exporting.facts import KEY, WORDS, properties
from atrous.exporting.onnx_file import IMAGE, OPSET
from atrous.exporting.runtimes import Run, run_session
from atrous.extras import library, quiet
from atrous.stream.onnx_engine import onnx_session

FORMAT = "0.5.4"
MODEL = "model.onnx"
PLAIN = f"{ascii_letters}{digits}_+-()"
"""Characters of a name, beside spaces."""
LONGEST = 128
"""Characters of a name at most."""
AXES = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}
BROKEN = "package_file_descr_serializer"
"""A function of bioimageio.spec before 0.5.14.1 that raises by itself under pydantic 2.14."""
CITED = [
    {
        "text": "Long, Shelhamer and Darrell: Fully convolutional networks for semantic segmentation",
        "doi": "10.1109/CVPR.2015.7298965",
    }
]


def write_bioimageio(
    model: Any, path: Path, facts: dict[str, Any], image: np.ndarray, answers: Mapping[str, np.ndarray]
) -> None:
    """Write an ONNX model as a package of bioimage.io.

    Args:
        model: `atrous.exporting.onnx_file.onnx_model`.
        path: the `.zip` file.
        facts: what the file says about itself.
        image: raw values `(1, C, *S)` float32, which become the test input.
        answers: what the network answers for it, by name, which become the test outputs.
    """
    onnx = library("onnx", "onnx", "a bioimage.io file")
    onnx.helper.set_model_props(model, properties(facts))
    files = {MODEL: model.SerializeToString(), "README.md": _readme(facts).encode(), "test_image.npy": _npy(image)}
    files |= {f"test_{name}.npy": _npy(value) for name, value in answers.items()}
    files["rdf.yaml"] = yaml.safe_dump(_description(facts, image, answers, files), sort_keys=False).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(name, content)


def run_bioimageio(path: Path) -> Run:
    """Return what ONNX Runtime computes of the ONNX file in a package."""
    with zipfile.ZipFile(path) as package:
        return run_session(onnx_session(package.read(MODEL)))


def check_bioimageio(path: Path) -> str:
    """Run the test of `bioimageio.core` on a package, where that is installed, and say what came of it.

    Raises:
        UserError: the test does not pass.
    """
    try:
        number = version("bioimageio.core")
    except PackageNotFoundError:
        return "not tested by bioimageio.core, which is not installed"
    core = library("bioimageio.core", "bioimageio", "a bioimage.io file")
    with quiet():
        summary = core.test_model(path)
        status, wrong = summary.status, [str(error.msg) for detail in summary.details for error in detail.errors]
        del summary
        gc.collect()  # it leaves the package open
    if any(BROKEN in message for message in wrong):
        return f"not tested: bioimageio.core {number} does not work with pydantic {version('pydantic')}"
    if status != "passed":
        raise UserError(f"bioimageio.core does not pass the file ({'; '.join(wrong)[:300]}): nothing was written")
    return f"passed by bioimageio.core {number}"


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _description(
    facts: dict[str, Any], image: np.ndarray, answers: Mapping[str, np.ndarray], files: Mapping[str, bytes]
) -> dict[str, Any]:
    """The content of `rdf.yaml`."""
    told = facts["input"]
    names, ndim, video = told.get("channel names") or (), image.ndim - 2, facts.get("kind") == "videos"
    return {
        "type": "model",
        "format_version": FORMAT,
        "name": title(f"{facts['task']} by {facts['network']}"),
        "description": f"{facts['network']} for {facts['task']}, exported by atrous {facts['atrous']}",
        "authors": [{"name": "atrous"}],
        "cite": CITED,
        "documentation": _file("README.md", files),
        "tags": ["segmentation", "atrous", facts["task"], f"{ndim}d"],
        "inputs": [
            {
                "id": IMAGE,
                "description": told["type"],
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": identifiers(names, image.shape[1], "channel")},
                    *(_input_axis(name, axis, told, video) for axis, name in enumerate(AXES[ndim])),
                ],
                "data": {"type": "float32"},
                "test_tensor": _file("test_image.npy", files),
            }
        ],
        "outputs": [_output(name, value, image, facts, files, video) for name, value in answers.items()],
        "weights": {"onnx": {**_file(MODEL, files), "opset_version": OPSET}},
        "config": {KEY: facts},
    }


def _file(name: str, files: Mapping[str, bytes]) -> dict[str, str]:
    return {"source": name, "sha256": sha256(files[name]).hexdigest()}


def _axis(name: str, axis: int, video: bool) -> dict[str, Any]:
    return {"type": "time", "id": "time"} if video and axis == 0 else {"type": "space", "id": name}


def _input_axis(name: str, axis: int, told: dict[str, Any], video: bool) -> dict[str, Any]:
    size: Any = {"min": told["least"][axis], "step": told["multiple"][axis]}
    return {**_axis(name, axis, video), "size": size if told["fixed"] is None else told["fixed"][axis]}


def _output(
    name: str, value: np.ndarray, image: np.ndarray, facts: dict[str, Any], files: Mapping[str, bytes], video: bool
) -> dict[str, Any]:
    """The description of one output `(1, K, *S)` or `(1, *S)`."""
    ndim = image.ndim - 2
    axes: list[dict[str, Any]] = [{"type": "batch"}]
    if value.ndim == image.ndim:
        names = facts["classes"] if name == "probabilities" else ()
        axes.append({"type": "channel", "channel_names": identifiers(names, value.shape[1], name)})
    for axis, letter in enumerate(AXES[ndim]):
        own, factor = _axis(letter, axis, video), value.shape[axis - ndim] / image.shape[axis - ndim]
        finer = {} if factor == 1 else {"scale": 1 / factor}
        axes.append({**own, **finer, "size": {"tensor_id": IMAGE, "axis_id": own["id"]}})
    return {
        "id": name,
        "description": WORDS[name],
        "axes": axes,
        "data": {"type": value.dtype.name},
        "test_tensor": _file(f"test_{name}.npy", files),
    }


def title(text: str) -> str:
    """Return a text as bioimage.io takes it for a name: letters, digits, spaces and `_+-()`, at most 128 of them.

    >>> title("semantic by torchvision.models:lraspp(num_classes=2), \u00e4hnlich")
    'semantic by torchvision models lraspp(num_classes 2) hnlich'
    """
    plain = "".join(letter if letter in PLAIN else " " for letter in text)
    return " ".join(plain.split())[:LONGEST].rstrip()


def identifiers(names: Sequence[str], count: int, usual: str) -> list[str]:
    """Return names as bioimage.io takes them: letters, digits and underscores, no words of Python, no two alike.

    >>> identifiers(("red blood cell", "2nd", "2nd"), 3, "class"), identifiers((), 2, "channel")
    (['red_blood_cell', 'class_2nd', 'class_2nd_2'], ['channel_0', 'channel_1'])
    >>> identifiers(("None", "a_3", "a", "a", "\u00e4"), 5, "class")
    ['class_None', 'a_3', 'a', 'a_3_3', 'class_4']
    """
    if len(names) != count:
        return [f"{usual}_{i}" for i in range(count)]
    made: list[str] = []
    for i, name in enumerate(names):
        plain = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name).strip("_")
        plain = plain if plain.isidentifier() and not iskeyword(plain) else f"{usual}_{plain or i}"
        while plain in made:
            plain = f"{plain}_{i}"
        made.append(plain)
    return made


def _readme(facts: dict[str, Any]) -> str:
    """A text about the model."""
    told, proof = facts["input"], facts.get("proof")
    lines = [
        f"# {facts['network']} for {facts['task']}", "",
        f"Exported by atrous {facts['atrous']}. The file computes everything from raw values on.", "",
        "## Input", "",
        f"`{IMAGE}` {told['layout']}, {told['type']}, {told['channels']} channels; {told['sizes']}.", "",
    ]  # fmt: skip
    if "to do before" in told:
        lines += [f"Before: {told['to do before']}.", ""]
    lines += ["## Outputs", "", *(f"- `{name}`: {what}" for name, what in facts["outputs"].items()), ""]
    if facts["classes"]:
        lines += ["Classes: " + ", ".join(f"{i} {name}" for i, name in enumerate(facts["classes"])), ""]
    lines += ["## Validation", ""]
    if proof is not None:
        differ = f"{proof['labels_differ']} of {proof['labels']} labels differ; " if proof["labels"] else ""
        apart = ", ".join(f"{name} {value:.1e}" for name, value in proof["largest"].items())
        lines += [f"Compared with the network on {proof['inputs']}: {differ}largest difference of {apart}.", ""]
    return "\n".join(lines)
