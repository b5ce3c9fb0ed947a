"""Callbacks per step and per validation: an adapter to MLflow in a few lines (Weights & Biases is alike)."""

from typing import Any

import atrous


class Tracker:
    """Sends numbers to anything that has MLflow's `log_metrics(dictionary, step)`."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def on_step(self, values: dict[str, float]) -> None:
        self.client.log_metrics({"train_loss": values["loss"]}, step=int(values["step"]))

    def on_validation(self, step: int, values: dict[str, float]) -> None:
        self.client.log_metrics({f"val_{name}": value for name, value in values.items()}, step=step)


def main(data: str, client: Any, out: str = "runs/tracked", epochs: float = 20) -> None:
    """Train on a folder and report to a tracker: `import mlflow; main("cells", mlflow)`."""
    tracker = Tracker(client)
    atrous.train(data, on_step=tracker.on_step, on_validation=tracker.on_validation, epochs=epochs, out=out)
