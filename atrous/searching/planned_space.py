"""The space around a planned recipe: which settings vary depends on what the recipe has."""

import math
from collections.abc import Iterable, Mapping, Sequence

from atrous.encoders.lite import LITE_NAMES, lite_weights
from atrous.errors import UserError
from atrous.recipe.network import WITHOUT_ENCODER
from atrous.recipe.schema import Recipe
from atrous.recipe.sections import AugmentSection, ModelSection
from atrous.searching.space import Space, Variable

NOT_SEARCHED = ("stylizer", "custom")
"""Values of `model.name` whose recipes are not varied."""
OUR_ENCODERS = {
    "resnet10": ("resnet", 10),
    "resnet18": ("resnet", 18),
    "resnet34": ("resnet", 34),
    "vgg11": ("vgg", 11),
}
"""Encoders that are trained from scratch, by their labels: `model.encoder` and `model.depth`."""
OF_THE_GRID = ("model.encoder", "model.strides", "train.crop")
"""Keys that do not vary for classes of whole inputs."""
OF_CROPS = ("train.crop", "model.deep_supervision")
"""Keys that do not vary where a step takes a whole sample, in strips."""
DECODERS = ("fcn", "unet", "deeplab", "fcn8s")
"""Architectures over any encoder that take each other's place."""
WITH_WIDTH = ("fcn", "unet", "deeplab", "dilated", "fcos", "codons", "restorer", "five_layer")
"""Architectures that have `model.width`."""
ATTENTION = ("none", "eca", "scse", "sk", "spatial")
WIDTHS, RATES = (1.0, 0.5, 1.5), (1.0, 0.3, 3.0)
"""Factors on what the plan says."""


def plan_space(recipe: Recipe) -> Space:
    """Return the space around a recipe: every variable's first label is what the recipe says.

    Raises:
        UserError: the recipe trains a network that the search does not vary.
    """
    model, task = recipe.model, recipe.task
    if model.name in NOT_SEARCHED or task.kind == "style":
        raise UserError(
            f"the search does not vary recipes with model.name = {model.name!r} and task.kind = {task.kind!r}: "
            "use atrous train"
        )
    network = _encoder_variables(model) if model.name not in WITHOUT_ENCODER else []
    variables = [*network, *_decoder_variables(model), *_training_variables(recipe)]
    space = Space(tuple(variables)).only(variable.name for variable in variables if len(variable.options) > 1)
    # The task says the grid of the evidence, and a crop shows the whole input that its label is about.
    fixed = OF_THE_GRID if model.name == "evidence" else ()
    return space.without((*fixed, *OF_CROPS) if recipe.train.whole else fixed)


def _variable(
    name: str, planned: str, others: Mapping[str, Sequence[str]], needs: Mapping[str, Iterable[str]] | None = None
) -> Variable:
    """A variable whose first label is that of the plan."""
    options = {planned: (), **{label: tuple(settings) for label, settings in others.items() if label != planned}}
    return Variable(name, options, {key: tuple(labels) for key, labels in (needs or {}).items()})


def _scaled(key: str, value: int, factors: Sequence[float] = WIDTHS, step: int = 8) -> dict[str, list[str]]:
    """Labels and settings of a number of channels times some factors, in multiples of `step`."""
    numbers = [value, *(max(step, round(value * factor / step) * step) for factor in factors)]
    return {str(number): [f"{key}={number}"] for number in dict.fromkeys(numbers)}


def _encoder_variables(model: ModelSection) -> list[Variable]:
    named = next((label for label, own in OUR_ENCODERS.items() if own == (model.encoder, model.depth)), model.encoder)
    others = {
        label: [f"model.encoder={encoder}", f"model.depth={depth}", "model.pretrained=false"]
        for label, (encoder, depth) in OUR_ENCODERS.items()
    }
    if model.ndim == 2:
        installed = [name for name in LITE_NAMES if lite_weights(name) is not None]
        others |= {name: [f"model.encoder={name}", "model.pretrained=true"] for name in installed}
    if model.temporal != "none":  # the weights of a video's frames decide, and few encoders have any
        others = {}
    ours = [label for label in {named: None, **others} if label in OUR_ENCODERS]
    resnets = [label for label in ours if label.startswith("resnet")]
    variables = [_variable("encoder", named, others)]
    if not ours:
        return variables
    width, wide = model.encoder_width, [*ours, *([named] if named == "strided" else [])]
    variables.append(_variable("encoder_width", str(width), _scaled("model.encoder_width", width), {"encoder": wide}))
    if resnets:
        kernels = (3, 7, 15) if model.ndim == 1 else (3, 7)
        stems = {str(kernel): [f"model.stem={kernel}"] for kernel in kernels}
        variables.append(_variable("kernel", str(model.stem), stems, {"encoder": resnets}))
        variables.append(_variable("strides", "planned", _strides(model), {"encoder": resnets}))
    blurs = {str(on).lower(): [f"model.antialias={str(on).lower()}"] for on in (False, True)}
    variables.append(_variable("antialias", str(model.antialias).lower(), blurs, {"encoder": ours}))
    return variables


