"""Imageine: edit a photo by text, as ComfyUI nodes and as a headless runner.

ComfyUI imports this file at start-up and so does ``import imageine.runner``; it therefore needs the
standard library alone. Nodes are imported inside the entrypoint.
"""

__version__ = "0.1.0"

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Return the node extension; called by ComfyUI once at start-up."""
    try:
        from .nodes.extension import ImageineExtension
    except Exception:
        import logging  # here: the command line starts without it

        # ComfyUI logs only "Error while calling comfy_entrypoint", without the traceback.
        logging.exception("Imageine: its nodes could not be imported")
        raise
    return ImageineExtension()
