"""Run in a process of its own by test_transformers_versions: detect with whatever transformers PYTHONPATH gives.

Arguments: the model's folder, an image batch (.npy), the file for the result (JSON), and the prompts.
"""

import json
import socket
import sys
from pathlib import Path


def blocked(*given, **named):
    raise RuntimeError("the network was used")


def main(folder: str, image: str, result: str, *prompts: str) -> None:
    socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = blocked
    import numpy as np
    import torch
    import transformers
    from imageine.nodes.algorithms import grounding_dino

    torch.set_num_threads(1)
    images = torch.from_numpy(np.load(image))
    detector = grounding_dino.load(Path(folder))
    frames = [grounding_dino.detect(detector, images, prompt, 0.2, 0.25) for prompt in prompts]
    # The rest of the process is the same: both versions stand on this very torch.
    Path(result).write_text(json.dumps({"version": transformers.__version__, "frames": frames}))


if __name__ == "__main__":
    main(*sys.argv[1:])
