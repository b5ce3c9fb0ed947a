"""The graph of an exported file: raw values in; labels and probabilities, or what else the task answers, out."""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from atrous.data.preprocess import Preparation
from atrous.errors import UserError
from atrous.tasks.custom import CustomTask, value_task
from atrous.tasks.stranded import Stranded
from atrous.tasks.task import FoundTask, Task

Answers = Mapping[str, Callable[[torch.Tensor], torch.Tensor]]
"""By the name of an output, what makes it of the network's output `(N, K, *S)`."""
LARGEST = torch.finfo(torch.float32).max
"""The greatest finite value."""


class Preparing(nn.Module):
    """What a recipe does to the values of every input, as operators of a graph: `atrous.data.preprocess` in torch.

    The steps, on `(N, C, *S)` float32 (the names are those of `Preparation`):

    1. values `nodata` become NaN;
    2. channels that `clip` are cut at `low` and `high`;
    3. channels that `zscore` become `(x - mean) / deviation`, both of the finite values of one channel of one input;
    4. NaN and infinite values become `fill`.

    The grid is not changed: inputs of another spacing are resampled by the caller.

    Args:
        preparation: what the recipe says.
        channels: of the input.
        ndim: spatial axes.
        gaps: whether values may be NaN or infinite; where they cannot, step 4 is left out.

    >>> prepare = Preparing(Preparation(("zscore",)), channels=1, ndim=1)
    >>> prepare(torch.tensor([[[1.0, 3.0, torch.nan]]])).tolist()
    [[[-1.0, 1.0, 0.0]]]
    """

    def __init__(self, preparation: Preparation, channels: int, ndim: int, *, gaps: bool = True) -> None:
        super().__init__()
        kinds = (
            preparation.intensity if len(preparation.intensity) == channels else preparation.intensity[:1] * channels
        )
        fill = preparation.fill if len(preparation.fill) == channels else preparation.fill[:1] * channels
        self.clips, self.scales = "clip" in kinds, "zscore" in kinds
        self.nodata, self.gaps = preparation.nodata, gaps or bool(preparation.nodata)
        self.space = list(range(2, 2 + ndim))
        shape = (1, channels, *[1] * ndim)
        limits = [
            [numbers[i] if kind == "clip" else default for i, kind in enumerate(kinds)]
            for numbers, default in ((preparation.low, -torch.inf), (preparation.high, torch.inf))
        ]
        self.register_buffer("low", torch.tensor(limits[0], dtype=torch.float32).view(shape), persistent=False)
        self.register_buffer("high", torch.tensor(limits[1], dtype=torch.float32).view(shape), persistent=False)
        chosen = torch.tensor([kind == "zscore" for kind in kinds]).view(shape)
        self.register_buffer("chosen", chosen, persistent=False)
        self.register_buffer("fill", torch.tensor(fill, dtype=torch.float32).view(shape), persistent=False)

    low: torch.Tensor
    high: torch.Tensor
    chosen: torch.Tensor
    fill: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Prepare `(N, C, *S)` float32."""
        for value in self.nodata:
            x = torch.where(x == value, torch.nan, x)
        if self.clips:  # comparisons leave NaN as it is, in every runtime
            x = torch.where(x < self.low, self.low, x)
            x = torch.where(x > self.high, self.high, x)
        if self.scales:
            x = torch.where(self.chosen, self._standardized(x), x)
        return torch.where(_finite(x), x, self.fill) if self.gaps else x

    def _standardized(self, x: torch.Tensor) -> torch.Tensor:
        """Z-scores over the positions of each channel of each input, sums in float64."""
        finite = _finite(x)
        count = finite.double().sum(self.space, keepdim=True).clamp(min=1.0)
        values = torch.where(finite, x, 0.0).double()
        mean = values.sum(self.space, keepdim=True) / count
        apart = torch.where(finite, values - mean, 0.0)
        deviation = ((apart * apart).sum(self.space, keepdim=True) / count).sqrt()
        deviation = torch.where(deviation > 0, deviation, 1.0)
        return (x - mean.float()) / deviation.float()


def _finite(x: torch.Tensor) -> torch.Tensor:
    """Where values are neither NaN nor infinite."""
    return x.abs() <= LARGEST


class Pipeline(nn.Module):
    """Raw values `(N, C, *S)` float32 to a dictionary of answers: what an exported file computes.

    Args:
        network: `(N, C, *S)` to `(N, K, *S)`; a copy in float32 and evaluation mode becomes part.
        answers: what is made of the network's output, by name.
        prepare: what is done to the input first; nothing if None.

    >>> pipeline = Pipeline(nn.Conv1d(1, 2, 1), {"labels": lambda output: output.argmax(1)})
    >>> pipeline(torch.zeros(1, 1, 5))["labels"].shape
    torch.Size([1, 5])
    """

    def __init__(self, network: nn.Module, answers: Answers, prepare: nn.Module | None = None) -> None:
        super().__init__()
        self.prepare = nn.Identity() if prepare is None else prepare
        self.network = copy.deepcopy(network).cpu().float().eval()
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)
            # Where channels are last in memory, torch.export asks for the remainders of sizes, which fixes them.
            parameter.data = parameter.data.contiguous()
        self.answers = answers

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the answers of raw values `(N, C, *S)` float32.

        Raises:
            UserError: the network returns several results, none of which is called "out".
        """
        output: Any = self.network(self.prepare(image))
        if isinstance(output, Mapping) and "out" in output:  # torchvision's networks
            output = output["out"]
        if not isinstance(output, torch.Tensor):
            raise UserError(
                f"{type(self.network).__name__}: returns {_in_words(output)}, and a file has one result of a network: "
                "wrap it in a module that returns the tensor that you want"
            )
        return {name: answer(output) for name, answer in self.answers.items()}


