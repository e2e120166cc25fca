"""MQAR with other questions: the last one only, or the next token everywhere (chapter 05).

Papers train on recall in three ways: the loss is taken at the last question of a sequence, at
all of them, or, as in a language model, at every token.
"""

from typing import Literal

import torch

from zoology_teach.checks import require
from zoology_teach.configuration import config
from zoology_teach.tasks.examples import IGNORED, Examples
from zoology_teach.tasks.mqar import MQAR

Questions = Literal["last", "everywhere"]


@config
class Asking:
    """The sequences of `task` with other labels.

    questions  "last": only the last of the K questions is asked. "everywhere": a question asks
               its value, every other position but the last one asks the token that comes next,
               most of which nobody can know.

    Raises ValueError for other questions.
    """

    task: MQAR
    questions: Questions

    def __post_init__(self) -> None:
        require(isinstance(self.task, MQAR), "task", self.task, "MQAR(...)")
        known = ("last", "everywhere")
        require(self.questions in known, "questions", self.questions, "'last' or 'everywhere'")

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.task.vocab_size

    def sample(self, num_examples: int, seed: int | torch.Generator = 0) -> Examples:
        """`num_examples` sequences; the inputs are those that `task` draws with this seed."""
        drawn = self.task.sample(num_examples, seed)
        labels = drawn.labels
        if self.questions == "last":
            last = drawn.positions[:, -1:]
            only = torch.full_like(labels, IGNORED)
            return Examples(drawn.inputs, only.scatter_(1, last, labels.gather(1, last)))
        following = torch.full_like(labels, IGNORED)
        following[:, :-1] = drawn.inputs[:, 1:]
        return Examples(drawn.inputs, following.where(labels == IGNORED, labels))
