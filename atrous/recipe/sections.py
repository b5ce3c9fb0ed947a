"""The sections of a recipe: every key with what it means and its default."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from atrous.errors import UserError
from atrous.tasks.table import TASKS

Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of a recipe: unknown keys are refused, and values are checked when they are assigned."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


class DataSection(Section):
    """Which data."""

    root: str = Field(description="folder of the data set")
    description: str | None = Field(None, description="a dataset.toml that lies elsewhere")
    train: str = Field("train", description="split to train on")
    val: str = Field("val", description="split to choose the best weights by")
    kind: str = Field("grids", description="kind of data: grids, videos (time is the first axis), scenes or genomes")
    window: int | None = Field(
        None,
        ge=1,
        description="for data larger than memory and disk: samples that are mixed at a time, decoded when needed; "
        "not set: all are decoded first and mixed",
    )
    cache: str | int = Field("20GB", description="with data.window: size of the decoded samples that are kept on disk")

    @field_validator("cache")
    @classmethod
    def _is_a_size(cls, value: str | int) -> str | int:
        from atrous.geometry.plan import byte_count  # with torch, for which nothing else here waits

        try:
            size = byte_count(value)
        except UserError:
            size = None
        if size is None or size < 0:
            raise ValueError("give a size such as 20GB, or 0 to keep none")
        return value

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_versions(cls, values: Any) -> Any:
        """Recipes of earlier versions said `video = true` or `false` in place of a kind."""
        if isinstance(values, dict) and "video" in values:
            values = dict(values)
            if values.pop("video"):
                values.setdefault("kind", "videos")
        return values


class InputSection(Section):
    """What is done to a file's values before the network sees them, in training and in prediction."""

    intensity: list[Literal["keep", "zscore", "clip"]] = Field(
        ["keep"],
        min_length=1,
        description="per channel or one for all: keep, zscore (of each case), clip (low to high)",
    )
    low: list[float] = Field([], description="where clip cuts, per channel")
    high: list[float] = Field([], description="where clip cuts, per channel")
    tracks: list[str] = Field([], description="signals beside a genome's bases, X.NAME.bw, as channels in this order")
    spacing: list[float] = Field([], description="grid that the network works on, per axis; empty: that of the file")
    rate: float | None = Field(None, gt=0, description="samples per second of the training recordings, where known")
    channels: list[str] = Field([], description="names of the training data's channels, in order, where known")
    orientation: str = Field("", description="where the axes of the training volumes point, as RAS, where known")
    time_column: str = Field("", description="column of tables that holds the times, where dataset.toml names it")
    color: bool | None = Field(None, description="whether the training data are color pictures, where known")
    grid: list[float] = Field([], description="median spacing of the training files, per axis, where known")
    nodata: list[float] = Field([], description="values of files that mean nothing was measured here")
    dtype: str = Field("", description="type of the training files' values: uint8, uint16 or float32")
    range: list[float] = Field([], max_length=2, description="least and greatest value in the training files")


