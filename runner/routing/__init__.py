"""The router from the command line: many wishes at once, and how often it is right."""

from .batch import read_batch
from .evaluate import PARTS, Evaluation, evaluate, load_wishes

__all__ = ["PARTS", "Evaluation", "evaluate", "load_wishes", "read_batch"]
