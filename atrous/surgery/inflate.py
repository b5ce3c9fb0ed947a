"""A network gains an axis: 2-D kernels repeated along it, so that one image repeated gives the 2-D answer repeated.

Carreira and Zisserman, "Quo vadis, action recognition? A new model and the Kinetics dataset", CVPR 2017, section 2.4.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous._nd import AVG_POOL, BATCH_NORM, CONV, CONV_TRANSPOSE, LINEAR, MAX_POOL, per_axis
from atrous.errors import UserError
from atrous.surgery.certificate import (
    Change,
    Converted,
    certified,
    evaluating,
    example,
    first_channels,
    tensors,
)
from atrous.surgery.copies import copied, in_what, narrowed, widened
from atrous.surgery.measure import Pairs, proven_error
from atrous.surgery.timm_layers import NORM_ACT, SAME, BatchNormAct3d, Conv3dSame, full_name

ADAPTIVE_AVG = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
ADAPTIVE_MAX = {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d, 3: nn.AdaptiveMaxPool3d}
INSTANCE_NORM = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
DROPOUT = {1: nn.Dropout1d, 2: nn.Dropout2d, 3: nn.Dropout3d}
PADS = (
    {1: nn.ZeroPad1d, 2: nn.ZeroPad2d, 3: nn.ZeroPad3d},
    {1: nn.ConstantPad1d, 2: nn.ConstantPad2d, 3: nn.ConstantPad3d},
    {1: nn.ReflectionPad1d, 2: nn.ReflectionPad2d, 3: nn.ReflectionPad3d},
    {1: nn.ReplicationPad1d, 2: nn.ReplicationPad2d, 3: nn.ReplicationPad3d},
)
WEIGHTS = ("mean", "center")


def inflate(
    network: nn.Module,
    ndim: int = 3,
    *,
    axis: int = 0,
    kernel: int | None = None,
    weights: str = "mean",
    shape: Sequence[int] | None = None,
) -> Converted:
    """The network with one more spatial axis, from the same weights.

    On an input that repeats one image along the new axis, the result repeats the original's output, away from the new
    axis' own borders (there it pads with zeros, as convolutions do).

    Args:
        network: made of torch's own layers for `ndim - 1` axes, or of timm's convolutions with "same" padding and batch
            norms with an activation.
        ndim: spatial axes of the result.
        axis: where the new axis stands among the result's, 0 for depth or time before height and width.
        kernel: None: along the new axis every layer has the kernel, stride and padding of its first one. 1: kernels of
            one and no stride, so that nothing moves along the new axis.
        weights: "mean": every slice of a kernel is the original over its length; "center": the middle slice is the
            original, the others are zero.
        shape: an input `(C, *S)` of the original to compare on; 64 positions per axis when None.

    Raises:
        UserError: a layer has no form with another axis, naming it; or the result has no such fixed point.

    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    >>> done = inflate(network)
    >>> done.network[0].weight.shape, done.network(torch.randn(1, 3, 8, 16, 16)).shape
    (torch.Size([4, 3, 3, 3, 3]), torch.Size([1, 4, 4, 8, 8]))
    """
    channels, before = first_channels(network)
    if ndim != before + 1 or ndim > 3:
        raise UserError(f"ndim={ndim}: the network has {before} spatial axes, and one is added at a time, up to 3")
    if weights not in WEIGHTS or kernel not in (None, 1) or axis not in range(ndim):
        raise UserError(
            f"weights={weights!r}, kernel={kernel}, axis={axis}: weights is one of {WEIGHTS}, kernel None or 1, axis "
            f"0 to {ndim - 1}"
        )
    shape = tuple(shape or (channels, *(64,) * before))
    grow, proved = _Grow(before, axis, kernel, weights), widened(network)
    result = copied(proved)
    changes = []
    made: dict[nn.Module, nn.Module | None] = {}  # a module may be registered under several names
    for path, module in list(result.named_modules(remove_duplicate=False)):
        new = made[module] if module in made else grow.module(module, path)
        made[module] = new
        if new is not None:
            if new is not module:
                _take_over(path, module, new)
            result = _put(result, path, new.train(module.training))
            changes.append(Change(path, _said(module, new)))
    error = proven_error(proved, result, partial(_fixed_point, shape=shape, grow=grow))
    return certified(
        f"inflate to {ndim} axes",
        network,
        narrowed(result, network),
        max_error=error,
        compared=f"an image repeated along axis {axis}, its borders repeated too, with the original's output repeated"
        + in_what(network),
        shapes=(shape,),
        changes=tuple(changes),
    )


def _take_over(path: str, module: nn.Module, new: nn.Module) -> None:
    """Hooks of a layer that is replaced; its parameters must be those that the new one has."""
    held, has = ([name for name, _ in m.named_parameters()] for m in (module, new))
    if set(held) != set(has):
        raise UserError(
            f"{path or 'the network'} ({type(module).__name__}): its parameters are {', '.join(held)}, not "
            f"{', '.join(has)}: remove what computes its weight first (torch.nn.utils.remove_weight_norm)"
        )
    for kind in ("forward_hooks", "forward_pre_hooks", "forward_hooks_with_kwargs", "forward_pre_hooks_with_kwargs"):
        getattr(new, f"_{kind}").update(getattr(module, f"_{kind}"))


def _put(network: nn.Module, path: str, new: nn.Module) -> nn.Module:
    if not path:
        return new
    network.set_submodule(path, new)
    return network


def _said(old: nn.Module, new: nn.Module) -> str:
    size = getattr(new, "kernel_size", None)
    kernel = f" {'x'.join(map(str, size))}" if isinstance(size, tuple) else ""
    return f"{type(old).__name__} -> {type(new).__name__}{kernel}"


class _Grow:
    """How each of torch's layers gains the new axis."""

    def __init__(self, before: int, axis: int, kernel: int | None, weights: str):
        self.n, self.axis, self.kernel, self.weights = before, axis, kernel, weights
        self.grown: dict[tuple[nn.Parameter, tuple[int, ...]], nn.Parameter] = {}
        self.makers: dict[type, Callable[[Any], nn.Module]] = {
            CONV[before]: self.conv,
            CONV_TRANSPOSE[before]: self.transposed,
            BATCH_NORM[before]: lambda m: self.recast(m, BATCH_NORM),
            INSTANCE_NORM[before]: lambda m: self.recast(m, INSTANCE_NORM),
            DROPOUT[before]: lambda m: DROPOUT[before + 1](m.p, m.inplace),
            MAX_POOL[before]: self.max_pool,
            AVG_POOL[before]: self.avg_pool,
            ADAPTIVE_AVG[before]: lambda m: ADAPTIVE_AVG[before + 1](self.bins(m.output_size)),
            ADAPTIVE_MAX[before]: lambda m: ADAPTIVE_MAX[before + 1](self.bins(m.output_size)),
            nn.Upsample: self.upsample,
            **{kinds[before]: self.pad(kinds) for kinds in PADS},
        }

    def module(self, module: nn.Module, path: str) -> nn.Module | None:
        """The layer with one more axis; None for what works on any number of axes."""
        if self.n == 2 and full_name(module) == NORM_ACT:
            module.__class__ = BatchNormAct3d
            return module
        if self.n == 2 and full_name(module) == SAME and self.kernel is None:
            new = self.conv(module)
            new.__class__ = Conv3dSame
            return new
        maker = self.makers.get(type(module))
        if maker is not None:
            return maker(module)
        if isinstance(module, (*self.makers, nn.PixelShuffle, nn.PixelUnshuffle)):
            raise UserError(f"{path} ({type(module).__name__}): has no form with another axis that is known")
        return None

    def added(self, values: Any, alone: int) -> tuple[int, ...]:
        """One value per axis, the new axis' among them: as the first, or `alone` where nothing moves along it."""
        each = list(per_axis(values, self.n))
        each.insert(self.axis, each[0] if self.kernel is None else alone)
        return tuple(each)

    def conv(self, m: Any) -> nn.Module:
        reach = [d * (k - 1) for d, k in zip(m.dilation, m.kernel_size, strict=True)]
        if m.padding == "same" and any(r % 2 for r in reach):
            raise UserError(f'{m}: "same" padding of an even kernel has no form with another axis that is known')
        named = {"same": tuple(r // 2 for r in reach), "valid": 0}
        padding = self.added(named[m.padding] if isinstance(m.padding, str) else m.padding, 0)
        new = CONV[self.n + 1](
            m.in_channels, m.out_channels, self.added(m.kernel_size, 1), self.added(m.stride, 1), padding,
            self.added(m.dilation, 1), m.groups, False, m.padding_mode, device="meta",
        )  # fmt: skip
        size = new.kernel_size[self.axis]
        new.bias = m.bias
        if (m.weight, new.kernel_size) in self.grown:  # tied weights stay tied
            new.weight = self.grown[m.weight, new.kernel_size]
            return new
        weight = m.weight.detach().unsqueeze(2 + self.axis).repeat_interleave(size, 2 + self.axis)
        if self.weights == "mean":
            weight = weight / size
        else:
            keep = torch.zeros(size, dtype=weight.dtype, device=weight.device)
            keep[size // 2] = 1
            weight = weight * keep.reshape(-1, *(1,) * (self.n - self.axis))
        new.weight = nn.Parameter(weight, requires_grad=m.weight.requires_grad)
        self.grown[m.weight, new.kernel_size] = new.weight
        return new

    def transposed(self, m: Any) -> nn.Module:
        """Along the new axis every position is repeated `stride` times."""
        stride, size, pad, more = m.stride[0], m.kernel_size[0], m.padding[0], m.output_padding[0]
        if self.kernel is None and m.dilation[0] * (size - 1) + 1 - 2 * pad + more != stride:
            raise UserError(f"{m}: does not give stride times the length, so it has no plain form along another axis")
        step = stride if self.kernel is None else 1
        axes = [list(each) for each in (m.kernel_size, m.stride, m.padding, m.output_padding, m.dilation)]
        for values, value in zip(axes, (step, step, 0, 0, 1), strict=True):
            values.insert(self.axis, value)
        k, s, p, o, d = (tuple(values) for values in axes)
        new = CONV_TRANSPOSE[self.n + 1](
            m.in_channels, m.out_channels, k, s, p, o, m.groups, False, d, m.padding_mode, device="meta"
        )
        weight = m.weight.detach().unsqueeze(2 + self.axis).repeat_interleave(step, 2 + self.axis)
        new.weight, new.bias = nn.Parameter(weight, requires_grad=m.weight.requires_grad), m.bias
        return new

    def recast(self, m: nn.Module, kinds: dict[int, Any]) -> nn.Module:
        m.__class__ = kinds[self.n + 1]  # these differ in the number of axes that they check for
        return m

    def max_pool(self, m: Any) -> nn.Module:
        parts = (
            self.added(m.kernel_size, 1),
            self.added(m.stride, 1),
            self.added(m.padding, 0),
            self.added(m.dilation, 1),
        )
        return MAX_POOL[self.n + 1](*parts, m.return_indices, m.ceil_mode)

    def avg_pool(self, m: Any) -> nn.Module:
        if getattr(m, "divisor_override", None) is not None:
            raise UserError(f"{m}: divides by a number of its own, which has no form with another axis")
        parts = (self.added(m.kernel_size, 1), self.added(m.stride, 1), self.added(m.padding, 0))
        return AVG_POOL[self.n + 1](*parts, m.ceil_mode, m.count_include_pad)

    def bins(self, sizes: Any) -> tuple[int | None, ...]:
        """Adaptive pools: the new axis is pooled to one position where the others are, and is kept where not."""
        each = list(sizes) if isinstance(sizes, tuple) else [sizes] * self.n
        each.insert(self.axis, 1 if set(each) == {1} else None)
        return tuple(each)

    def upsample(self, m: nn.Upsample) -> nn.Module:
        if m.size is not None or m.mode not in ("nearest", "nearest-exact", LINEAR[self.n]):
            raise UserError(f"{m}: only scale_factor with nearest or {LINEAR[self.n]} has a form with another axis")
        factor: Any = m.scale_factor
        each = list(factor) if isinstance(factor, tuple) else [factor] * self.n
        each.insert(self.axis, each[0] if self.kernel is None else 1.0)
        mode = LINEAR[self.n + 1] if m.mode == LINEAR[self.n] else m.mode
        return nn.Upsample(None, tuple(each), mode, m.align_corners, m.recompute_scale_factor)

    def pad(self, kinds: dict[int, Any]) -> Callable[[Any], nn.Module]:
        def made(m: Any) -> nn.Module:
            pairs = [list(m.padding[2 * i : 2 * i + 2]) for i in range(self.n)][::-1]
            pairs.insert(self.axis, [0, 0] if self.kernel == 1 else pairs[0])
            flat = tuple(v for pair in reversed(pairs) for v in pair)
            return kinds[self.n + 1](flat, m.value) if kinds[1] is nn.ConstantPad1d else kinds[self.n + 1](flat)

        return made


def _fixed_point(network: nn.Module, result: nn.Module, shape: tuple[int, ...], grow: _Grow) -> Pairs:
    """Outputs on a repeated image, of a copy whose zero padding along the new axis repeats instead, and their likes."""
    probe = copied(result)
    for module in probe.modules():
        _repeat_borders(module, grow)
    x = example(network, shape, 1)
    depth = shape[1] if grow.kernel is None else 4
    volume = x.unsqueeze(2 + grow.axis).repeat_interleave(depth, 2 + grow.axis)
    with evaluating(network, probe):
        wanted = tensors(network(x.clone()))  # it may write into its input
        try:
            found = tensors(probe(volume))
        except Exception as error:  # the network's own forward pass may count axes
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"{type(network).__name__}: its forward pass does not run with another axis ({first}): a function in "
                "it is for a fixed number of axes"
            ) from error
    if len(wanted) != len(found):
        raise UserError(f"{type(network).__name__}: returns {len(wanted)} tensors, and {len(found)} with another axis")
    pairs = []
    for a, b in zip(wanted, found, strict=True):
        at = 2 + grow.axis
        if b.dim() != a.dim() + 1 or b.shape[:at] + b.shape[at + 1 :] != a.shape:
            pairs.append((b, a))
            continue
        if b.dim() == volume.dim():
            _check_depth(network, probe, b.shape[at], a.shape[2] if grow.kernel is None else depth)
        pairs.append((b, a.unsqueeze(at).expand_as(b)))
    return pairs


def _check_depth(network: nn.Module, probe: nn.Module, found: int, wanted: int) -> None:
    """The new axis must come out as long as the one that it is like; adaptive pools to several bins keep it."""
    pools = [m for m in probe.modules() if isinstance(m, (*ADAPTIVE_AVG.values(), *ADAPTIVE_MAX.values()))]
    if found != wanted and not any(isinstance(m.output_size, tuple) and None in m.output_size for m in pools):
        raise UserError(
            f"{type(network).__name__}: its output has {found} positions along the new axis and should have {wanted}: "
            "a function in its forward pass pads, pools or crops the original axes only"
        )


def _repeat_borders(module: Any, grow: _Grow) -> None:
    kinds = (CONV[grow.n + 1], MAX_POOL[grow.n + 1], AVG_POOL[grow.n + 1])
    zeros = getattr(module, "padding_mode", "zeros") == "zeros"
    if isinstance(module, Conv3dSame):
        module.repeated = grow.axis
        return
    if isinstance(module, nn.ConstantPad1d | nn.ConstantPad2d | nn.ConstantPad3d):
        flat, at = list(module.padding), 2 * (grow.n - grow.axis)
        pads = flat[at : at + 2]
        flat[at : at + 2] = [0, 0]
        module.padding = tuple(flat)  # pyright: ignore[reportAttributeAccessIssue]
    elif isinstance(module, kinds) and zeros and not isinstance(module.padding, str):
        each = list(module.padding)
        pads = [each[grow.axis]] * 2
        each[grow.axis] = 0
        module.padding = tuple(each)
    else:
        return
    if any(pads):
        around = [0] * (2 * (grow.n + 1))
        around[2 * (grow.n - grow.axis) : 2 * (grow.n - grow.axis) + 2] = pads

        def before(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (F.pad(args[0], around, mode="replicate"), *args[1:])

        module.register_forward_pre_hook(before)
