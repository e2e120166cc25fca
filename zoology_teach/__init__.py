"""Why do efficient language models forget what they have just read?

The library behind the book. Data flows one way:
tasks -> model(mixers(kernels)) -> training -> experiments -> plots, widgets -> chapters.
"""

__version__ = "0.2.0"
