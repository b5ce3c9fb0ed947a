"""What the routes of the API are given: numbers with their bounds and what they mean."""

from typing import Annotated

from pydantic import Field

MOST = 2**31

InputNumber = Annotated[int, Field(ge=0, le=MOST, description="number of the input, from `inputs`")]
SequenceNumber = Annotated[int, Field(ge=0, le=MOST, description="of a genome, the number of the sequence")]
Level = Annotated[int, Field(ge=0, le=MOST, description="of the pyramid; 0 is the finest")]
TileRow = Annotated[int, Field(ge=0, le=MOST, description="row of the tile, from 0")]
TileColumn = Annotated[int, Field(ge=0, le=MOST, description="column of the tile, from 0")]
Axis = Annotated[int, Field(ge=0, le=MOST, description="of a volume, the axis that the plane is cut across")]
Index = Annotated[int, Field(ge=0, le=MOST, description="of a volume or a video, the slice or frame")]
Row = Annotated[int, Field(ge=0, le=MOST, description="row of the position in the plane, from 0")]
Column = Annotated[int, Field(ge=0, le=MOST, description="column of the position in the plane, from 0")]
Edge = Annotated[int, Field(ge=0, le=MOST, description="of a box: its first row or column, or the one after its last")]
ListStart = Annotated[int, Field(ge=0, le=MOST, description="the first of the list that is given, from 0")]
ListCount = Annotated[int, Field(ge=1, le=1000, description="how many of the list are given")]
FillOn = Annotated[bool, Field(description="false: no longer")]
ShownChannels = Annotated[
    str | None,
    Field(description="what is shown, as NUMBER:LOW:HIGH:RRGGBB or NUMBER:LOW:HIGH:RRGGBB:GAMMA for each, with commas"),
]
Exact = Annotated[bool, Field(description="whether labels that are not known are computed")]
Raw = Annotated[bool, Field(description="whether the answer is one byte for each pixel, in place of a PNG")]
Start = Annotated[int, Field(ge=0, le=2**52, description="first position, from 0")]
Stop = Annotated[int, Field(ge=1, le=2**52, description="the position after the last one")]
Bins = Annotated[int, Field(ge=1, le=8192, description="the window is given in so many bins at most")]
Origin = Annotated[str, Field(pattern="^(network|file)$", description="`network`, or `file` for what is given with it")]
