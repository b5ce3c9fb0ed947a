"""The routes of an evaluation: the report of the run, its metrics and worst samples, and the true labels of these."""

from typing import Any

from pydantic import BaseModel, Field

from atrous.errors import UserError
from atrous.serve.answers import NO_STORE, content, labels_answer
from atrous.serve.facts import LabelFacts, planes_of
from atrous.serve.levels import level_sizes
from atrous.serve.parameters import Axis, Index, InputNumber, Level, Raw, SequenceNumber, TileColumn, TileRow
from atrous.serve.turnstile import Turnstile
from atrous.serve.viewer import Viewer

REPORT_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""A report is a page from a folder that somebody else may have written: it runs no script and loads nothing."""
CONFUSED = 64
"""Classes of the largest confusion matrix that is given."""


class SampleFacts(BaseModel):
    """One sample of an evaluation."""

    name: str = Field(description="in its data set")
    value: float = Field(description="its own value of the metric")
    input: int | None = Field(description="number of the input that shows it; null if it is not where it was")
    sequence: int = Field(description="of a genome, the number of its sequence")


class EvaluationFacts(BaseModel):
    """The evaluation that a training left with its run."""

    split: str = Field(description="which samples were measured")
    metric: str = Field(description="by which the samples are ordered")
    metrics: dict[str, float] = Field(description="of all samples")
    classes: list[str]
    confusion: list[list[int]] = Field(description="positions; rows truth, columns prediction; empty if there is none")
    worst: list[SampleFacts] = Field(description="the worst first, 50 at most")
    report: bool = Field(description="whether `report` has a page")
    problem: str = Field(description="why samples are missing; empty if nothing is wrong")


def add_evaluation(api: Any, viewer: Viewer, turnstile: Turnstile) -> None:
    """Add the routes to the API."""
    from fastapi import Response
    from fastapi.responses import FileResponse

    @api.get("/api/evaluation", tags=["evaluation"])
    async def evaluation() -> EvaluationFacts:
        """Return what the evaluation at the end of the training has found; its worst samples are opened as inputs."""
        return await turnstile.run(_facts, viewer)

    @api.get("/api/report", tags=["evaluation"], **content("text/html"))
    async def report() -> FileResponse:
        """Return the page about the run that the training wrote."""
        path = None if viewer.evaluation is None else viewer.evaluation.report
        if path is None:
            raise UserError("there is no report: start atrous serve with --run RUN, of a run that has a report.html")
        headers = {**NO_STORE, "Content-Security-Policy": REPORT_POLICY}
        return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)

    @api.get("/api/inputs/{number}/truth", tags=["evaluation"])
    async def truth(number: InputNumber, sequence: SequenceNumber = 0) -> LabelFacts:
        """Return the size of the true labels of a sample of the evaluation, in the form of those of the network."""
        size = (await turnstile.run(viewer.truth, number, sequence)).size
        planes = [level_sizes(plane) for plane in planes_of(size)]
        return LabelFacts(
            state="ready", problem="", size=size, planes=planes, whole=True, known=1.0, complete=True, read=1.0,
            filling=False, version=1,
        )  # fmt: skip

    @api.get("/api/inputs/{number}/truth/{level}/{row}/{column}", tags=["evaluation"], **content("image/png"))
    async def tile(
        number: InputNumber, level: Level, row: TileRow, column: TileColumn,
        axis: Axis = 0, index: Index = 0, raw: Raw = False,
    ) -> Response:  # fmt: skip
        """Return a tile of the true labels of a sample, in the form of those of the network."""

        def read() -> Any:
            return viewer.truth(number).tile((axis, index), level, row, column)

        return labels_answer(viewer, await turnstile.run(read), True, raw)


def _facts(viewer: Viewer) -> EvaluationFacts:
    ranked = viewer.ranked()
    evaluation = viewer.evaluation
    assert evaluation is not None
    scores = evaluation.scores()
    metric = str(scores.get("metric", ""))
    confusion = scores.get("confusion", [])
    classes = list(evaluation.classes)
    square = len(confusion) == len(classes) <= CONFUSED and all(len(row) == len(classes) for row in confusion)
    return EvaluationFacts(
        split=str(scores.get("split", "")),
        metric=metric,
        metrics={name: float(value) for name, value in scores.items() if type(value) in (int, float)},
        classes=classes,
        confusion=confusion if square else [],
        worst=[
            SampleFacts(name=one.name, value=one.value, input=number, sequence=one.sequence) for one, number in ranked
        ],
        report=evaluation.report is not None,
        problem=evaluation.problem,
    )
