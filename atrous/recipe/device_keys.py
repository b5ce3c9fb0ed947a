"""Which keys of the section `train` that say where a training runs fit together."""

from atrous.errors import UserError
from atrous.recipe.sections import TrainSection


def agree_devices(train: TrainSection, source: str) -> None:
    """Reject a number of devices that the other keys of a training do not allow; `source` names the recipe in errors.

    Raises:
        UserError: a key does not fit another one.
    """
    count = train.devices * train.nodes
    if train.compile and train.whole:
        raise UserError(f"{source}: train.compile is for crops: set train.whole = false, or do not compile")
    if count == 1:
        return
    if train.compile and train.sync_batch_norm:
        raise UserError(
            f"{source}: train.sync_batch_norm exchanges numbers inside of the network, which train.compile cannot "
            "follow: set one of them"
        )
    if train.whole:
        raise UserError(f"{source}: train.whole takes one sample in a step: set train.devices = train.nodes = 1")
    if train.batch_size < count:
        raise UserError(
            f"{source}: train.batch_size = {train.batch_size} is dealt among {count} devices: give each at least one "
            "crop"
        )
    if ":" in train.accelerator or train.accelerator == "mps":
        raise UserError(
            f"{source}: train.accelerator = {train.accelerator!r} is one device: write cpu, cuda or auto for "
            f"train.devices = {train.devices}"
        )
