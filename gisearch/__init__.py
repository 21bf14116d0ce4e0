"""gisearch: which gene-interaction model, in which configuration, is really the best, and why?"""

__version__ = "0.1.0"
