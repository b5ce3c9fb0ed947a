"""What can be known of a network from its operators and shapes alone: receptive fields, halos, barriers and plans.

Nothing here computes with real data. A network is exported as a list of operators (`graph`), rewritten into fewer kinds
of them (`lower`), and followed along each spatial axis by the rules for its operators (`rules`, `axis`, `maps`). From
that follow the certificate (`field`), the order in which rows are computed when the input arrives in strips (`program`,
`segments`), and the memory and work that this takes (`memory`, `plan`).
"""

from atrous.geometry.axis import Refused
from atrous.geometry.field import AxisField, Barrier, Certificate, certify
from atrous.geometry.plan import StreamPlan

__all__ = ["AxisField", "Barrier", "Certificate", "Refused", "StreamPlan", "certify"]
