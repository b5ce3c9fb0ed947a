"""Fully convolutional networks for labelled grids of any size: train, run, explain and ship them.

>>> import atrous
>>> sorted(atrous.__all__)[:3]
['Certificate', 'Check', 'EdgeOptions']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrous import analysis as analysis
    from atrous import encoders as encoders
    from atrous import geometry as geometry
    from atrous import models as models
    from atrous import stream as stream
    from atrous import surgery as surgery
    from atrous.data.check.check import Check as Check
    from atrous.data.dataset import open_dataset as open_dataset
    from atrous.demo.digits import digit_scene as digit_scene
    from atrous.demo.digits import write_digit_scenes as write_digit_scenes
    from atrous.errors import UserError as UserError
    from atrous.exporting.write import Exported as Exported
    from atrous.geometry.field import Certificate as Certificate
    from atrous.geometry.field import certify as certify
    from atrous.named.packages import named_models as named_models
    from atrous.prediction.predictor import Predictor as Predictor
    from atrous.prediction.predictor import load as load
    from atrous.prediction.result import Prediction as Prediction
    from atrous.surgery.certificate import SurgeryCertificate as SurgeryCertificate
    from atrous.surgery.convolutionalize import convolutionalize as convolutionalize
    from atrous.surgery.dilate import dilate as dilate
    from atrous.surgery.inflate import inflate as inflate
    from atrous.surgery.transplant import transplant as transplant
    from atrous.tasks.scores import Scores as Scores
    from atrous.verbs.check import check as check
    from atrous.verbs.convert import load_converted as load_converted
    from atrous.verbs.evaluate import evaluate as evaluate
    from atrous.verbs.export import ExportOptions as ExportOptions
    from atrous.verbs.export import export as export
    from atrous.verbs.network import load_network as load_network
    from atrous.verbs.score_edges import EdgeOptions as EdgeOptions
    from atrous.verbs.score_edges import score_edges as score_edges
    from atrous.verbs.search import search as search
    from atrous.verbs.style import optimize_style as optimize_style
    from atrous.verbs.train import Trained as Trained
    from atrous.verbs.train import train as train

_PLACES = {
    "Certificate": "atrous.geometry.field",
    "Check": "atrous.data.check.check",
    "EdgeOptions": "atrous.verbs.score_edges",
    "ExportOptions": "atrous.verbs.export",
    "Exported": "atrous.exporting.write",
    "Prediction": "atrous.prediction.result",
    "Predictor": "atrous.prediction.predictor",
    "Scores": "atrous.tasks.scores",
    "SurgeryCertificate": "atrous.surgery.certificate",
    "Trained": "atrous.verbs.train",
    "UserError": "atrous.errors",
    "certify": "atrous.geometry.field",
    "check": "atrous.verbs.check",
    "convolutionalize": "atrous.surgery.convolutionalize",
    "digit_scene": "atrous.demo.digits",
    "dilate": "atrous.surgery.dilate",
    "evaluate": "atrous.verbs.evaluate",
    "export": "atrous.verbs.export",
    "inflate": "atrous.surgery.inflate",
    "load": "atrous.prediction.predictor",
    "load_converted": "atrous.verbs.convert",
    "load_network": "atrous.verbs.network",
    "named_models": "atrous.named.packages",
    "open_dataset": "atrous.data.dataset",
    "score_edges": "atrous.verbs.score_edges",
    "search": "atrous.verbs.search",
    "optimize_style": "atrous.verbs.style",
    "train": "atrous.verbs.train",
    "transplant": "atrous.surgery.transplant",
    "write_digit_scenes": "atrous.demo.digits",
}
"""Where each public name lives; it is imported when it is first asked for, so that `import atrous` costs nothing."""

_FOLDERS = ("analysis", "encoders", "geometry", "models", "stream", "surgery")
"""Folders that are public as such: `from atrous.stream import stream`."""

__all__ = list(_PLACES) + list(_FOLDERS)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes as long to import as all the rest

        return version("atrous")
    if name in _FOLDERS:
        return import_module(f"atrous.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module 'atrous' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
