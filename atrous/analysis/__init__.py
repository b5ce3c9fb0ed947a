"""The principles of fully convolutional networks, measured on any network.

Each analysis is a function `(network, ...) -> result`; a result has `.text()`, `.to_dict()` and `.draw(path)`. All take
networks on 1-D, 2-D and 3-D grids and leave them as they found them.
"""

from atrous.analysis.adjoint import adjointness
from atrous.analysis.antialias import antialias
from atrous.analysis.attribution import Attribution, attribute, strongest_class
from atrous.analysis.boundary import Boundary, boundary
from atrous.analysis.equivariance import Equivariance, equivariance
from atrous.analysis.filters import Filters, filters
from atrous.analysis.motif import Motif, read_meme, write_meme
from atrous.analysis.motifs import Motifs, motifs
from atrous.analysis.receptive import ReceptiveField, receptive_field
from atrous.analysis.sharing import Sharing, sharing
from atrous.analysis.similarity import jaspar, nearest
from atrous.analysis.upsampling import Upsampling, upsampling

__all__ = [
    "Attribution",
    "Boundary",
    "Equivariance",
    "Filters",
    "Motif",
    "Motifs",
    "ReceptiveField",
    "Sharing",
    "Upsampling",
    "adjointness",
    "antialias",
    "attribute",
    "boundary",
    "equivariance",
    "filters",
    "jaspar",
    "motifs",
    "nearest",
    "read_meme",
    "receptive_field",
    "sharing",
    "strongest_class",
    "upsampling",
    "write_meme",
]
