"""Certified surgery: conversions of trained networks that prove themselves on the network given, or refuse."""

from atrous.surgery.certificate import Change, Converted, SurgeryCertificate
from atrous.surgery.convolutionalize import convolutionalize
from atrous.surgery.dilate import dilate
from atrous.surgery.inflate import inflate
from atrous.surgery.transplant import transplant

__all__ = ["Change", "Converted", "SurgeryCertificate", "convolutionalize", "dilate", "inflate", "transplant"]
