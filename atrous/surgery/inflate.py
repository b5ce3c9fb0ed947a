"""A network gains an axis: 2-D kernels repeated along it, so that one image repeated gives the 2-D answer repeated.

Carreira and Zisserman, "Quo vadis, action recognition? A new model and the Kinetics dataset", CVPR 2017, section 2.4.

Call the new axis z. A 2-D convolution with kernel `w[y, x]` becomes a 3-D one with kernel `w3[z, y, x]`. On a volume
that holds the same image at every z, it computes at every z

    sum over z, y, x of  w3[z, y, x] * image[y, x]  =  sum over y, x of  (sum over z of w3[z, y, x]) * image[y, x],

which is the 2-D output if `sum over z of w3[z, y, x] = w[y, x]`. With k slices, `weights="mean"` takes `w / k` for each
slice, and `weights="center"` takes `w` for the middle one and zero for the others. Pools, norms and pointwise layers
have the property by themselves.

At the ends of z a convolution reads zeros, so there the property fails, as it does for any padding. The proof therefore
runs a copy of the result that repeats its outermost values along z instead (`_fixed_point_pairs`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous._nd import AVG_POOL, BATCH_NORM, CONV, CONV_TRANSPOSE, LINEAR, MAX_POOL, per_axis
from atrous.errors import UserError
from atrous.nn.padding import Conv3dSame, foreign_layer
from atrous.surgery.certificate import (
    Change,
    Converted,
    Pairs,
    certified,
    evaluating,
    example,
    first_channels,
    proven_error,
    tensors,
)
from atrous.surgery.copies import copied, narrowed, type_remark, widened

ADAPTIVE_AVG = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
ADAPTIVE_MAX = {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d, 3: nn.AdaptiveMaxPool3d}
INSTANCE_NORM = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
DROPOUT = {1: nn.Dropout1d, 2: nn.Dropout2d, 3: nn.Dropout3d}
CONSTANT_PAD = {1: nn.ConstantPad1d, 2: nn.ConstantPad2d, 3: nn.ConstantPad3d}
PADS = (
    CONSTANT_PAD,
    {1: nn.ZeroPad1d, 2: nn.ZeroPad2d, 3: nn.ZeroPad3d},
    {1: nn.ReflectionPad1d, 2: nn.ReflectionPad2d, 3: nn.ReflectionPad3d},
    {1: nn.ReplicationPad1d, 2: nn.ReplicationPad2d, 3: nn.ReplicationPad3d},
)
WEIGHTS = ("mean", "center")
UNMOVED_DEPTH = 4
"""Length of the new axis in the proof where nothing moves along it."""


def inflate(
    network: nn.Module,
    ndim: int = 3,
    *,
    axis: int = 0,
    kernel: int | None = None,
    weights: str = "mean",
    shape: Sequence[int] | None = None,
) -> Converted:
    """Return the network with one more spatial axis, from the same weights.

    On an input that repeats one image along the new axis, the result repeats the original's output, away from the two
    ends of the new axis (there convolutions read zeros).

    Args:
        network: made of torch's own layers for `ndim - 1` axes, or of timm's convolutions with "same" padding and batch
            norms with an activation.
        ndim: spatial axes of the result.
        axis: where the new axis stands among the result's: 0 for depth or time before height and width.
        kernel: None: along the new axis every layer has the kernel, stride and padding of its first axis. 1: it has a
            kernel and a stride of one, so that the result treats every slice along the new axis by itself.
        weights: "mean": every slice of a kernel is the original divided by the number of slices. "center": the middle
            slice is the original, and the others are zero.
        shape: an input `(C, *S)` of the original to compare on; 64 positions per axis when None.

    Raises:
        UserError: a layer has no form with another axis (the message names it), or the result does not repeat the
            original's output.

    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    >>> converted = inflate(network)
    >>> converted.network[0].weight.shape, converted.network(torch.randn(1, 3, 8, 16, 16)).shape
    (torch.Size([4, 3, 3, 3, 3]), torch.Size([1, 4, 4, 8, 8]))
    """
    channels, ndim_before = first_channels(network)
    if ndim != ndim_before + 1 or ndim > 3:
        raise UserError(f"ndim={ndim}: the network has {ndim_before} spatial axes, and one is added at a time, up to 3")
    if weights not in WEIGHTS or kernel not in (None, 1) or axis not in range(ndim):
        raise UserError(
            f"weights={weights!r}, kernel={kernel}, axis={axis}: weights is one of {WEIGHTS}, kernel None or 1, axis "
            f"0 to {ndim - 1}"
        )
    shape = tuple(shape or (channels, *(64,) * ndim_before))
    inflater, original = _Inflater(ndim_before, axis, kernel, weights), widened(network)
    result, changes = _inflated(copied(original), inflater)
    error = proven_error(original, result, partial(_fixed_point_pairs, shape=shape, inflater=inflater))
    return certified(
        f"inflate to {ndim} axes",
        network,
        narrowed(result, network),
        max_error=error,
        compared=f"an image repeated along axis {axis}, its borders repeated too, with the original's output repeated"
        + type_remark(network),
        shapes=(shape,),
        changes=tuple(changes),
    )


def _inflated(network: nn.Module, inflater: "_Inflater") -> tuple[nn.Module, list[Change]]:
    """Inflate every layer of the network, in place; return it (another module, if it is a layer itself)."""
    changes = []
    new_layers: dict[nn.Module, nn.Module | None] = {}  # a module may be registered under several names
    for path, module in list(network.named_modules(remove_duplicate=False)):
        new = new_layers[module] if module in new_layers else inflater.layer(module, path)
        new_layers[module] = new
        if new is None:
            continue
        if new is not module:
            _take_over_hooks(path, module, new)
        new.train(module.training)
        if path:
            network.set_submodule(path, new)
        else:
            network = new
        changes.append(Change(path, _description(module, new)))
    return network, changes


def _take_over_hooks(path: str, module: nn.Module, new: nn.Module) -> None:
    """Give a new layer the hooks of the one that it replaces.

    Raises:
        UserError: the old layer has other parameters than its class has, since a hook computes its weight from them.
    """
    old_names, new_names = ([name for name, _ in m.named_parameters()] for m in (module, new))
    if set(old_names) != set(new_names):
        raise UserError(
            f"{path or 'the network'} ({type(module).__name__}): its parameters are {', '.join(old_names)}, not "
            f"{', '.join(new_names)}: remove what computes its weight first (torch.nn.utils.remove_weight_norm)"
        )
    for kind in ("forward_hooks", "forward_pre_hooks", "forward_hooks_with_kwargs", "forward_pre_hooks_with_kwargs"):
        getattr(new, f"_{kind}").update(getattr(module, f"_{kind}"))


def _description(old: nn.Module, new: nn.Module) -> str:
    """Return in words what a layer became."""
    size = getattr(new, "kernel_size", None)
    kernel = f" {'x'.join(map(str, size))}" if isinstance(size, tuple) else ""
    return f"{type(old).__name__} -> {type(new).__name__}{kernel}"


class _Inflater:
    """Gives layers for `n` axes the new axis: one method per kind of layer.

    Attributes:
        n: spatial axes of the original.
        axis: where the new axis stands among `n + 1`.
        kernel: None or 1, as for `inflate`.
        weights: "mean" or "center", as for `inflate`.
        inflated_weights: for a weight and a kernel size the new weight, so that tied layers stay tied.
    """

    def __init__(self, n: int, axis: int, kernel: int | None, weights: str):
        self.n, self.axis, self.kernel, self.weights = n, axis, kernel, weights
        self.inflated_weights: dict[tuple[nn.Parameter, tuple[int, ...]], nn.Parameter] = {}
        self.by_class: dict[type, Callable[[Any], nn.Module]] = {
            CONV[n]: self.conv,
            CONV_TRANSPOSE[n]: self.transposed,
            BATCH_NORM[n]: lambda m: self.change_class(m, BATCH_NORM[n + 1]),
            INSTANCE_NORM[n]: lambda m: self.change_class(m, INSTANCE_NORM[n + 1]),
            DROPOUT[n]: lambda m: DROPOUT[n + 1](m.p, m.inplace),
            MAX_POOL[n]: self.max_pool,
            AVG_POOL[n]: self.avg_pool,
            ADAPTIVE_AVG[n]: lambda m: ADAPTIVE_AVG[n + 1](self.bins(m.output_size)),
            ADAPTIVE_MAX[n]: lambda m: ADAPTIVE_MAX[n + 1](self.bins(m.output_size)),
            nn.Upsample: self.upsample,
            **{kinds[n]: partial(self.pad, kinds=kinds) for kinds in PADS},
        }

    def layer(self, module: nn.Module, path: str) -> nn.Module | None:
        """Return the layer with one more axis, or None for a module that works on any number of axes as it is.

        Raises:
            UserError: the layer has no such form.
        """
        foreign = foreign_layer(module) if self.n == 2 else None
        if foreign is not None and foreign.rule is None:
            return self.change_class(module, foreign.volume)
        if foreign is not None and self.kernel is None:
            return self.change_class(self.conv(module), foreign.volume)
        convert = self.by_class.get(type(module))
        if convert is not None:
            return convert(module)
        if isinstance(module, (*self.by_class, nn.PixelShuffle, nn.PixelUnshuffle)):
            raise UserError(f"{path} ({type(module).__name__}): has no form with another axis that is known")
        return None

    def with_new_axis(self, values: Any, neutral: int) -> tuple[int, ...]:
        """Return `n` values (or one for all axes) with one for the new axis among them.

        It is the first axis' value, or `neutral` where nothing moves along the new axis.
        """
        each = list(per_axis(values, self.n))
        each.insert(self.axis, each[0] if self.kernel is None else neutral)
        return tuple(each)

    def conv(self, m: Any) -> nn.Module:
        """A convolution: the kernel is repeated along the new axis."""
        reach = [d * (k - 1) for d, k in zip(m.dilation, m.kernel_size, strict=True)]
        if m.padding == "same" and any(r % 2 for r in reach):
            raise UserError(f'{m}: "same" padding of an even kernel has no form with another axis that is known')
        named = {"same": tuple(r // 2 for r in reach), "valid": 0}
        padding = self.with_new_axis(named[m.padding] if isinstance(m.padding, str) else m.padding, 0)
        new = CONV[self.n + 1](
            m.in_channels, m.out_channels, self.with_new_axis(m.kernel_size, 1), self.with_new_axis(m.stride, 1),
            padding, self.with_new_axis(m.dilation, 1), m.groups, False, m.padding_mode, device="meta",
        )  # fmt: skip
        new.bias = m.bias
        key = (m.weight, new.kernel_size)
        if key not in self.inflated_weights:
            weight = self.inflated_weight(m.weight.detach(), new.kernel_size[self.axis])
            self.inflated_weights[key] = nn.Parameter(weight, requires_grad=m.weight.requires_grad)
        new.weight = self.inflated_weights[key]
        return new

    def inflated_weight(self, weight: Tensor, slices: int) -> Tensor:
        """Return a kernel `(K, C, *kernel)` with `slices` slices along the new axis, whose sum is the kernel."""
        dim = 2 + self.axis
        repeated = weight.unsqueeze(dim).repeat_interleave(slices, dim)
        if self.weights == "mean":
            return repeated / slices
        middle = torch.zeros(slices, dtype=weight.dtype, device=weight.device)
        middle[slices // 2] = 1
        return repeated * middle.reshape(-1, *(1,) * (self.n - self.axis))

    def transposed(self, m: Any) -> nn.Module:
        """A transposed convolution: along the new axis every position is repeated `stride` times.

        So kernel and stride are equal there, without padding, and every slice of the kernel is the original: each
        output reads one slice. The original must give `stride` times the length, or the two lengths would differ.
        """
        stride, size, padding, more = m.stride[0], m.kernel_size[0], m.padding[0], m.output_padding[0]
        if self.kernel is None and m.dilation[0] * (size - 1) + 1 - 2 * padding + more != stride:
            raise UserError(f"{m}: does not give stride times the length, so it has no plain form along another axis")
        step = stride if self.kernel is None else 1
        settings = [list(each) for each in (m.kernel_size, m.stride, m.padding, m.output_padding, m.dilation)]
        for values, value in zip(settings, (step, step, 0, 0, 1), strict=True):
            values.insert(self.axis, value)
        k, s, p, o, d = (tuple(values) for values in settings)
        new = CONV_TRANSPOSE[self.n + 1](
            m.in_channels, m.out_channels, k, s, p, o, m.groups, False, d, m.padding_mode, device="meta"
        )
        weight = m.weight.detach().unsqueeze(2 + self.axis).repeat_interleave(step, 2 + self.axis)
        new.weight, new.bias = nn.Parameter(weight, requires_grad=m.weight.requires_grad), m.bias
        return new

    def change_class(self, m: nn.Module, kind: type[nn.Module]) -> nn.Module:
        """A layer whose classes differ only in the number of axes that they check for: in place."""
        m.__class__ = kind
        return m

    def max_pool(self, m: Any) -> nn.Module:
        """A max pool."""
        window = (
            self.with_new_axis(m.kernel_size, 1),
            self.with_new_axis(m.stride, 1),
            self.with_new_axis(m.padding, 0),
            self.with_new_axis(m.dilation, 1),
        )
        return MAX_POOL[self.n + 1](*window, m.return_indices, m.ceil_mode)

    def avg_pool(self, m: Any) -> nn.Module:
        """An average pool."""
        if getattr(m, "divisor_override", None) is not None:
            raise UserError(f"{m}: divides by a number of its own, which has no form with another axis")
        window = (
            self.with_new_axis(m.kernel_size, 1),
            self.with_new_axis(m.stride, 1),
            self.with_new_axis(m.padding, 0),
        )
        return AVG_POOL[self.n + 1](*window, m.ceil_mode, m.count_include_pad)

    def bins(self, sizes: Any) -> tuple[int | None, ...]:
        """Return the output size of an adaptive pool with the new axis.

        The new axis is pooled to one position where all others are; otherwise None, which keeps its length.
        """
        each = list(sizes) if isinstance(sizes, tuple) else [sizes] * self.n
        each.insert(self.axis, 1 if set(each) == {1} else None)
        return tuple(each)

    def upsample(self, m: nn.Upsample) -> nn.Module:
        """Upsampling by a factor."""
        if m.size is not None or m.mode not in ("nearest", "nearest-exact", LINEAR[self.n]):
            raise UserError(f"{m}: only scale_factor with nearest or {LINEAR[self.n]} has a form with another axis")
        factor: Any = m.scale_factor
        each = list(factor) if isinstance(factor, tuple) else [factor] * self.n
        each.insert(self.axis, each[0] if self.kernel is None else 1.0)
        mode = LINEAR[self.n + 1] if m.mode == LINEAR[self.n] else m.mode
        return nn.Upsample(None, tuple(each), mode, m.align_corners, m.recompute_scale_factor)

    def pad(self, m: Any, kinds: dict[int, Any]) -> nn.Module:
        """A padding layer of the classes `kinds`, whose amounts stand last axis first."""
        pairs = [list(m.padding[2 * i : 2 * i + 2]) for i in range(self.n)][::-1]
        pairs.insert(self.axis, [0, 0] if self.kernel == 1 else pairs[0])
        amounts = tuple(amount for pair in reversed(pairs) for amount in pair)
        return kinds[self.n + 1](amounts, m.value) if kinds is CONSTANT_PAD else kinds[self.n + 1](amounts)


def _fixed_point_pairs(network: nn.Module, result: nn.Module, shape: tuple[int, ...], inflater: _Inflater) -> Pairs:
    """Return the outputs of a copy of the result on a repeated image, with the original's outputs repeated.

    The copy repeats its outermost values along the new axis, where the result itself pads with zeros. The image has
    `shape (C, *S)`; the volume is as long along the new axis as along the image's first one.

    Raises:
        UserError: the forward pass does not run with another axis, or pads, pools or crops the original axes only.
    """
    probe = copied(result)
    for module in probe.modules():
        _repeat_outermost(module, inflater)
    x = example(network, shape, 1)
    dim = 2 + inflater.axis
    depth = shape[1] if inflater.kernel is None else UNMOVED_DEPTH
    volume = x.unsqueeze(dim).repeat_interleave(depth, dim)
    with evaluating(network, probe):
        wanted = tensors(network(x.clone()))  # the forward pass may write into its input
        try:
            outputs = tensors(probe(volume))
        except Exception as error:  # the network's own forward pass may count axes
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"{type(network).__name__}: its forward pass does not run with another axis ({reason}): a function in "
                "it is for a fixed number of axes"
            ) from error
    if len(wanted) != len(outputs):
        raise UserError(
            f"{type(network).__name__}: returns {len(wanted)} tensors, and {len(outputs)} with another axis"
        )
    pairs = []
    for flat, deep in zip(wanted, outputs, strict=True):
        if deep.dim() != flat.dim() + 1 or deep.shape[:dim] + deep.shape[dim + 1 :] != flat.shape:
            pairs.append((deep, flat))  # no map with the new axis: scores, for example, must be equal as they are
            continue
        if deep.dim() == volume.dim():
            _check_depth(network, probe, deep.shape[dim], flat.shape[2] if inflater.kernel is None else depth)
        pairs.append((deep, flat.unsqueeze(dim).expand_as(deep)))
    return pairs


def _check_depth(network: nn.Module, probe: nn.Module, depth: int, wanted: int) -> None:
    """Check that the new axis of an output is as long as the first axis of the original's output.

    Networks with adaptive pools to several positions are not checked: those keep the new axis' length.
    """
    pools = [m for m in probe.modules() if isinstance(m, (*ADAPTIVE_AVG.values(), *ADAPTIVE_MAX.values()))]
    if depth != wanted and not any(isinstance(m.output_size, tuple) and None in m.output_size for m in pools):
        raise UserError(
            f"{type(network).__name__}: its output has {depth} positions along the new axis and should have {wanted}: "
            "a function in its forward pass pads, pools or crops the original axes only"
        )


def _repeat_outermost(module: Any, inflater: _Inflater) -> None:
    """Let a layer repeat its outermost values along the new axis instead of padding with a constant; in place."""
    n, axis = inflater.n, inflater.axis
    first = 2 * (n - axis)  # where the new axis' pair stands in amounts that are listed last axis first
    windows = (CONV[n + 1], MAX_POOL[n + 1], AVG_POOL[n + 1])
    pads_zeros = getattr(module, "padding_mode", "zeros") == "zeros"
    if isinstance(module, Conv3dSame):
        module.repeated = axis
        return
    if isinstance(module, tuple(CONSTANT_PAD.values())):
        amounts = list(module.padding)
        along = amounts[first : first + 2]
        amounts[first : first + 2] = [0, 0]
        module.padding = tuple(amounts)  # pyright: ignore[reportAttributeAccessIssue]
    elif isinstance(module, windows) and pads_zeros and not isinstance(module.padding, str):
        each = list(module.padding)
        along = [each[axis]] * 2
        each[axis] = 0
        module.padding = tuple(each)
    else:
        return
    if any(along):
        around = [0] * (2 * (n + 1))
        around[first : first + 2] = along

        def pad_before(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (F.pad(args[0], around, mode="replicate"), *args[1:])

        module.register_forward_pre_hook(pad_before)