class ModelSection(Section):
    """Which network."""

    name: Literal[
        "fcn",
        "fcn32s",
        "fcn16s",
        "fcn8s",
        "segnet",
        "unet",
        "fcos",
        "hed",
        "deeplab",
        "dilated",
        "fc_densenet",
        "codons",
        "five_layer",
        "restorer",
        "stylizer",
        "evidence",
        "custom",
    ] = Field(
        "fcn",
        description="architecture: fcn is the light pyramid, fcos one for boxes, hed one for edges, evidence one for "
        "whole inputs, custom a network of your own, the others are those of their papers",
    )
    encoder: str = Field(
        "resnet",
        description="resnet, vgg, strided (light), efficientnet_lite0 to efficientnet_lite2, torchvision:NAME or any "
        "timm model with feature maps",
    )
    pretrained: bool = Field(False, description="start from ImageNet weights")
    depth: int = Field(18, description="of resnet (10, 18, 34) and vgg (11, 13, 16)")
    encoder_width: int = Field(32, ge=4, description="channels of the finest level of resnet and vgg")
    stem: int = Field(3, ge=1, description="kernel of the first convolution of resnet, odd")
    strides: list[int | list[int]] = Field(
        [2, 2, 2, 2], description="of the stages of resnet and strided, per axis where a list"
    )
    output_stride: Literal[1, 2, 4, 8, 16, 32] | None = Field(
        None, description="greatest stride of the encoder, the rest dilates; deeplab 16, dilated 8, others as it is"
    )
    shrink: int = Field(1, ge=1, description="the encoder sees means of blocks of so many positions along each axis")
    antialias: bool = Field(False, description="blur before positions are dropped, in resnet and vgg")
    width: int = Field(
        96, ge=4, description="channels of the decoder (fcn, fcos, hed, unet, deeplab, dilated, five_layer)"
    )
    finest: int = Field(4, ge=1, description="fcos: stride of the map from which boxes are proposed")
    detail: int = Field(16, ge=0, description="hed: channels of a level on the grid of the input; 0: none")
    attention: Literal["none", "se", "eca", "spatial", "cbam", "scse", "sk", "local"] = Field(
        "none", description="in the decoder: none, se, eca, spatial, cbam, scse, sk or local"
    )
    fusion: Literal["sum", "concat", "gated"] | None = Field(
        None, description="how fcn (sum) and unet (concat) join paths: sum, concat or gated"
    )
    fine: bool = Field(False, description="fcn: the head learns to draw borders finer than its map, not by resizing")
    deep_supervision: bool = Field(False, description="train with heads on the decoder's coarser maps too")
    at_once: bool = Field(False, description="fcn8s: scale the skips so that all train at once without batch norm")
    rates: list[Count] = Field([6, 12, 18], min_length=1, description="deeplab: dilation of the pyramid's branches")
    image_pooling: bool = Field(True, description="deeplab: the mean of the whole is a branch of the pyramid")
    context: Literal["basic", "large"] = Field("basic", description="dilated: size of the context module")
    blocks: list[Count] = Field(
        [4, 4, 4, 4, 4, 4], min_length=2, description="fc_densenet: layers per block, the bottleneck last"
    )
    dilations: list[Count] = Field(
        [1, 2, 4, 8, 16, 32, 64, 128, 256, 16, 4, 1],
        min_length=1,
        description="codons: dilation of its blocks, in codons",
    )
    local: int = Field(0, ge=0, description="codons: channels of a second path of single bases, which sees starts")
    reverse_complement: bool = Field(False, description="codons: share the weights between the strands")
    levels: int = Field(3, ge=1, le=6, description="restorer: grids, each coarser by 2 than the one before")
    first_stride: int = Field(1, ge=1, le=4, description="restorer: stride of the first convolution")
    partners: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="genomes: number of the output that each output is on the other strand; empty: they alternate"
    )
    factor: int = Field(1, ge=1, le=8, description="restorer: the output is finer than the input by this factor")
    coarse: bool = Field(False, description="the output keeps the network's own grid; classification sets it")
    residual: bool | None = Field(
        None, description="restorer: add the input to what the network finds; not set: yes, unless self-supervised"
    )
    growth: int = Field(12, ge=1, description="fc_densenet: channels that a layer adds")
    compare: Literal["channels", "values", "features"] = Field(
        "channels",
        description="samples of two images: their channels alone, with their difference as further channels (values), "
        "or one encoder that sees each and the difference of its features (features)",
    )
    temporal: Literal["none", "frames", "levels", "blocks"] = Field(
        "none",
        description="video: 2-D on each frame (frames), its levels mixed along time (levels), (2+1)-D (blocks)",
    )
    temporal_kernel: int = Field(3, ge=1, description="frames that a convolution along time sees")
    motion: bool = Field(
        False, description="video: a small encoder beside that of the frame sees what moves against the camera's motion"
    )
    causal: bool = Field(False, description="video: no frame depends on later ones, for live use")
    ndim: Literal[1, 2, 3] = Field(2, description="spatial axes")
    in_channels: int = Field(3, ge=1, description="channels of the input")
    mean: list[float] = Field([0.0, 0.0, 0.0], description="subtracted from the raw input, per channel")
    std: list[Annotated[float, Field(gt=0)]] = Field([1.0, 1.0, 1.0], description="divides the raw input, per channel")


