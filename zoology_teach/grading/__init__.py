"""Exercises: ladders of small checks, and the notebooks that students get."""

from zoology_teach.grading.check import check

__all__ = ["check"]
