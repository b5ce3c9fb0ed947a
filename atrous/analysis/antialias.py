"""Anti-aliased pooling: every layer that keeps each s-th position blurs first, so that small shifts change less."""

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

_SIZE = {1: 512, 2: 512, 3: 128}  # size per axis of the input that the copy is exported with; nothing is computed


class BlurSubsample(BlurPool):
    """A `BlurPool` for any number of channels, because a max pool does not state how many channels it reads.

    The filter is binomial with `2 s - 1` taps for stride `s`: 1/4, 1/2, 1/4 for stride 2.

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
    """Return a copy in which every strided max pool and convolution runs at stride 1, then blurs, then subsamples.

    This is the blur of Zhang 2019, "Making convolutional networks shift-invariant again". The copy shares the network's
    weights, and all sizes stay the same. The values change, so a trained network needs some more training. The blur
    follows the convolution directly, whereas Zhang puts it after the ReLU. Average pools and strided convolutions with
    a fixed kernel blur already and are not replaced. A replaced convolution costs as many times more as its stride
    dropped positions: 4 times for stride 2 in 2-D.

    Args:
        network: any module. A pool or convolution that runs several times is replaced everywhere.
        shape: shape `(C, *S)` of an input. The copy is exported with it, to check that no strided operator is left. By
            default a shape that the first convolution can read.
        output: which tensor to use if the network returns several.

    Raises:
        UserError: a pool or convolution cannot be replaced, because it has `ceil_mode`, returns indices, has a forward
            pass of its own (a derived class), or is a function call in a forward pass instead of a module. Or the copy
            cannot be exported.

    >>> copied = antialias(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.MaxPool2d(2)))
    >>> copied(torch.zeros(1, 3, 33, 64)).shape
    torch.Size([1, 8, 8, 16])
    """
    copied = nn.Sequential(shared_copy(network))  # the wrapper gives even the outermost module a parent
    replacements: dict[nn.Module, nn.Module | None] = {}  # one per module, which may have several names
    for path, parent in list(copied.named_modules()):
        for name, child in parent._modules.items():
            if child is not None and child not in replacements:
                replacements[child] = _replacement(f"{path}.{name}"[2:] or "the network", child)
            if child is not None and (new := replacements[child]) is not None:
                parent._modules[name] = new
    _check(copied[0], shape or _any_shape(network), output)
    return copied[0]


def _any_shape(network: nn.Module) -> tuple[int, ...]:
    """Return a shape `(C, *S)` that the first convolution or max pool can read."""
    for module in network.modules():
        for ndim, size in _SIZE.items():
            if isinstance(module, (CONV[ndim], MAX_POOL[ndim])):
                return (getattr(module, "in_channels", 1), *[size] * ndim)
    raise UserError(f"{type(network).__name__}: has no convolution or max pool to anti-alias")


def _check(copied: nn.Module, shape: tuple[int, ...], output: Output) -> None:
    """Raise UserError if a max pool, or a convolution with a learned kernel, still has a stride."""
    learned = {p.data_ptr() for p in copied.parameters()}
    graph = export_graph(copied, shape, output=output)
    fixed: set[int] = set()  # indices of values that depend on buffers and constants alone
    for op in graph.ops:
        no_parameter = op.tensor is None or op.tensor.data_ptr() not in learned
        if no_parameter and op.kind != "input" and set(op.inputs) <= fixed:
            fixed.add(op.index)
        pools = op.kind.startswith("max_pool")
        if not pools and (op.kind not in CONVOLUTIONS or op.arguments["weight"].index in fixed):
            continue
        stride = op.arguments["stride"] or op.arguments["kernel_size"]
        if max(stride) > 1:
            raise UserError(
                f"{op.module}: its forward pass calls {op.kind} with stride {stride}, which cannot be anti-aliased: "
                "use a module instead of the function"
            )


def _replacement(path: str, module: nn.Module) -> nn.Module | None:
    """Return the module at stride 1 followed by a blur, or None if it has no stride to replace."""
    convolutions, pools = tuple(CONV.values()), tuple(MAX_POOL.values())
    if not isinstance(module, convolutions + pools):
        return None
    ndim = next(n for n in CONV if isinstance(module, (CONV[n], MAX_POOL[n])))
    stride = per_axis(module.stride, ndim)  # type: ignore[arg-type]
    if math.prod(stride) == 1:
        return None
    if type(module) not in convolutions + pools:
        raise UserError(
            f"{path} ({type(module).__name__}): a derived class cannot be anti-aliased: use torch's own class"
        )
    if isinstance(module, pools) and (module.ceil_mode or module.return_indices):
        raise UserError(
            f"{path} ({type(module).__name__}): ceil_mode and return_indices cannot be anti-aliased: switch them off"
        )
    setattr(module, "stride", (1,) * ndim)  # noqa: B010
    return nn.Sequential(module, BlurSubsample(stride))
