"""Deconvolution without a network: Wiener and Richardson-Lucy filters by Fourier transform, of scikit-image."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from atrous.data.formats import read_header, stem
from atrous.data.formats.base import ALWAYS, in_words
from atrous.data.preprocess import Expected, Preparation, Wanted
from atrous.data.restoration import Degradation, Restoration, gaussian_psf, read_psf
from atrous.data.source import Key, LazySource, Sink, Source
from atrous.errors import UserError
from atrous.machine import memory_limit
from atrous.prediction.inputs import Input, Opened, open_input

AMOUNTS: dict[str, tuple[float, ...]] = {
    "wiener": (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0),
    "richardson-lucy": (1, 2, 5, 10, 20, 50, 100, 200, 400),
}
"""For each method the grid of its parameter, over which the best one is searched."""
PARAMETERS = {"wiener": "balance", "richardson-lucy": "iterations"}
"""For each method what its parameter is called."""
USUAL = {"wiener": 0.01, "richardson-lucy": 50}
"""For each method its parameter where nobody says one; 50 is that of scikit-image."""
HELD = {"wiener": 8, "richardson-lucy": 12}
"""Arrays of a mirrored channel in float64 that a method holds at most at once, its transforms among them."""
MARGIN = {"wiener": 1, "richardson-lucy": 2}
"""How many sides of the point spread function an image is mirrored beyond its borders. Each iteration of
Richardson-Lucy, which takes the outside for zeros, carries their ripples further in: with one side 400 iterations of a
Gaussian of 1.6 change a flat image by 15 %, with two by 0.3 %."""
LIMITS = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0)}
"""Least and greatest value of the types of files that have them; results are cut off there."""


def wiener(image: np.ndarray, psf: np.ndarray, balance: float) -> np.ndarray:
    """Return a blurred image `(C, *S)` deconvolved by a Wiener-Hunt filter, channel by channel, float32.

    The filter is `conj(H) / (|H|^2 + balance |D|^2)` with the transfer functions H of the point spread function and D
    of the Laplacian (Orieux, Giovannelli & Rodet 2010, "Bayesian estimation of regularization and point spread function
    parameters for Wiener-Hunt deconvolution"). The scale of the values does not matter. A Fourier transform takes an
    image for periodic, so it is mirrored beyond its borders first, by the sides of the point spread function.

    Args:
        image: values in any unit, all of them finite.
        psf: the point spread function `(*S')` with odd sides and the sum 1.
        balance: how much smoothness counts against fidelity: greater for more noise.

    >>> blurred = Degradation(blur=0.5)(np.eye(9)[None], np.random.default_rng(0))
    >>> found = wiener(blurred, gaussian_psf(0.5, 2), 1e-7)
    >>> float(abs(blurred - np.eye(9)).max()) > 0.2 > 0.01 > float(abs(found - np.eye(9)).max())
    True
    """
    from skimage import restoration

    def filtered(channel: np.ndarray) -> np.ndarray:
        return np.asarray(restoration.wiener(channel, np.asarray(psf, np.float64), balance, clip=False))

    return _mirrored(image, psf, filtered, MARGIN["wiener"])


def richardson_lucy(image: np.ndarray, psf: np.ndarray, iterations: int) -> np.ndarray:
    """Return a blurred image `(C, *S)` deconvolved by iterations of Richardson and Lucy, channel by channel, float32.

    They find values of at least 0 that are most likely where the noise is that of counts (Richardson 1972, Lucy 1974).
    Where a channel has negative values, its least value is taken for 0. Beyond the borders the image is mirrored as for
    `wiener`, twice as far.

    Args:
        image: values in any unit, all of them finite.
        psf: the point spread function `(*S')` with odd sides and the sum 1.
        iterations: how many; noise grows with them.

    >>> flat = np.full((1, 8, 8), 3.0)
    >>> bool(abs(richardson_lucy(flat, gaussian_psf(1.0, 2), 2)[0, 4, 4] - 3) < 1e-3)
    True
    """
    from skimage import restoration

    def filtered(channel: np.ndarray) -> np.ndarray:
        least = min(0.0, float(channel.min()))
        scale = float(channel.max()) - least  # the constant of scikit-image that avoids a division by 0 has no unit
        if scale <= 0:
            return channel
        kernel = np.asarray(psf, np.float64)
        given = (channel - least) / scale
        return np.asarray(restoration.richardson_lucy(given, kernel, num_iter=iterations, clip=False)) * scale + least

    return _mirrored(image, psf, filtered, MARGIN["richardson-lucy"])


def _mirrored(
    image: np.ndarray, psf: np.ndarray, function: Callable[[np.ndarray], np.ndarray], sides: int
) -> np.ndarray:
    """Apply a function to each channel, mirrored (the outermost value twice) by `sides` of the psf at each border.

    The margin is wider than the reach of the psf. It also keeps the psf smaller than half of the transform, whose shape
    scikit-image would take for that of a transfer function.
    """
    margin = [(sides * n, sides * n) for n in psf.shape]
    inside = tuple(slice(n, n + size) for (n, _), size in zip(margin, image.shape[1:], strict=True))
    channels = (np.pad(np.asarray(one, np.float64), margin, mode="symmetric") for one in image)
    return np.stack([np.asarray(function(one)[inside], np.float32) for one in channels])


@dataclass(frozen=True)
class Deconvolution:
    """A method with its parameter.

    Attributes:
        method: `wiener` or `richardson-lucy`.
        amount: the balance, or the number of iterations.

    >>> Deconvolution("richardson-lucy", 20).text()
    'richardson-lucy, iterations 20'
    """

    method: str
    amount: float

    def __call__(self, image: np.ndarray, psf: np.ndarray) -> np.ndarray:
        """Return a blurred image `(C, *S)` deconvolved, float32."""
        if self.method == "wiener":
            return wiener(image, psf, self.amount)
        return richardson_lucy(image, psf, int(self.amount))

    def text(self) -> str:
        """Return what it is, in words."""
        return f"{self.method}, {PARAMETERS[self.method]} {self.amount:g}"


def memory_needed(method: str, shape: Sequence[int], psf_shape: Sequence[int]) -> int:
    """Return how many bytes a method needs at most for an image of this shape `(C, *S)`.

    The image, the result while it is put together and what is written of it are in float32; one channel after the other
    is mirrored, and transformed in float64.

    >>> memory_needed("wiener", (3, 1000, 1000), (13, 13))
    115371264
    """
    mirrored = math.prod(size + 2 * MARGIN[method] * n for size, n in zip(shape[1:], psf_shape, strict=True))
    return 16 * math.prod(shape) + 8 * HELD[method] * mirrored


@dataclass(frozen=True)
class Blur:
    """What blurred the images.

    Attributes:
        psf: standard deviation of a Gaussian in positions, or a file that holds a point spread function.
        noise: standard deviation of the noise that is added to clean images, which are blurred first; None where the
            images are blurred already.
    """

    psf: float | Path
    noise: float | None = None

    def kernel(self, ndim: int) -> np.ndarray:
        """Return the point spread function of so many axes.

        Raises:
            UserError: the file cannot be read, or has other axes.
        """
        return read_psf(self.psf, ndim) if isinstance(self.psf, Path) else gaussian_psf(self.psf, ndim)

    def degraded(self, name: str, values: np.ndarray) -> np.ndarray:
        """Return clean values `(C, *S)` as `atrous evaluate` degrades an image of this name for `--task deblur`."""
        noise = self.noise or 0.0
        if isinstance(self.psf, Path):
            made = Degradation(noise, psf=self.kernel(values.ndim - 1))
        else:
            made = Degradation(noise, blur=self.psf)
        return Restoration(made).fixed(name, values)


class GivenValues(LazySource):
    """Values `(C, *S)` in memory, with the limits of the file that they come from.

    Args:
        values: all of them finite.
        dtype: type of the values in the file.
    """

    def __init__(self, values: np.ndarray, dtype: str) -> None:
        super().__init__(values.shape, values.dtype)
        self.values, self.limits = values, LIMITS.get(dtype)

    def _read(self, key: Key) -> np.ndarray:
        return self.values[key]


def read_item(item: Input, gray: bool = False) -> Opened:
    """Open an input with its values in memory: those without data read as the mean of their channel.

    Args:
        item: the input.
        gray: whether 8-bit color pictures become gray.

    Raises:
        UserError: it cannot be read, or has no position with data.
    """
    expected = Expected(channels=Wanted(1 if gray else None, by="--gray wants"))
    opened = open_input(item, expected=expected, preparation=Preparation(fill=(float("nan"),)))
    values, dtype = np.asarray(opened.source[...]), np.dtype(opened.source.dtype).name
    known = np.isfinite(values)
    if opened.valid is not None:
        known &= np.asarray(opened.valid[...])
    if not known.all():
        counts = known.reshape(len(values), -1).sum(axis=1)
        if not counts.all():
            raise UserError(f"{item.path}: a channel has no position with data: there is nothing to restore")
        means = [float(one[seen].mean(dtype=np.float64)) for one, seen in zip(values, known, strict=True)]
        filling = np.array(means, np.float32).reshape(-1, *[1] * (values.ndim - 1))
        values = np.where(known, values, filling)
    return replace(opened, source=GivenValues(values, dtype))


def key_of(item: Input) -> str:
    """Return the name by which an input and its clean image are found: its path below the folder that was given."""
    return (item.relative.parent / stem(item.relative)).as_posix()


@dataclass(frozen=True)
class Deconvolver:
    """What restores one input after the other, as a network would (`atrous.prediction.worker.Worker`).

    Attributes:
        deconvolution: the method.
        blur: what blurred the inputs; where it says the noise, they are clean, and degraded first.
        gray: whether 8-bit color pictures become gray.
        memory: bytes that restoring an input may take; None for as many as this process may use.
    """

    deconvolution: Deconvolution
    blur: Blur
    gray: bool = False
    memory: float | None = None
    dtype: torch.dtype = torch.float32
    engine: str = "scikit-image"
    device: str = "cpu"
    kernels: dict[int, np.ndarray] = field(init=False, default_factory=dict)

    def parts(self, item: Input) -> Iterator[Opened]:
        """Yield the input, in one part.

        Raises:
            UserError: it cannot be read, or does not fit into the memory.
        """
        self.require_memory(item)
        opened = read_item(item, self.gray)
        if self.blur.noise is not None:
            source = opened.source
            assert isinstance(source, GivenValues)
            degraded = GivenValues(self.blur.degraded(key_of(item), source.values), "")
            degraded.limits = source.limits
            opened = replace(opened, source=degraded)
        yield opened

    def require_memory(self, item: Input) -> None:
        """Raise unless an input fits into the memory; nothing of it but its header is read.

        Raises:
            UserError: it does not fit, or its header cannot be read.
        """
        headers = [read_header(path) for path in item.files]
        shape = (1 if self.gray else sum(header.channels for header in headers), *headers[0].size)
        method = self.deconvolution.method
        needed = memory_needed(method, shape, self._kernel(len(shape) - 1).shape)
        if needed <= (ALWAYS if self.memory is None else self.memory):
            return
        limit = memory_limit() if self.memory is None else self.memory
        if needed > limit:
            allowed = f"{'this process may use' if self.memory is None else '--memory is'} {in_words(int(limit))}"
            raise UserError(
                f"{item.path}: {method} needs {in_words(needed)} for {' x '.join(map(str, shape))}, and {allowed}: "
                "cut it into pieces that overlap, or learn it (atrous train --task deblur), which is streamed"
            )

    def plan(self, shape: tuple[int, ...]) -> None:
        """Return None: a Fourier transform needs an input whole."""

    def write(
        self,
        source: Source,
        labels: Sink | None = None,
        probabilities: Sink | None = None,
        *,
        resume: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Restore the source of a part, and assign the values `(C, *S)` to the sink of numbers."""
        if probabilities is not None:
            limits = source.limits if isinstance(source, GivenValues) else None
            probabilities[...] = self.restored(np.asarray(source[...]), limits)

    def restored(self, values: np.ndarray, limits: tuple[float, float] | None) -> np.ndarray:
        """Return values `(C, *S)` deconvolved, cut off at the limits of their file."""
        found = self.deconvolution(values, self._kernel(values.ndim - 1))
        return found if limits is None else np.clip(found, *limits, out=found)

    def _kernel(self, ndim: int) -> np.ndarray:
        if ndim not in self.kernels:
            self.kernels[ndim] = self.blur.kernel(ndim)
        return self.kernels[ndim]
