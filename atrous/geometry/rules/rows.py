"""Operators that compute each position by itself, from one position of their inputs.

They may mix channels (linear layers, softmax over channels, layer norm) but not positions. Also here: pointwise
operators that ATen does not mark as pointwise.
"""

from atrous.geometry.axis import Along, Axis, Refused, aligned, same
from atrous.geometry.graph import Op
from atrous.geometry.maps import Read

BLOCK = "block"
"""A module of the network as one operator, which maps a grid to a grid of the same size (`surgery/collapse.py`)."""


def block(op: Op, axis: Axis) -> Along:
    """Return how a module acts that is one operator. Refuse one whose map has the axis in another dimension."""
    along = same(op, axis)
    if along.dim != 2 + axis.index:
        raise Refused(op, f"has axis {axis.index} of the grid in dimension {along.dim}")
    return along


def pointwise(op: Op, axis: Axis) -> Along:
    """Return how an operator acts that computes each position by itself from inputs that broadcast."""
    return aligned(op, axis)


def first_only(op: Op, axis: Axis) -> Along:
    """Return how an operator acts whose other arguments hold one number per channel. Refuse the channels as axis."""
    along = same(op, axis)
    if along.dim == 1:
        raise Refused(op, "its parameters run along the axis")
    return along


def frame_by_frame(op: Op, axis: Axis) -> Along:
    """Return how an operator acts that looks at whole frames `(frames, C, H, W)`, each by itself. Refuse other axes."""
    if any(axis.dim(i) not in (None, 0) for i in op.inputs):
        raise Refused(op, "looks at whole frames, which cannot be cut")
    return aligned(op, axis)


def over_dim(op: Op, axis: Axis) -> Along:
    """Return how softmax and the like act. Refuse those over the axis."""
    along = same(op, axis)
    if op.arguments["dim"] % len(op.shape) == along.dim:
        raise Refused(op, "mixes all positions of the axis (attention)")
    return along


def layer_norm(op: Op, axis: Axis) -> Along:
    """Return how layer norm acts. Refuse one whose last dimensions, which it normalizes over, hold the axis."""
    along = same(op, axis)
    if along.dim is not None and along.dim >= len(op.shape) - len(op.arguments["normalized_shape"]):
        raise Refused(op, "normalizes over the positions of one image together with part of its channels")
    return along


def linear(op: Op, axis: Axis) -> Along:
    """Return how a linear layer acts, which goes over the last dimension. Refuse that as axis."""
    along = same(op, axis)
    if along.dim == len(op.shape) - 1:
        raise Refused(op, "is a linear layer over positions")
    return along


SUMS_POSITIONS = "multiplies channels with channels and sums over all positions, in a form that has no rule"
"""Why a matrix product is refused that `geometry/grams.py` may write otherwise."""


def matmul(op: Op, axis: Axis) -> Along:
    """Return how a product of matrices `(..., n, k) @ (..., k, m)` acts.

    The axis may be `n` of the first matrix, `m` of the second, or a batch dimension of one whose partner is the same
    for all. It must not be `k`, over which the product sums.
    """
    a, b = (axis.graph.ops[r.index] for r in op.args[:2])
    n = len(op.shape)
    if axis.streamed(a.index) and axis.streamed(b.index):
        if axis.dim(a.index) == len(a.shape) - 1 and axis.dim(b.index) == len(b.shape) - 2:
            raise Refused(op, SUMS_POSITIONS)
        raise Refused(op, "multiplies positions with positions (attention)")
    source, side = (a, 0) if axis.streamed(a.index) else (b, 1)
    if len(a.shape) < 2 or len(b.shape) < 2:
        raise Refused(op, "a product with a vector has no rule")
    dim = axis.dim(source.index) or 0
    from_end = dim - len(source.shape)
    contracted = (-1, -2)[side]
    if from_end == contracted:
        raise Refused(op, "is a linear layer over positions")
    other = (b, a)[side]
    if from_end < -2 and len(other.shape) >= -from_end and other.shape[from_end] != 1:
        raise Refused(op, "multiplies by another matrix at each position")
    return Along(n + from_end, (Read(source.index, dim),))


def einsum(op: Op, axis: Axis) -> Along:
    """Return how an einsum acts. The label of the axis must stand in the result: those that do not are summed over."""
    equation, inputs = op.args[0].replace(" ", ""), op.inputs
    if "->" not in equation:
        raise Refused(op, f"the equation {equation} has no rule: name the result, as in ij,jk->ik")
    equation = spelled_out(equation, [len(axis.graph.ops[r.index].shape) for r in op.args[1]])
    terms, out = equation.split("->")
    labels = set()
    for value, term in zip((r.index for r in op.args[1]), terms.split(","), strict=True):
        dim = axis.dim(value)
        if dim is not None:
            labels.add(term[dim])
    label = labels.pop()
    if labels or label not in out:
        raise Refused(op, "mixes all positions of the axis (attention)")
    reads = [
        Read(r.index, term.index(label)) for r, term in zip(op.args[1], terms.split(","), strict=True) if label in term
    ]
    if len(inputs) != len(op.args[1]):
        raise Refused(op, "reads one value twice")
    return Along(out.index(label), tuple(reads))


