"""Certified surgery: conversions of trained networks that are proven on the user's own network, or refused."""

from atrous.surgery.certificate import Change, Converted, SurgeryCertificate
from atrous.surgery.convolutionalize import convolutionalize
from atrous.surgery.dilate import dilate
from atrous.surgery.inflate import inflate
from atrous.surgery.transplant import transplant

__all__ = ["Change", "Converted", "SurgeryCertificate", "convolutionalize", "dilate", "inflate", "transplant"]
