"""One model learns, on any task: the loop, what is measured, what is kept (chapter 05)."""

from zoology_teach.training.history import Diverged, History, Record
from zoology_teach.training.loop import train, training
from zoology_teach.training.measure import accuracy, batch_loss, token_losses
from zoology_teach.training.stages import Stage, Task, TrainConfig, lr_factor

__all__ = [
    "Diverged",
    "History",
    "Record",
    "Stage",
    "Task",
    "TrainConfig",
    "accuracy",
    "batch_loss",
    "lr_factor",
    "token_losses",
    "train",
    "training",
]
