"""Train on any torch Dataset that gives (image, target); a DataLoader is trained on as it comes, batch by batch."""

import torch
from torch.utils.data import DataLoader, Dataset

import atrous


class Squares(Dataset):
    """Bright squares in noise."""

    def __init__(self, first: int, count: int) -> None:
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(self.first + index)
        target = torch.zeros(64, 64, dtype=torch.long)
        row, column = torch.randint(0, 44, (2,), generator=generator).tolist()
        target[row : row + 20, column : column + 20] = 1
        image = 80.0 * target[None] + torch.normal(60.0, 15.0, (1, 64, 64), generator=generator)
        return image, target


def main(out: str = "runs/torch", epochs: float = 20) -> float:
    """Train on the items, cut and augmented by atrous, then on a loader's own batches."""
    atrous.train(Squares(0, 12), val=Squares(100, 3), epochs=epochs, out=f"{out}-items")

    loader = DataLoader(Squares(0, 12), batch_size=4, shuffle=True)
    trained = atrous.train(loader, val=Squares(100, 3), epochs=epochs, out=f"{out}-batches")
    print(f"mean IoU: {trained.scores.miou:.3f}")
    return trained.scores.miou


if __name__ == "__main__":
    main()
