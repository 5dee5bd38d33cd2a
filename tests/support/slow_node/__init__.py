"""A ComfyUI extension for tests: a node that takes its time, with steps and a chance to interrupt it."""

import threading

import comfy.utils


class TestWait:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",), "steps": ("INT", {"default": 1, "min": 1, "max": 10_000})}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "wait"
    CATEGORY = "tests"

    def wait(self, images, steps):
        bar = comfy.utils.ProgressBar(steps)
        for _ in range(steps):
            threading.Event().wait(0.05)
            bar.update(1)
        return (images,)


NODE_CLASS_MAPPINGS = {"TestWait": TestWait}
