"""Every operator on a part of its rows: given the input rows that geometry asks for, exactly the wanted output rows."""

from atrous.stream.compute.dispatch import compute, on_window, whole

__all__ = ["compute", "on_window", "whole"]
