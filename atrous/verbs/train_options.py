"""What a caller of `train` may choose, and what is refused before any file of the data is read."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import nn

from atrous.device import check_device
from atrous.errors import UserError
from atrous.recipe.schema import Recipe, check_settings, check_value, split_setting
from atrous.tasks.custom import LossFunction, MetricFunction

WITH_RESUME = (
    "resume", "val", "network", "loss", "metrics", "report", "on_step", "on_validation", "progress", "say", "command",
)  # fmt: skip
"""Options that `resume` allows beside it: what a run folder cannot hold, and what only tells how the run goes."""

SHAPE = ["task", "options.shape"]
"""The setting that says how objects are found; a plan chooses where it is "auto"."""

ALLOWED = (("train", "devices"), ("train", "nodes"))
"""Settings that may be given when a run is resumed."""

OF_LOSS = ("class_weights", "dice", "smoothing", "focal", "boundary")
"""Keys of the section `task` that only the task's own loss follows."""

OF_DATA = ("root", "description", "kind")
"""Keys of the section `data` that follow from the data that are given."""


@dataclass(frozen=True)
class TrainOptions:
    """What a caller of `train` may choose; each is a keyword argument of `train`.

    Attributes:
        out: folder of the run, which must not exist; `runs/NAME` when None.
        minutes: wall time of the whole, checking and validating included.
        epochs: passes over the data, instead of minutes.
        recipe: a recipe to follow instead of planning one.
        settings: `section.key=value` overrides, one text or several.
        stages: fine-tune in three stages: the head, then the encoder's upper layers too, then everything.
        start: folder of a run whose weights the training starts from. A planned recipe takes its network too, if both
            learn the same kind of task on as many axes.
        whole: take samples whole, one in a step, in strips (docs/gradients.md).
        seed: random seed.
        device: where to train: "cpu", "cuda", "cuda:1", "mps", or "auto" for whichever is there; that of the recipe
            when None.
        description: a dataset.toml that lies elsewhere.
        task: what is learned, such as "semantic" or "instances"; None leaves it to dataset.toml.
        val: validation data as `train` takes data, where they are given apart; None draws them from the data.
        network: an `nn.Module` of your own that maps `(N, C, *S)` to `(N, K, *S)`; it is given normalized values.
        loss: a function of output and targets that takes the place of the task's loss.
        metrics: further metrics by name: functions of probabilities and target of one image.
        resume: folder of a run to resume; then nothing else may be given but the data, functions that came from
            Python, and settings of `train.devices` and `train.nodes`.
        report: whether `report.html` is written, which takes a few seconds; `scores.json` always is.
        on_step: called with the loop's numbers every few seconds (`training.settings.Monitor`).
        on_validation: called with the step and the validation's loss and metrics.
        progress: whether a progress bar is shown; None shows one unless `say` is given.
        say: called with lines of text that tell what is going on; None prints them above the progress bar.
        command: what the user typed, for the report.
    """

    out: Path | str | None = None
    minutes: float | None = None
    epochs: float | None = None
    recipe: Recipe | Path | str | None = None
    settings: Sequence[str] | str = ()
    stages: bool = False
    start: Path | str | None = None
    whole: bool = False
    seed: int | None = None
    device: str | None = None
    description: Path | str | None = None
    task: str | None = None
    val: Any = None
    network: nn.Module | None = None
    loss: LossFunction | None = None
    metrics: Mapping[str, MetricFunction] = field(default_factory=dict)
    resume: Path | str | None = None
    report: bool = True
    on_step: Callable[[dict[str, float]], None] | None = None
    on_validation: Callable[[int, dict[str, float]], None] | None = None
    progress: bool | None = None
    say: Callable[[str], None] | None = None
    command: Sequence[str] = ()

    @property
    def overrides(self) -> list[str]:
        """The settings as a list, those of `stages`, `whole` and `device` first."""
        first = ["stages=fine-tune"] if self.stages else []
        first += ["train.whole=true", "train.batch_size=1", "train.precision=32-true"] if self.whole else []
        first += [] if self.device is None else [f"train.accelerator={self.device}"]
        return [*first, *self._given_settings]

    @property
    def planned_device(self) -> str:
        """The device that options and settings name, which a plan takes into account; "cpu" where nobody names one."""
        named = [value for *key, value in map(split_setting, self.overrides) if key == ["train", "accelerator"]]
        return str(named[-1]) if named else "cpu"

    def planned_length(self, key: str) -> float | None:
        """Minutes or epochs, as the option or a setting says them; None where neither does."""
        named = [value for *place, value in map(split_setting, self.overrides) if place == ["train", key]]
        return named[-1] if named else getattr(self, key)

    @property
    def planned_devices(self) -> int:
        """How many devices the settings name, on all machines."""
        named = {key: value for section, key, value in map(split_setting, self.overrides) if section == "train"}
        return int(named.get("devices", 1)) * int(named.get("nodes", 1))

    @property
    def task_settings(self) -> dict[str, Any]:
        """What the settings say of the section `task`."""
        return {key: value for section, key, value in map(split_setting, self.overrides) if section == "task"}

    @property
    def planned_shape(self) -> str | None:
        """How objects are to be found, as settings say it for a plan; None where they do not."""
        named = [value for *key, value in map(split_setting, self.overrides) if key == SHAPE]
        return str(named[-1]) if named else None

    @property
    def planned_scale(self) -> int | None:
        """How many times as fine super-resolution is to be, as settings say it for a plan; None where they do not."""
        named = [value for *key, value in map(split_setting, self.overrides) if key == ["task", "scale"]]
        return named[-1] if named and isinstance(named[-1], int) else None

    @property
    def leaves_network(self) -> bool:
        """Whether the network, its crops and its batch are left to the plan."""
        named = {(section, key) for section, key, _ in map(split_setting, self.overrides)}
        own = self.network is not None or self.start is not None or self.whole
        set_by_user = any(section == "model" or key in ("crop", "batch_size") for section, key in named)
        return not own and not set_by_user

    @property
    def after_plan(self) -> list[str]:
        """The settings that are applied to a planned recipe: those that a plan replaces by its choice are left out."""
        return [one for one in self.overrides if split_setting(one) != (*SHAPE, "auto")]

    @property
    def _given_settings(self) -> list[str]:
        return [self.settings] if isinstance(self.settings, str) else list(self.settings)

    def check(self) -> None:
        """Refuse what is wrong whatever the data are.

        Raises:
            UserError: an option has no such value, two options contradict each other, or this machine lacks the device.
        """
        if self.resume is not None:
            self._check_resume()
            return
        for setting in self._given_settings:
            if not isinstance(setting, str):
                raise UserError(f"settings: {setting!r} is not text: write 'section.key=value', one text or several")
        for name in ("minutes", "epochs", "seed"):
            if getattr(self, name) is not None:
                check_value("train", name, getattr(self, name), f"--{name}")
        check_settings(self.overrides)
        for setting in self._given_settings:
            section, key, _ = split_setting(setting)
            if section == "data" and key in OF_DATA:
                raise UserError(f"--set data.{key}: the data are given as DATA, and --dataset FILE describes them")
            if self.loss is not None and section == "task" and key in OF_LOSS:
                raise UserError(f"--set task.{key} is part of the loss that loss= replaces: leave one of them out")
        self._check_length()
        device = self.planned_device
        if device != "auto":
            check_device(device, "--device" if self.device == device else "train.accelerator =")

    def _check_length(self) -> None:
        """Refuse two lengths of one run."""
        given = [f"--{name}" for name in ("minutes", "epochs") if getattr(self, name) is not None]
        for setting in self._given_settings:
            section, key, value = split_setting(setting)
            if section == "train" and key in ("minutes", "epochs") and value is not None:
                given.append(f"--set train.{key}")
        if len(given) > 1:
            raise UserError(f"both {' and '.join(given)} are given: give one")

    def _check_resume(self) -> None:
        given = []
        for entry in fields(self):
            default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
            value = getattr(self, entry.name)
            if entry.name not in WITH_RESUME and value != default and value not in ("", []):
                given.append(entry.name)
        if "settings" in given and all(split_setting(one)[:2] in ALLOWED for one in self._given_settings):
            check_settings(self._given_settings)
            given.remove("settings")
        if given:
            raise UserError(f"--resume continues a run as it was begun: leave out {', '.join(given)}")


def read_options(options: Mapping[str, Any]) -> TrainOptions:
    """Return the options of a call of `train`.

    Raises:
        TypeError: there is no option of a name; the nearest one is named.
    """
    require_known("train", [entry.name for entry in fields(TrainOptions)], options)
    return TrainOptions(**options)


def require_known(function: str, known: Sequence[str], options: Mapping[str, Any]) -> None:
    """Refuse options that a function does not have.

    Raises:
        TypeError: there is no option of a name; the nearest one is named.
    """
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise TypeError(f"{function}() has no option {name!r}: {hint}")
