"""Whether the keys of the section `model` fit the model that it names."""

from collections.abc import Sequence

from atrous.errors import UserError
from atrous.recipe.sections import ModelSection, StageSection

WITHOUT_ENCODER = ("fc_densenet", "five_layer", "codons", "restorer", "stylizer", "custom")
"""Models that bring their own."""


def agree_model(model: ModelSection, stages: Sequence[StageSection], source: str) -> None:
    """Reject options that the model does not have.

    Args:
        model: the section.
        stages: of fine-tuning.
        source: names the recipe in errors.

    Raises:
        UserError: an option is for other models, or is out of its range.
    """
    name = model.name
    for key, given, owners in (
        ("fusion", model.fusion is not None, ("fcn", "unet")),
        ("at_once", model.at_once, ("fcn8s",)),
        ("fine", model.fine, ("fcn",)),
        ("reverse_complement", model.reverse_complement, ("codons",)),
        ("local", model.local > 0, ("codons",)),
        ("first_stride", model.first_stride > 1, ("restorer",)),
        ("levels", model.levels != 3, ("restorer",)),
        ("detail", model.detail != 16, ("hed",)),
    ):
        if given and name not in owners:
            raise UserError(f"{source}: model.{key} is for {' and '.join(owners)}, not for model.name = {name!r}")
    if model.compare != "channels" and name in WITHOUT_ENCODER:
        raise UserError(f"{source}: model.compare is for models over an encoder, not for model.name = {name!r}")
    for stride in model.strides:
        if min([stride] if isinstance(stride, int) else stride, default=0) < 1:
            raise UserError(f"{source}: model.strides is {model.strides}: strides are 1 or more")
    if model.deep_supervision and name in ("hed", "fcn32s", "five_layer", "codons"):
        why = "has deep supervision of its own" if name == "hed" else "has one map, and it needs coarser maps"
        raise UserError(f"{source}: model.deep_supervision: model.name = {name!r} {why}")
    for key, given in (
        ("attention", model.attention != "none"),
        ("deep_supervision", model.deep_supervision),
        ("temporal", model.temporal != "none"),
    ):
        if name == "evidence" and given:
            raise UserError(f"{source}: model.{key} is for networks with a decoder, not for model.name = {name!r}")
    _agree_video(model, source)
    if name in ("fc_densenet", "five_layer", "codons") and (model.output_stride or model.antialias or model.shrink > 1):
        keys = "model.output_stride, model.antialias and model.shrink"
        raise UserError(f"{source}: {keys} are for models over an encoder, not {name}")
    _agree_stages(name, stages, source)


def _agree_stages(name: str, stages: Sequence[StageSection], source: str) -> None:
    """Refuse stages that do not add up, or that the model does not have."""
    if stages and abs(sum(stage.share for stage in stages) - 1) > 1e-3:
        shares = ", ".join(f"{stage.share:g}" for stage in stages)
        raise UserError(f"{source}: the shares of the stages are {shares}: they must add up to 1")
    has = {"fcn8s": 2, "fcn16s": 1}.get(name, 0)
    for stage in stages:
        if name == "custom" and stage.encoder <= 0:
            what = f"nothing would learn in stage {stage.name!r}, as a network of your own is all encoder"
            raise UserError(f"{source}: {what}: leave stages out, or give each stage an encoder above 0")
        if stage.skips is not None and (not has or stage.skips > has):
            raise UserError(f"{source}: stage {stage.name!r} has {stage.skips} skips, model.name = {name!r} has {has}")


def _agree_video(model: ModelSection, source: str) -> None:
    """Refuse keys of networks for video in others."""
    if model.temporal != "none" and model.ndim != 3:
        raise UserError(f"{source}: model.temporal = {model.temporal!r} is for video: model.ndim must be 3")
    if model.causal and model.temporal == "none":
        raise UserError(f"{source}: model.causal needs a network for video: set model.temporal")
    if model.motion and (model.temporal == "none" or model.name in WITHOUT_ENCODER or model.compare != "channels"):
        raise UserError(
            f"{source}: model.motion is for networks over an encoder for video: set model.temporal, leave model.compare"
        )
