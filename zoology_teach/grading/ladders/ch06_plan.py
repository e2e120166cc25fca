"""The ladder of 06.e: the plan of a cell that nobody has measured, and what it will answer."""

import torch

from zoology_teach.grading.ladder import Call, Exercise
from zoology_teach.grading.measured_cells import accuracy_between, seconds_between
from zoology_teach.grading.plans import (
    FACTOR,
    TOLERANCE,
    cell_in,
    interval_in,
    new_cell_in,
    planned,
)

E = Exercise("06.e", "design_cell", "Design a cell", minutes=30, difficulty=2, report="06.f")
EXERCISES = [E]
ALL_PAIRS = range(3, 9)  # that a plan is asked for


@E.rung("a plan", 1, "Return a dict with the six numbers that the text names.")
def _(call: Call, generator: torch.Generator) -> None:
    planned(call, 4, 60)


@E.rung("a cell between the measured ones", 1, "Only between measured cells can one be read off.")
def _(call: Call, generator: torch.Generator) -> None:
    for pairs in ALL_PAIRS:
        for seconds in (20, 120):
            cell_in(planned(call, pairs, seconds), pairs)


@E.rung("a new cell", 1, "What the book has measured is no prediction: choose another d or N.")
def _(call: Call, generator: torch.Generator) -> None:
    for pairs in ALL_PAIRS:
        new_cell_in(planned(call, pairs, 60), pairs)


@E.rung("what a seed costs", 1, "Read the seconds of one training off the table of costs.")
def _(call: Call, generator: torch.Generator) -> None:
    for pairs in ALL_PAIRS:
        plan = planned(call, pairs, 60)
        d, n, _ = new_cell_in(plan, pairs)
        cost, said = seconds_between(d, n), plan["seconds_each"]
        is_near = cost / FACTOR <= said <= cost * FACTOR
        assert is_near, f"d = {d}, N = {n} takes about {cost:.1f} s, you say {said:.3g} s"


@E.rung("what the budget pays", 2, "Plan all the seeds that the seconds pay for, at least three.")
def _(call: Call, generator: torch.Generator) -> None:
    drawn = torch.randint(20, 121, (2,), generator=generator).tolist()
    for pairs in ALL_PAIRS:
        for seconds in (20, *drawn, 120):
            plan = planned(call, pairs, seconds)
            new_cell_in(plan, pairs)
            seeds, each = plan["seeds"], plan["seconds_each"]
            assert each > 0, f"a seed for {each:g} s"
            assert seeds == int(seeds), f"{seeds:g} seeds is no whole number"
            bill = f"{seeds:g} seeds of {each:.3g} s take {seeds * each:.3g} s of {seconds}"
            assert seeds * each <= seconds * (1 + 1e-6), bill
            assert (seeds + 1) * each > seconds * (1 - 1e-6), f"{bill}: one more fits"
            assert seeds >= 3, f"{bill}: choose a cell that costs less"


@E.rung("it can be wrong", 1, "A wide interval, or one near 0 or 1, says nothing about the cell.")
def _(call: Call, generator: torch.Generator) -> None:
    for pairs in ALL_PAIRS:
        plan = planned(call, pairs, 60)
        new_cell_in(plan, pairs)
        interval_in(plan)


@E.rung("what the table says", 3, "The measured cells around yours say something else.")
def _(call: Call, generator: torch.Generator) -> None:
    for pairs in ALL_PAIRS:
        for seconds in (20, 120):
            plan = planned(call, pairs, seconds)
            d, n, k = new_cell_in(plan, pairs)
            low, high = interval_in(plan)
            a = accuracy_between(d, n, k)
            said = f"d = {d}, N = {n}, K = {k} reads {a:.2f}, you expect {low:g} to {high:g}"
            assert low - TOLERANCE <= a <= high + TOLERANCE, said
