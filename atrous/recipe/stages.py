"""Stages of a training by name, as a recipe holds them."""

from typing import Any

FINE_TUNE: list[dict[str, Any]] = [
    {"name": "head", "share": 0.2, "rate": 1.0, "encoder": 0.0},
    {"name": "upper layers", "share": 0.3, "rate": 0.5, "encoder": 0.5},
    {"name": "all layers", "share": 0.5, "rate": 0.25, "encoder": 1.0},
]
"""Three-stage fine-tuning: what is new first, then what is near to it, then all, ever more gently (Howard & Ruder 2018
call it gradual unfreezing)."""

SKIPS: list[dict[str, Any]] = [
    {"name": "32s", "share": 0.5, "rate": 1.0, "skips": 0},
    {"name": "16s", "share": 0.25, "rate": 0.3, "skips": 1},
    {"name": "8s", "share": 0.25, "rate": 0.1, "skips": 2},
]
"""The staged training of the FCN paper (Long, Shelhamer & Darrell 2015, section 4.2): one skip after the other."""

FROZEN: list[dict[str, Any]] = [{"name": "upper layers", "share": 1.0, "rate": 1.0, "encoder": 0.6}]
"""The first 40 % of the encoder's layers keep their weights and statistics from beginning to end: edges and colors are
the same in all photographs (Yosinski et al. 2014, "How transferable are features in deep neural networks?")."""

PRESETS = {"none": [], "fine-tune": FINE_TUNE, "skips": SKIPS, "frozen": FROZEN}
"""What `--set stages=NAME` may name."""
