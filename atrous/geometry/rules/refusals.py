"""Operators that cannot be computed piece by piece, each with its reason; others without a rule get a general one."""

import torch

from atrous.geometry.axis import Along, Axis, Refused
from atrous.geometry.graph import Op

REASONS = {
    "lets positions attend to positions": (
        "scaled_dot_product_attention",
        "_native_multi_head_attention",
        "_transformer_encoder_layer_fwd",
    ),
    "is recurrent over positions": ("lstm", "gru", "rnn_tanh", "rnn_relu"),
    "cuts the grid into overlapping patches and has no rule (a convolution with fixed weights does the same)": (
        "im2col",
        "col2im",
        "unfold",
    ),
    "reads at positions that the data decide": (
        "grid_sampler",
        "grid_sampler_2d",
        "grid_sampler_3d",
        "gather",
        "nonzero",
        "masked_select",
    ),
    "resizes with antialiasing, which has no rule": ("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
}
WHY = {kind: reason for reason, kinds in REASONS.items() for kind in kinds}


def refuse(op: Op, axis: Axis) -> Along:
    """Give the reason."""
    raise Refused(op, WHY[op.kind])


def check_repeatable(op: Op) -> None:
    """Refuse operators that draw random numbers: no two runs of such a network agree, whole or streamed."""
    if not isinstance(op.target, torch._ops.OpOverload) or op.kind in WHY:
        return
    a = op.arguments
    drawing = bool(a.get("training", a.get("train", True)))
    if drawing and torch.Tag.nondeterministic_seeded in op.target.tags:
        raise Refused(op, "draws random numbers, so the network has no one answer")


RULES = dict.fromkeys(WHY, refuse)
