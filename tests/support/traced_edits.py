"""An edit of the astronaut's suit through the runner, with a note of the nodes that ran: for live tests."""

import numpy as np
from imageine.runner import edit
from imageine.runner.client.events import NodeStarted
from PIL import Image, ImageDraw
from support import comfyui

# Sampling a small crop in few steps: what is tested is the path, and 512 pixels cost 16 times as much on a CPU.
QUICK = {"width": 128, "height": 128}


def run(client, photo, workflow: str, *, settings: dict | None = None, **options):
    """(the result, the classes of the nodes that ran), on a server that has kept nothing."""
    comfyui.forget(client)
    started = []
    result = edit(
        photo, "put her in a navy suit", client=client, workflow=workflow, seed=1, steps=2,
        settings=QUICK | (settings or {}), **options,
        on_event=lambda event: started.append(event.node_id) if isinstance(event, NodeStarted) else None,
    )  # fmt: skip
    graph = result.metadata["prompt"]
    return result, [graph[node]["class_type"] for node in started if node in graph]


def suit() -> Image.Image:
    """The astronaut's suit as a mask, painted roughly."""
    mask = Image.new("L", (512, 512))
    ImageDraw.Draw(mask).rectangle((90, 200, 350, 500), fill=255)
    return mask


def pixels(image: Image.Image) -> np.ndarray:
    """``[H,W,3]`` in whole numbers that can be subtracted."""
    return np.asarray(image.convert("RGB"), dtype=np.int16)
