"""Anti-aliased pooling: whatever takes every s-th position first blurs, so that small shifts change less."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous._nd import CONV, MAX_POOL, per_axis
from atrous.analysis.probe import Output, shared_copy
from atrous.errors import UserError
from atrous.geometry.graph import export_graph
from atrous.geometry.lower import CONVOLUTIONS
from atrous.nn.blurpool import BlurPool

_SIZE = {1: 512, 2: 512, 3: 128}  # positions per axis of the input that a copy is exported on; nothing is computed


class BlurSubsample(BlurPool):
    """`BlurPool` for inputs of however many channels: a max pool does not say how many it will see.

    The filter is binomial, of `2 s - 1` taps for stride `s`: 1/4, 1/2, 1/4 for 2.

    >>> BlurSubsample((2,))(torch.tensor([[[0.0, 0, 0, 0, 4, 0, 0, 0]]])).tolist()
    [[[0.0, 0.0, 2.0, 0.0]]]
    """

    def __init__(self, stride: tuple[int, ...]) -> None:
        super().__init__(len(stride), 1, stride, taps=2 * max(stride) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, *S)` to `(N, C, *ceil(S / stride))`."""
        kernel = self.get_buffer("kernel").to(x.dtype)
        weight = torch.cat([kernel] * x.shape[1])
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(self.stride) - 1]
        return convolve(F.pad(x, self.pads, mode="replicate"), weight, stride=self.stride, groups=x.shape[1])


def antialias(network: nn.Module, shape: tuple[int, ...] | None = None, *, output: Output = None) -> nn.Module:
    """A copy in which every strided max pool and convolution runs at stride 1, and is then blurred and thinned.

    The blur is that of Zhang 2019, "Making convolutional networks shift-invariant again". Weights are the network's
    own (shared, not copied), and all sizes stay; the values change, so a trained network wants some more training.
    Blurring stands right after the convolution, where Zhang has it after the ReLU that follows; average pools and
    strided convolutions with a fixed kernel blur already and stay. Each replaced convolution costs as many times more
    as its stride thins.

    Args:
        network: any module; a pool or convolution that runs several times is replaced everywhere.
        shape: an input `(C, *S)` on which the copy is exported, to see that nothing strided is left in it; by default
            one that the first convolution reads.
        output: which tensor, when the network returns several.

    Raises:
        UserError: a pool or convolution cannot be replaced: it rounds its size up, returns indices, is of a derived
            class whose forward pass is its own, or is no module but a call in a forward pass. Or the copy cannot be
            exported.

    >>> copied = antialias(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.MaxPool2d(2)))
    >>> copied(torch.zeros(1, 3, 33, 64)).shape
    torch.Size([1, 8, 8, 16])
    """
    copied = nn.Sequential(shared_copy(network))  # so that the network itself stands in a parent
    made: dict[nn.Module, nn.Module | None] = {}  # a module may be registered under several names
    for path, parent in list(copied.named_modules()):
        for name, child in parent._modules.items():
            if child is not None and child not in made:
                made[child] = _replacement(f"{path}.{name}"[2:] or "the network", child)
            if child is not None and (new := made[child]) is not None:
                parent._modules[name] = new
    _check(copied[0], shape or _any_shape(network), output)
    return copied[0]


def _any_shape(network: nn.Module) -> tuple[int, ...]:
    for module in network.modules():
        for ndim, size in _SIZE.items():
            if isinstance(module, (CONV[ndim], MAX_POOL[ndim])):
                return (getattr(module, "in_channels", 1), *[size] * ndim)
    raise UserError(f"{type(network).__name__}: has no convolution or max pool to anti-alias")


def _check(copied: nn.Module, shape: tuple[int, ...], output: Output) -> None:
    """Refuse a max pool, or a convolution whose kernel is not fixed, that still drops positions."""
    learned = {p.data_ptr() for p in copied.parameters()}
    graph = export_graph(copied, shape, output=output)
    fixed: set[int] = set()  # values that follow from buffers and numbers alone
    for op in graph.ops:
        free = op.tensor is None or op.tensor.data_ptr() not in learned
        if free and op.kind != "input" and set(op.inputs) <= fixed:
            fixed.add(op.index)
        pools = op.kind.startswith("max_pool")
        if not pools and (op.kind not in CONVOLUTIONS or op.arguments["weight"].index in fixed):
            continue
        stride = op.arguments["stride"] or op.arguments["kernel_size"]
        if max(stride) > 1:
            raise UserError(
                f"{op.module}: calls {op.kind} with stride {stride} in its forward pass, which cannot be anti-aliased: "
                "make it a module of its own"
            )


def _replacement(path: str, module: nn.Module) -> nn.Module | None:
    convolutions, pools = tuple(CONV.values()), tuple(MAX_POOL.values())
    if not isinstance(module, convolutions + pools):
        return None
    ndim = next(n for n in CONV if isinstance(module, (CONV[n], MAX_POOL[n])))
    stride = per_axis(module.stride, ndim)  # type: ignore[arg-type]
    if math.prod(stride) == 1:
        return None
    if type(module) not in convolutions + pools:
        raise UserError(f"{path} ({type(module).__name__}): pads or pools in its own way: cannot be anti-aliased")
    if isinstance(module, pools) and (module.ceil_mode or module.return_indices):
        raise UserError(f"{path} ({type(module).__name__}): ceil_mode and return_indices cannot be anti-aliased")
    setattr(module, "stride", (1,) * ndim)  # noqa: B010
    return nn.Sequential(module, BlurSubsample(stride))
