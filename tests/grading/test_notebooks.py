"""Code cells out of whatever is handed in as a script or as Markdown."""

import json
import time

import pytest

from zoology_teach.grading.notebooks import code_cells

NBCONVERT = """#!/usr/bin/env python
# coding: utf-8

# # Write the task

# In[3]:


import torch


# In[ ]:


scratch = = 1


# In[12]:


def answers(inputs):
    # In[3] it was otherwise
    return inputs
"""
DATABRICKS = """# Databricks notebook source
import torch

# COMMAND ----------

# MAGIC %md
# MAGIC # A title

# COMMAND ----------

# DBTITLE 1,Timed
# MAGIC %%time
# MAGIC def answers(inputs):
# MAGIC     return inputs

# COMMAND ----------

# MAGIC %python
# MAGIC one = 1

# COMMAND ----------

# MAGIC %sql
# MAGIC select 1
"""


def stripped(text: str, name: str = "x.py") -> list[str]:
    return [cell.strip() for cell in code_cells(text.encode(), name)]


def test_each_part_of_a_script_by_nbconvert_is_a_cell():
    cells = stripped(NBCONVERT)
    assert cells[:2] == ["import torch", "scratch = = 1"]
    assert cells[2].startswith("def answers") and len(cells) == 3


def test_a_script_of_databricks_is_read_as_its_notebook_was():
    first, timed, python = stripped(DATABRICKS)
    assert first.endswith("import torch")
    assert timed == "%%time\ndef answers(inputs):\n    return inputs"
    assert python == "one = 1"


def test_comments_of_an_ordinary_script_stay_comments():
    script = "# MAGIC numbers\none = 1\n# COMMAND ----------\ntwo = 2"
    assert stripped(script) == [script]


def test_percent_and_light_marks():
    assert stripped("one = 1\n# %% [markdown]\n# text\n#%%\ntwo = 2\n# - no mark") == [
        "one = 1",
        "two = 2\n# - no mark",
    ]
    assert stripped("# + tags\none = 1\n# -\ntwo = 2") == ["one = 1", "two = 2"]


@pytest.mark.parametrize("name", ["hw.ipynb", "hw.ipynb.json", "hw.py", "hw.md"])
def test_a_notebook_is_one_whatever_its_name(name):
    notebook = {"metadata": {}, "cells": [{"cell_type": "code", "source": "one = 1"}]}
    assert stripped(json.dumps(notebook, indent=1), name) == ["one = 1"]


@pytest.mark.parametrize("options", [":tags: []\n", "---\n", ":tags:\n\n", "---\n---\n"])
def test_reading_options_takes_time_in_proportion(options):
    text = "```{code-cell} python\n" + options * (4_000_000 // len(options)) + "one = 1\n```\n"
    begun = time.process_time()
    try:
        code_cells(text.encode(), "x.md")
    except ValueError as error:
        assert "more than 1,000,000 characters" in str(error)
    assert time.process_time() - begun < 20
