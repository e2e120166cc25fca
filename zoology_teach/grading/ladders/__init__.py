"""All graded exercises by id. A chapter's ladders are the modules chNN… beside this file."""

import importlib
import pkgutil

from zoology_teach.grading.ladder import Exercise

EXERCISES: dict[str, Exercise] = {
    exercise.id: exercise
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__))
    for exercise in importlib.import_module(f"{__name__}.{module}").EXERCISES
}
