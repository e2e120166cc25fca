"""Exercises: their ladders, the notebooks that students get, the grader, its pages."""

from zoology_teach.grading.check import check

__all__ = ["check"]