def spelled_out(equation: str, ranks: list[int]) -> str:
    """Return an einsum equation with capital letters in the place of its dots; `ranks` are the dimensions of the
    inputs.

    >>> spelled_out("...chw,oc->...ohw", [4, 2])
    'Achw,oc->Aohw'
    """
    free = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in equation]
    terms, out = equation.split("->")
    counts = [rank - len(t.replace("...", "")) for t, rank in zip(terms.split(","), ranks, strict=True) if "..." in t]
    most = max(counts, default=0)
    dots = iter(counts)
    filled = [t.replace("...", "".join(free[most - next(dots) : most])) if "..." in t else t for t in terms.split(",")]
    return ",".join(filled) + "->" + out.replace("...", "".join(free[:most]))


def per_image(op: Op, axis: Axis) -> Along:
    """Return how a norm over each of several images in one batch acts. Refuse any axis but the batch."""
    along = same(op, axis)
    if along.dim != 0:
        raise Refused(op, "takes statistics of several images in one batch, which has no rule")
    return along


def each_by_table(op: Op, axis: Axis) -> Along:
    """Return how a comparison of each number with a whole list of others acts (`isin`, `bucketize`)."""
    return same(op, axis)


def one_hot(op: Op, axis: Axis) -> Along:
    """Return how class numbers become vectors, along a new last dimension."""
    return same(op, axis)


def embedding(op: Op, axis: Axis) -> Along:
    """Return how rows of a table are looked up, by numbers that have the axis; the table has none."""
    return same(op, axis, source=op.arguments["indices"].index)


def among_channels(op: Op, axis: Axis) -> Along:
    """Return how values are gathered from, or scattered to, places that the data decide, along another dimension.

    Refuse places along the axis.
    """
    dims = {axis.dim(i) for i in op.inputs if axis.streamed(i)}
    if dims == {op.arguments["dim"] % len(op.shape)}:
        raise Refused(op, "reads or writes at positions that the data decide")
    if len({len(axis.graph.ops[i].shape) for i in op.inputs if axis.graph.ops[i].shape}) != 1:
        raise Refused(op, "its inputs have different numbers of dimensions")
    return aligned(op, axis, [i for i in op.inputs if axis.graph.ops[i].shape])


def prelu(op: Op, axis: Axis) -> Along:
    """Return how a PReLU acts, with one slope per channel."""
    return first_only(op, axis)


RULES = {
    **dict.fromkeys(
        (
            *("absolute", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "clip", "fix"),
            *("divide", "multiply", "subtract", "negative", "square", "floor_divide", "true_divide", "float_power"),
            *("greater", "greater_equal", "less", "less_equal", "not_equal", "real", "imag", "conj"),
            *("where", "log_sigmoid_forward", "special_ndtr", "special_expit", "complex", "polar"),
            *("__and__", "__or__", "__xor__", "__lshift__", "__rshift__"),
            "hardswish",
            "detach",
            "rsub",
            "zeros_like",
            "ones_like",
            "full_like",
            "empty_like",
            "_to_copy",
            "to",
            "type_as",
            "copy",
            "fill",
            "relu6",
            "hardsigmoid",
            "logit",
            "celu",
            "selu",
            "rrelu",
            "threshold",
            "softplus",
            "mish",
            "log_sigmoid",
            "softshrink",
            "hardshrink",
            "isfinite",
            "nan_to_num",
        ),
        pointwise,
    ),
    "camera_motion": frame_by_frame,  # `atrous/nn/camera.py`
    **dict.fromkeys(("softmax", "_softmax", "log_softmax", "_log_softmax", "glu"), over_dim),
    **dict.fromkeys(("layer_norm", "native_layer_norm", "rms_norm"), layer_norm),
    **dict.fromkeys(("matmul", "bmm", "mm"), matmul),
    **dict.fromkeys(("prelu", "_prelu_kernel", "affine", "channel_shuffle", "native_channel_shuffle"), first_only),
    **dict.fromkeys(("group_norm", "instance_norm"), per_image),
    **dict.fromkeys(("isin", "bucketize"), each_by_table),
    **dict.fromkeys(("gather", "scatter", "scatter_add"), among_channels),
    BLOCK: block,
    "one_hot": one_hot,
    "embedding": embedding,
    "linear": linear,
    "einsum": einsum,
}