class TaskSection(Section):
    """What the labels mean and what a wrong one costs."""

    kind: str = Field(
        "semantic",
        description="one class at every position; stranded: any number of them, on the strands of a genome; instances: "
        "numbered objects; detection: boxes; classification: whole inputs; edges: their strengths; regression: "
        "numbers; denoise, deblur, super-resolution, style: images; change: before and after; motion: a fixed camera",
    )
    classes: list[str] = Field([], description="names, in label order")
    palette: list[tuple[int, int, int]] = Field([], description="a color per class, for pictures")
    class_weights: list[Annotated[float, Field(ge=0)]] | None = Field(
        None, description="of the cross-entropy, one per class; of detection, of the boxes of each class"
    )
    dice: float = Field(1.0, ge=0, description="weight of the Dice loss beside the cross-entropy")
    smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target that is spread evenly over all classes")
    focal: float = Field(
        0.0, ge=0, description="exponent by which sure positions count less in the cross-entropy; 0: all alike"
    )
    boundary: float = Field(0.0, ge=0, description="what positions at borders of classes weigh more than others")
    threshold: float = Field(0.5, gt=0, lt=1, description="stranded: probability from which a base has a feature")
    shortest: list[Annotated[int, Field(ge=0)]] = Field(
        [],
        description="stranded: bases, per class, of the shortest interval that is written; semantic signals: samples, "
        "per class, of the shortest interval in the labels; none: any",
    )
    frames: bool = Field(False, description="stranded: learn the reading frame too, as channels that are dropped")
    genetic_codes: list[int] = Field(
        [],
        description="stranded: NCBI codes by which genes are read (11, 4); of several, each sequence takes the best "
        "fitting; none: intervals of bases, no genes",
    )
    ends: float = Field(4.0, ge=0, description="stranded: weight of the loss of where genes start and stop")
    overlap: int = Field(60, ge=0, description="stranded: bases by which neighboring genes may overlap")
    tolerance: float | None = Field(
        None, gt=0, description="surface Dice (volumes, in units of the spacing), onsets and offsets (signals, seconds)"
    )
    noise: float | None = Field(
        None, ge=0, description="restoration: standard deviation of the noise that is added to clean images"
    )
    gain: float = Field(0.0, ge=0, description="restoration: variance of the noise per unit of the value (photons)")
    impulse: float = Field(0.0, ge=0, lt=1, description="restoration: share of positions that read an extreme value")
    psf: float | str | None = Field(
        None, description="deblur: standard deviation of a Gaussian point spread function, or a file that holds one"
    )
    scale: int | None = Field(None, ge=1, le=8, description="super-resolution: the output is finer by this factor")
    pairs: bool | None = Field(
        None, description="restoration: whether degraded and clean images are given; false takes images as clean ones"
    )
    boundaries: bool | None = Field(
        None, description="edges: whether masks show regions, whose boundaries are learned; not set: as the masks look"
    )
    self_supervised: bool = Field(False, description="denoise: learn from noisy images alone, by hidden positions")
    gray: bool = Field(False, description="restoration: learn the luma of color images")
    style: str | None = Field(None, description="style: the picture whose style is learned; a run keeps a copy of it")
    options: dict[str, Any] = Field({}, description="further keys of instances, detection and tasks that were added")

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in TASKS:
            raise ValueError(f"there is no task of that name: choose one of {', '.join(TASKS)}")
        return kind