def _in_words(output: object) -> str:
    """What a network returned.

    >>> _in_words((1, 2)), _in_words({"a": 1, "b": 2}), _in_words(None)
    ('2 results', 'a dictionary of a, b', 'a NoneType')
    """
    if isinstance(output, Mapping):
        return f"a dictionary of {', '.join(map(str, output))}"
    if isinstance(output, tuple | list):
        return f"{len(output)} results"
    return f"a {type(output).__name__}"


def answers_of(task: Task | None) -> Answers:
    """Return the outputs of a file for a task.

    | task | outputs |
    |---|---|
    | a class at every position, or several | `labels` `(N, *S)` uint8, `probabilities` `(N, K, *S)` |
    | numbers, restoration | `values` `(N, K, *S)`, in the units of the training targets |
    | objects, boxes, points | `maps` `(N, K, *S)`: the dense maps that are decoded |
    | none (any network) | `output`, what the network returns |

    >>> from atrous.tasks.semantic import Semantic
    >>> list(answers_of(Semantic(("background", "cell"))))
    ['labels', 'probabilities']
    """
    if task is None:
        return {"output": lambda output: output}
    if (numbers := value_task(task)) is not None:
        return {"values": numbers.probabilities}
    if isinstance(task, FoundTask):
        return {"maps": task.probabilities}
    several = task.task if isinstance(task, CustomTask) else task
    if isinstance(several, Stranded):
        return {"labels": partial(_bits, several), "probabilities": partial(_of_classes, several)}
    return {"labels": task.decode, "probabilities": task.probabilities}


def _of_classes(task: Stranded, output: torch.Tensor) -> torch.Tensor:
    """The probabilities of the classes, without the evidence for genes that follows them."""
    return task.probabilities(output)[:, : len(task.classes)]


def _bits(task: Stranded, output: torch.Tensor) -> torch.Tensor:
    """`Stranded.decode` in int32: other runtimes neither multiply nor add 8-bit numbers."""
    present = (_of_classes(task, output) >= task.level).int()
    weighted = [present[:, i] * 2**i for i in range(len(task.classes))]
    return torch.stack(weighted).sum(0, dtype=torch.int32).to(torch.uint8)
