"""`atrous search DATA --minutes N`: networks and recipes around the planned one, accuracy against time."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "search"


def command(
    data: Annotated[
        str | None, typer.Argument(help="Folder or URL of the data set. Default: the one in the recipe.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the search. [default: runs/NAME-search]")] = None,
    minutes: Annotated[float | None, typer.Option(help="Wall time of the whole search, in minutes.")] = None,
    sampler: Annotated[str, typer.Option(help="How points are chosen: tpe, evolution, policy or latent.")] = "tpe",
    latency: Annotated[
        float | None, typer.Option(help="Most milliseconds that a network may take for --input.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Most memory that a network may take for --input, such as 500MB.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--input", help="Size of the timed input. [default: about the median of the data]"),
    ] = None,
    vary: Annotated[str | None, typer.Option(help="What varies, such as decoder,width. [default: everything]")] = None,
    rung: Annotated[
        float | None, typer.Option(help="Minutes of the shortest trainings. [default: a 90th of the search]")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Search around this recipe.toml.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Set section.key=value of every recipe; may be repeated.")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="New points do not start from weights of earlier ones.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    device: Annotated[str | None, typer.Option(help="Device: cpu, cuda, cuda:1, mps or auto. [default: cpu]")] = None,
    dataset: Annotated[Path | None, typer.Option(help="Path of a dataset.toml outside the data folder.")] = None,
    task: Annotated[str | None, typer.Option(help="What is learned. [default: from dataset.toml]")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the search in this folder; takes --minutes only.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Search for networks and recipes around the planned one, by their metric and their time.

    Many points are trained for a short time, the best third of them longer. The same command again goes on with a
    search that was stopped, and several processes may run it at once: they share the folder.

    Example: atrous search data/cells --minutes 60 --latency 50 --input 512,512
    """
    from atrous.cli.output import progress_bar, quiet_libraries, say, show
    from atrous.errors import UserError
    from atrous.verbs.search import search

    try:
        shape = tuple(int(length) for length in size.split(",")) if size else ()
    except ValueError:
        raise UserError(f"--input {size}: write sizes with commas, such as 512,512") from None
    quiet_libraries()
    with progress_bar("searching", 60 * (minutes or 1), time_left=False) as (bar, shown):
        result = search(
            data, out=out, minutes=minutes, sampler=sampler, latency=latency, memory=memory, shape=shape,
            vary=tuple(name.strip() for name in vary.split(",")) if vary else (), rung=rung, recipe=recipe,
            settings=settings or (), inherit=not from_scratch, seed=seed, device=device, description=dataset,
            task=task, resume=resume, progress=lambda seconds: bar.update(shown, completed=seconds),
            say=lambda text: bar.console.print(text, highlight=False, markup=False, soft_wrap=True),
        )  # fmt: skip
    show(result.text(), result.to_dict(), json)
    say(f"report: {result.folder / 'report.html'}")
    if result.interrupted:
        raise typer.Exit(130)