class AugmentSection(Section):
    """How training samples vary."""

    flip: list[bool] = Field([False, True], description="mirror half of the crops, per axis")
    scale: tuple[float, float] = Field((0.5, 2.0), description="least and greatest zoom")
    rotate: float = Field(10.0, ge=0, le=180, description="greatest turn, degrees")
    about: list[int] = Field([0], description="axes of a volume about which crops turn")
    keep: list[int] = Field([], description="axes that are neither zoomed nor shifted by fractions: time")
    strands: bool = Field(False, description="read half of the crops on the other strand (genomes)")
    foreground: float = Field(0.33, ge=0, le=1, description="share of crops centered on a class drawn evenly")
    foreground_classes: list[str] = Field([], description="names of the classes that this is for; empty: all")
    brightness: float = Field(0.3, ge=0, description="greatest shift, in standard deviations of the data")
    contrast: float = Field(0.3, ge=0, lt=1, description="greatest deviation of the contrast factor")
    saturation: float = Field(0.3, ge=0, le=1, description="greatest deviation of the saturation factor")
    noise: float = Field(0.03, ge=0, description="greatest standard deviation of noise")
    gamma: float = Field(0.0, ge=0, description="greatest deviation of the exponent on intensities")
    shift: float = Field(
        0.0, ge=0, description="change, motion: in half of the crops one of the two images is shifted by up to so much"
    )
    paste: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of crops over which the objects of another sample are pasted (class 0 is none)",
    )
    paste_classes: list[str] = Field([], description="names of the classes that are pasted; empty: all but class 0")
    still: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of clips in which nothing moves but the camera and a pasted object, which alone is labelled",
    )
    strength: float = Field(
        0.0, ge=0, le=1, description="two changes, drawn from blur, JPEG, tint, light and others, at most so strong"
    )
    apart: bool = Field(False, description="change, motion: intensities vary in each of the two images by itself")


class TrainSection(Section):
    """How the network is trained."""

    minutes: float | None = Field(None, gt=0, description="wall time of the whole run")
    epochs: float | None = Field(None, gt=0, description="passes over the data, instead of minutes")
    least_steps: Count | None = Field(
        None, description="with minutes: go on until so many steps are done, for four times the minutes at most"
    )
    crop: list[Count] = Field([320, 448], description="size of a crop per axis")
    batch_size: int = Field(8, ge=1, description="crops in a step")
    whole: bool = Field(False, description="take samples whole, one in a step, in strips; crop is not used then")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="adamw, or sgd with a momentum of 0.9")
    learning_rate: float = Field(1e-3, gt=0, description="peak rate of the optimizer")
    encoder_rate: float = Field(0.5, gt=0, description="factor on the rate for pretrained weights")
    weight_decay: float = Field(0.02, ge=0)
    warmup: float = Field(0.06, ge=0, lt=1, description="share of the run in which the rate rises")
    clip: float = Field(5.0, gt=0, description="greatest norm of the gradient")
    sharpness: float = Field(
        0.0, ge=0, description="gradients are taken so far uphill of the weights (SAM), for flat minima; 0: at them"
    )
    sharpness_every: Count = Field(1, description="every so many steps; such a step takes twice as long")
    teacher: float = Field(
        0.0,
        ge=0,
        description="weight of a loss by which the network follows its own running average (mean teacher); it rises "
        "over the first fifth of the training",
    )
    validations: int = Field(12, ge=1, description="how often the run is validated")
    patience: int | None = Field(None, ge=1, description="stop after so many validations without a gain")
    choose: bool = Field(
        True,
        description="validation chooses the weights that are kept, and calibrates them; false: it only measures, and "
        "the last weights are kept",
    )
    precision: Literal["bf16-mixed", "32-true"] = Field("32-true", description="arithmetic of forward and backward")
    accelerator: str = Field("cpu", description="device: cpu, cuda, cuda:1, mps or auto (whichever is there)")
    devices: Count = Field(1, description="devices of each machine, among which the crops of a step are dealt")
    nodes: Count = Field(1, description="machines")
    sync_batch_norm: bool = Field(
        False, description="on several devices: batch norms take the crops of all devices, not those of one"
    )
    compile: bool = Field(False, description="compile the network by torch.compile before the first step")
    seed: int = Field(0, ge=0, description="of everything drawn")
    start: str | None = Field(
        None, description="folder of a run whose weights the training starts from: what fits the network is copied"
    )

    @field_validator("accelerator")
    @classmethod
    def _names_a_device(cls, name: str) -> str:
        if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", name):
            raise ValueError("write cpu, cuda, cuda:1, mps or auto")
        return name


class StageSection(Section):
    """A share of the run in which part of the network learns."""

    name: str = Field(description="in words")
    share: float = Field(gt=0, le=1, description="of the run")
    rate: float = Field(1.0, gt=0, description="factor on the learning rate")
    encoder: float = Field(1.0, ge=0, le=1, description="share of the encoder's layers that learn; 0 is the head alone")
    skips: int | None = Field(None, ge=0, description="how many skips of fcn8s and fcn16s are on")
