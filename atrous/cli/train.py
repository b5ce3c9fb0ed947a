"""`atrous train DATA`: from a folder of images and masks to a run folder with a report."""

import sys
from pathlib import Path
from typing import Annotated

import typer

NAME = "train"
DATA, HOW = "Data", "How it is trained"


def command(
    data: Annotated[
        str | None, typer.Argument(help="Folder or URL of the data set. Default: the one in the recipe.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; must not exist. [default: runs/NAME]")] = None,
    minutes: Annotated[float | None, typer.Option(help="Wall time of the whole run, in minutes.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training data, instead of --minutes.")] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Use this recipe.toml instead of planning one.", rich_help_panel=HOW)
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Set section.key=value of the recipe; may be repeated.")
    ] = None,
    stages: Annotated[
        bool, typer.Option("--stages", help="Fine-tune in three stages: head, upper layers, all.", rich_help_panel=HOW)
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(help="Fine-tune: start from the weights of this run or named model.", rich_help_panel=HOW),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Train on whole samples, one in a step, in strips, instead of crops.", rich_help_panel=HOW
        ),
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Random seed. [default: 0]", rich_help_panel=HOW)] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Device: cpu, cuda, cuda:1, mps, or auto for whichever is there. [default: cpu]", rich_help_panel=HOW
        ),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Path of a dataset.toml outside the data folder.", rich_help_panel=DATA)
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="What is learned, such as semantic, detection or change. [default: from dataset.toml]",
            rich_help_panel=DATA,
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Resume this run; of other options takes train.devices and train.nodes alone.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Check the data, plan a recipe, train, evaluate on the validation split, and write report.html.

    The recipe is written to the run folder. To change it, edit a copy and pass it with --recipe, or use --set.
    Ctrl-C saves the state of the run and prints the command that resumes it.

    Example: atrous train data/cells --minutes 30
    """
    from atrous.cli.output import quiet_libraries, say, show
    from atrous.errors import UserError
    from atrous.verbs.train import train

    switches = (stages or None, whole or None)
    others = (data, out, minutes, epochs, recipe, seed, device, dataset, task, start, *switches)
    if resume is not None and any(other is not None for other in others):
        raise UserError("--resume goes on with a run as it was begun: give no data, recipe or other settings with it")
    quiet_libraries()
    trained = train(
        data, out=out, minutes=minutes, epochs=epochs, recipe=recipe, settings=settings or (), stages=stages,
        start=start, whole=whole, seed=seed, device=device, description=dataset, task=task, resume=resume,
        command=sys.argv,
    )  # fmt: skip
    if trained.outcome.interrupted:
        raise typer.Exit(130)
    if trained.scores is None:  # the first of several processes tells
        return
    facts = {"run": str(trained.run.folder), "steps": trained.outcome.step, "seconds": trained.outcome.seconds}
    show(trained.scores.text(), facts | trained.scores.to_dict(), json)
    say(f"run folder: {trained.run.folder}")