def _strides(model: ModelSection) -> dict[str, list[str]]:
    """Other strides of a ResNet: the first stage keeps the grid, or there is one stage less."""
    strides = model.strides
    kept = 1 if isinstance(strides[0], int) else [1] * model.ndim
    finer = {"finer": [f"model.strides={[kept, *strides[1:]]}"]} if strides[0] != kept else {}
    return finer | ({"fewer": [f"model.strides={strides[:-1]}"]} if len(strides) > 2 else {})


def _decoder_variables(model: ModelSection) -> list[Variable]:
    name = model.name
    variables, shown = [], {"decoder": (name,)}
    if name in DECODERS:
        # What one architecture has and another has not goes back to its default.
        plain = [f"model.{key}={value}" for key, value in (("fine", "false"), ("fusion", "none"), ("at_once", "false"))]
        variables.append(_variable("decoder", name, {other: [f"model.name={other}", *plain] for other in DECODERS}, {}))
        shown = {"decoder": DECODERS}

    def needing(*names: str) -> dict[str, list[str]]:
        return {"decoder": [other for other in shown["decoder"] if other in names]} if name in DECODERS else {}

    def matters(*names: str) -> bool:
        return any(other in names for other in shown["decoder"])

    if matters(*WITH_WIDTH):
        variables.append(
            _variable("width", str(model.width), _scaled("model.width", model.width), needing(*WITH_WIDTH))
        )
    if name not in ("restorer", "evidence") and not model.reverse_complement:
        kinds = {kind: [f"model.attention={kind}"] for kind in ATTENTION}
        variables.append(_variable("attention", model.attention, kinds))
    if matters("fcn", "unet"):
        joins = {"gated": ["model.fusion=gated"]}
        variables.append(_variable("fusion", model.fusion or "default", joins, needing("fcn", "unet")))
        dense = {"8": ["model.output_stride=8"]}
        variables.append(
            _variable("output_stride", str(model.output_stride or "encoder"), dense, needing("fcn", "unet"))
        )
    if matters("deeplab"):
        rates = {" ".join(map(str, row)): [f"model.rates={row}"] for row in ([6, 12, 18], [3, 6, 9], [2, 4, 8])}
        variables.append(_variable("dilation", " ".join(map(str, model.rates)), rates, needing("deeplab")))
    if matters("fcn", "unet", "deeplab"):
        heads = {str(on).lower(): [f"model.deep_supervision={str(on).lower()}"] for on in (False, True)}
        variables.append(
            _variable("deep_supervision", str(model.deep_supervision).lower(), heads, needing("fcn", "unet", "deeplab"))
        )
    if name == "restorer":
        grids = {str(levels): [f"model.levels={levels}"] for levels in (2, 3, 4)}
        variables.append(_variable("levels", str(model.levels), grids))
    return variables


def _training_variables(recipe: Recipe) -> list[Variable]:
    train, task = recipe.train, recipe.task
    rates = {f"{train.learning_rate * factor:g}": factor for factor in RATES}
    variables = [
        _crop(recipe),
        _variable(
            "learning_rate",
            f"{train.learning_rate:g}",
            {label: [f"train.learning_rate={label}"] for label in rates},
        ),
    ]
    if task.kind == "semantic":
        weights = {f"{weight:g}": [f"task.dice={weight:g}"] for weight in (1.0, 0.0, 3.0)}
        variables.append(_variable("dice", f"{task.dice:g}", weights))
        if task.class_weights is not None:
            variables.append(_variable("class_weights", "balanced", {"equal": ["task.class_weights=none"]}))
        shares = {f"{share:g}": [f"augment.foreground={share:g}"] for share in (0.33, 0.0, 0.66)}
        if recipe.data.kind == "grids":
            variables.append(_variable("foreground", f"{recipe.augment.foreground:g}", shares))
    if recipe.data.kind != "genomes":
        variables.append(_variable("augmentation", "planned", _augmentations(recipe.augment)))
    return variables


def _crop(recipe: Recipe) -> Variable:
    """Half and twice the positions of the planned crop; a step keeps its number of positions, as far as it can."""
    train, factor = recipe.train, recipe.model.factor
    others = {}
    for times in (0.5, 2.0):
        crop = []
        for length in train.crop:
            step = math.lcm(math.gcd(length, 32), factor)
            crop.append(max(step, round(length * times ** (1 / len(train.crop)) / step) * step))
        batch = max(1, round(train.batch_size * math.prod(train.crop) / math.prod(crop)))
        others["x".join(map(str, crop))] = [f"train.crop={crop}", f"train.batch_size={batch}"]
    return _variable("crop", "x".join(map(str, train.crop)), others)


def _augmentations(augment: AugmentSection) -> dict[str, list[str]]:
    """The planned augmentation at half strength ("weak") and at one and a half ("strong")."""
    limits = {"rotate": 180.0, "brightness": math.inf, "contrast": 0.9, "saturation": 1.0, "noise": math.inf}
    others: dict[str, list[str]] = {}
    for label, factor in (("weak", 0.5), ("strong", 1.5)):
        changed = {name: min(limit, round(getattr(augment, name) * factor, 4)) for name, limit in limits.items()}
        low, high = (round(value**factor, 4) for value in augment.scale)
        settings = [f"augment.{name}={value}" for name, value in changed.items() if value != getattr(augment, name)]
        if (low, high) != augment.scale:
            settings.append(f"augment.scale=[{low}, {high}]")
        if settings:
            others[label] = settings
    return others
