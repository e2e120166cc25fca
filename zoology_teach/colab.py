"""The first cell that a chapter gets where it is opened in Colab; the notebook here lacks it."""

import re

from zoology_teach.checks import require

# Colab's own PyTorch stays: another would take minutes, and need a restart.
CELL = """\
# Colab: fetch the book, install its library beside Colab's PyTorch, go where the chapters run.
import os
from importlib.metadata import version

if os.path.basename(os.getcwd()) != "book":
    !git clone --quiet --depth 1 {repository} zoology_book
    with open("colabs_torch.txt", "w") as file:
        print("torch==" + version("torch"), file=file)
    !pip install --quiet --constraint colabs_torch.txt ./zoology_book
    %cd -q zoology_book/book"""


def first_cell(repository: str) -> str:
    """The cell, for a book that is cloned from the address `repository`.

    Raises ValueError for what is no such address, or means more to a shell.
    """
    is_address = re.fullmatch(r"(https|file)://[\w.~/+-]+", repository) is not None
    require(is_address, "repository", repository, "an address, such as https://host/owner/name")
    return CELL.replace("{repository}", repository)
