"""Why do efficient language models forget what they have just read?

The library behind the book. Data flows one way:
tasks -> model(mixers) -> train -> sweep -> results -> plots, widgets -> chapters.
"""

__version__ = "0.1.0"
