"""Arithmetic over an exported network: receptive fields, halos, barriers, plans. No tensors of real data."""

from atrous.geometry.axis import Refused
from atrous.geometry.field import AxisField, Barrier, Certificate, certify
from atrous.geometry.plan import Plan

__all__ = ["AxisField", "Barrier", "Certificate", "Plan", "Refused", "certify"]
