"""Objects of one sample pasted over another one: new pairs of object and background, out of few samples."""

import torch

from atrous.labels import IGNORE


def pasted(
    image: torch.Tensor,
    labels: torch.Tensor,
    other: torch.Tensor,
    other_labels: torch.Tensor,
    classes: tuple[int, ...] = (),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an image `(C, *S)` and its labels `(*S)` with everything of another sample that has one of these classes.

    Objects cut out and pasted as they are, without blending (Ghiasi et al. 2021, "Simple copy-paste is a strong data
    augmentation method for instance segmentation"). In a video they keep their own motion.

    Args:
        image: what is pasted upon.
        labels: its labels.
        other: `(C, *S)`, what is pasted.
        other_labels: its labels; 255 is void.
        classes: which classes are pasted; all but 0 where none is named.

    >>> other, other_labels = torch.full((1, 3), 9.0), torch.tensor([0, 1, 255])
    >>> image, labels = pasted(torch.zeros(1, 3), torch.tensor([0, 0, 2]), other, other_labels)
    >>> image.tolist(), labels.tolist()
    ([[0.0, 9.0, 0.0]], [0, 1, 2])
    """
    if classes:
        objects = torch.isin(other_labels, torch.tensor(classes, dtype=other_labels.dtype))
    else:
        objects = (other_labels != 0) & (other_labels != IGNORE)
    return torch.where(objects, other, image), torch.where(objects, other_labels.to(labels.dtype), labels)
