"""A moment at which every training of this process ends between two updates, nothing lost.

A cluster or a lent machine gives a job so many minutes. An interrupt may come in the middle of
an update, so a training that it ends goes on from its last checkpoint; one that reaches this
moment writes a checkpoint first.
"""

import math
import time

_moment = math.inf


def stop_at(moment: float) -> None:
    """Trainings end at `moment`, a value of `time.time`; math.inf takes the limit away.

    After it a training does one update and ends. Of one process: under torchrun no process must
    have a limit.
    """
    global _moment
    _moment = moment


def is_reached() -> bool:
    """Whether the moment has come."""
    return time.time() >= _moment
