"""Several tasks as one: each batch is drawn from one of them (chapter 08)."""

import torch

from zoology_teach.checks import require
from zoology_teach.configuration import config
from zoology_teach.tasks.examples import Examples, generator_from, on_cpu
from zoology_teach.tasks.mqar import MQAR


@config
class Mixture:
    """A task of mixed lengths: every batch is of one of `tasks`, each as likely as another.

    Raises ValueError for no task.
    """

    tasks: tuple[MQAR, ...]

    def __post_init__(self) -> None:
        require(len(self.tasks) > 0, "tasks", self.tasks, "at least one task")
        for task in self.tasks:
            require(isinstance(task, MQAR), "tasks", task, "made of MQAR(...)")
        object.__setattr__(self, "tasks", tuple(self.tasks))

    @property
    def vocab_size(self) -> int:
        """V, the largest of the tasks'."""
        return max(task.vocab_size for task in self.tasks)

    @on_cpu
    def sample(self, num_examples: int, seed: int | torch.Generator = 0) -> Examples:
        """`num_examples` sequences, all of one task; see `mqar.sample`."""
        generator = generator_from(seed)
        which = int(torch.randint(len(self.tasks), (), generator=generator))
        return self.tasks[which].sample(num_examples, generator)
