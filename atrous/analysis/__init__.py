"""Functions that measure the principles of fully convolutional networks on any network.

Each analysis is a function `(network, ...) -> result`. The result has the methods `.text()` (a summary for people),
`.to_dict()` (for JSON) and `.draw(path)` (a picture). Networks may have 1, 2 or 3 spatial axes; no analysis changes the
network's parameters, mode, device or hooks.

In this package "position" means one point of a grid: a base or sample in 1-D, a pixel in 2-D, a voxel in 3-D.
"""

from atrous.analysis.adjoint import adjointness
from atrous.analysis.antialias import antialias
from atrous.analysis.attribution import Attribution, AttributionSettings, attribute, strongest_class
from atrous.analysis.boundary import Boundary, boundary
from atrous.analysis.equivariance import Equivariance, equivariance
from atrous.analysis.filters import Filters, filters
from atrous.analysis.impulse import NetworkResponse, network_response
from atrous.analysis.motif import Motif, read_meme, write_meme
from atrous.analysis.motifs import Motifs, motifs
from atrous.analysis.receptive import ReceptiveField, receptive_field
from atrous.analysis.sharing import Sharing, sharing
from atrous.analysis.similarity import jaspar, nearest
from atrous.analysis.spectrum import fourier_convolution, kernel_response
from atrous.analysis.theorem import convolution_theorem
from atrous.analysis.transfer import Transfer, transfer
from atrous.analysis.upsampling import Upsampling, upsampling

__all__ = [
    "Attribution",
    "AttributionSettings",
    "Boundary",
    "Equivariance",
    "Filters",
    "Motif",
    "Motifs",
    "NetworkResponse",
    "ReceptiveField",
    "Sharing",
    "Transfer",
    "Upsampling",
    "adjointness",
    "antialias",
    "attribute",
    "boundary",
    "convolution_theorem",
    "equivariance",
    "filters",
    "fourier_convolution",
    "jaspar",
    "kernel_response",
    "motifs",
    "nearest",
    "network_response",
    "read_meme",
    "receptive_field",
    "sharing",
    "strongest_class",
    "transfer",
    "upsampling",
    "write_meme",
]
