"""DAVIS: J, boundary F and flicker on two sequences that were not used for training, for each temporal design.

    PYTHONPATH=. python benchmarks/davis.py PATH/TO/davis --minutes 15 --temporal levels frames

Unlike in the DAVIS challenge, the mask of the first frame is not given: the network must learn what the foreground is.
The two held-out sequences are `dog` and `car-shadow`. The training sequences show another dog (`libby`), another car
(`drift-chicane`) and four other objects. The weights are those at the end of training (there is one validation), so
that they are not chosen on the held-out sequences.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from atrous.verbs.evaluate import evaluate
from atrous.verbs.train import train

HELD_OUT = ("car-shadow", "dog")
DESCRIPTION = """
classes = ["background", "object"]
values = [0, 255]
[splits]
val = {held_out}
"""


def main(
    data: Path, minutes: float, temporal: str, causal: bool, out: Path, settings: list[str] | None = None
) -> dict[str, object]:
    description = out / "davis.toml"
    out.mkdir(parents=True, exist_ok=True)
    description.write_text(DESCRIPTION.format(held_out=json.dumps(list(HELD_OUT))))
    start = time.monotonic()

    def on_step(values: dict[str, float]) -> None:
        print(f"step {values['step']}: loss {values['loss']:.3f}", flush=True)

    chosen = [f"model.temporal={temporal}", f"model.causal={str(causal).lower()}", "train.validations=1"]
    chosen += settings or []
    folder = out / f"{temporal}{'-causal' if causal else ''}"
    trained = train(
        data, out=folder, minutes=minutes, settings=chosen, description=description, say=print, on_step=on_step,
    )  # fmt: skip
    minutes_spent = (time.monotonic() - start) / 60
    scores = evaluate(trained.run, data, split="val", description=description).scores
    print(scores.text())
    content = scores.to_dict()
    result = {
        "temporal": temporal, "causal": causal, "minutes": round(minutes_spent, 1), "steps": trained.outcome.step,
        "held_out": HELD_OUT, "j": content["j"]["object"], "boundary_f": content["boundary_f"]["object"],
        "flicker": content["flicker"], "videos": content["videos"],
    }  # fmt: skip
    print(json.dumps(result), flush=True)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with JPEGImages and Annotations")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--temporal", nargs="+", default=["levels"], choices=["frames", "levels", "blocks"])
    parser.add_argument("--causal", action="store_true", help="no frame depends on later ones")
    parser.add_argument("--out", type=Path, help="folder for the runs; a temporary one by default")
    parser.add_argument("--set", action="append", dest="settings", help="section.key=value of the recipe")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = [
            main(options.data, options.minutes, kind, options.causal, options.out or Path(scratch), options.settings)
            for kind in options.temporal
        ]
    print(f"{'along time':<12}{'minutes':>8}{'J':>8}{'F':>8}{'flicker':>9}")
    for row in rows:
        print(
            f"{row['temporal']:<12}{row['minutes']:>8}{row['j']:>8.3f}{row['boundary_f']:>8.3f}{row['flicker']:>9.4f}"
        )
