"""One model learns, on any task: the loop, what is measured, what is kept (chapter 05)."""

from zoology_teach.training.loop import (
    Diverged,
    History,
    Record,
    TrainConfig,
    accuracy,
    batch_loss,
    lr_factor,
    train,
    training,
)

__all__ = [
    "Diverged",
    "History",
    "Record",
    "TrainConfig",
    "accuracy",
    "batch_loss",
    "lr_factor",
    "train",
    "training",
]
