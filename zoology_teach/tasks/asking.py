"""MQAR with other questions: the last one only, all tokens, or wrong ones (chapters 05, 10).

Papers train on recall in three ways: the loss is taken at the last question of a sequence, at
all of them, or, as in a language model, at every token. Shuffled answers are a control.
"""

from typing import Literal, get_args

import torch

from zoology_teach.checks import require
from zoology_teach.configuration import config
from zoology_teach.tasks.examples import IGNORED, Examples, generator_from, on_cpu
from zoology_teach.tasks.mqar import MQAR

Questions = Literal["last", "everywhere", "shuffled"]


@config
class Asking:
    """The sequences of `task` with other labels.

    questions  "last": only the last of the K questions is asked. "everywhere": a question asks
               its value, every other position but the last one asks the token that comes next,
               most of which nobody can know. "shuffled": the answers of a sequence are dealt to
               its questions at random, so which values occur can be learned, and no pair.

    Raises ValueError for other questions.
    """

    task: MQAR
    questions: Questions

    def __post_init__(self) -> None:
        require(isinstance(self.task, MQAR), "task", self.task, "MQAR(...)")
        known = get_args(Questions)
        require(self.questions in known, "questions", self.questions, f"one of {known}")

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.task.vocab_size

    @on_cpu
    def sample(self, num_examples: int, seed: int | torch.Generator = 0) -> Examples:
        """`num_examples` sequences; the inputs are those that `task` draws with this seed."""
        generator = generator_from(seed)
        drawn = self.task.sample(num_examples, generator)
        labels = drawn.labels
        if self.questions == "last":
            last = drawn.positions[:, -1:]
            only = torch.full_like(labels, IGNORED)
            return Examples(drawn.inputs, only.scatter_(1, last, labels.gather(1, last)))
        if self.questions == "shuffled":
            uniform = torch.rand(drawn.targets.shape, generator=generator, dtype=torch.float32)
            dealt = drawn.targets.gather(1, uniform.argsort(dim=1))
            return Examples(drawn.inputs, labels.scatter(1, drawn.positions, dealt))
        following = torch.full_like(labels, IGNORED)
        following[:, :-1] = drawn.inputs[:, 1:]
        return Examples(drawn.inputs, following.where(labels == IGNORED, labels))
