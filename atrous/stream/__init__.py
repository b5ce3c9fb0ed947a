"""Exact streaming: the whole-image answer of any fully convolutional network, in bounded memory."""

from atrous.geometry.axis import Refused
from atrous.geometry.plan import StreamPlan
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.session import Session
from atrous.stream.stream import plan, stream

__all__ = ["Prepared", "Refused", "Session", "StreamPlan", "plan", "prepare", "stream"]
