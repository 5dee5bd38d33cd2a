"""Boxes, labels and messages drawn on pictures."""

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from .boxes import as_frames, clipped
from .pixels import to_rgb

_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#42d4f4", "#f032e6", "#bfef45", "#ffe119", "#469990")
