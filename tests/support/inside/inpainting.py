"""Crop for Inpaint and Stitch Inpaint inside ComfyUI, between its own conditioning node and sampler helpers."""

import folder_paths
import torch
from imageine.nodes import inpainting

import nodes


class GreyingVae:
    """Keeps what it is given to encode; its latents are the means of 8 × 8 pixels."""

    def __init__(self):
        self.seen = []

    def encode(self, pixels):
        self.seen.append(pixels.clone())
        return torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8)


def main() -> dict:
    torch.set_num_threads(1)
    with torch.inference_mode():  # as the executor runs nodes
        return {
            "schema": {node.GET_SCHEMA().node_id: schema(node) for node in NODES},
            "conditioning": conditioning(),
            "previews": previews(),
        }


NODES = (inpainting.CropForInpaint, inpainting.StitchInpaint)


def schema(node) -> dict:
    definition = node.GET_SCHEMA()
    return {
        "display_name": definition.display_name,
        "category": definition.category,
        "inputs": [item.id for item in definition.inputs],
        "shown": [item.id for item in definition.inputs if not getattr(item, "advanced", None)],
        "outputs": [item.get_io_type() for item in definition.outputs],
        "output_names": [item.display_name for item in definition.outputs],
        "silent": [item.id for item in (*definition.inputs, *definition.outputs) if not item.tooltip],
        "described": bool(definition.description and definition.search_aliases),
    }


def cut(image, mask, **options):
    defaults = {item.id: item.default for item in inpainting.CropForInpaint.GET_SCHEMA().inputs[2:]}
    return inpainting.CropForInpaint.execute(image, mask, **{**defaults, **options})


def conditioning() -> dict:
    """A mask off the latent grid, as InpaintModelConditioning and the sampler see it."""
    from comfy.sampler_helpers import prepare_mask

    mask = torch.zeros(1, 300, 300)
    mask[:, 101:133, 90] = 1  # one pixel wide
    mask[:, 150:199, 120:203] = 0.3
    crops, sampled = cut(torch.ones(1, 300, 300, 3), mask).args[1:]
    vae = GreyingVae()
    *_, latent = nodes.InpaintModelConditioning().encode([], [], crops, vae, sampled)
    grey = vae.seen[0][..., 0] == 0.5
    cells = prepare_mask(latent["noise_mask"], latent["samples"].shape, "cpu")[:, 0]
    return {
        "latent values": sorted(set(cells.unique().tolist())),
        "grey is sampled": torch.equal(grey, cells.repeat_interleave(8, 1).repeat_interleave(8, 2) == 1),
        "sampled": cells.mean().item(),
    }


def previews() -> dict:
    image, mask = torch.rand(10, 60, 60, 3), torch.zeros(10, 60, 60)
    empty = cut(image, mask).ui
    mask[:, 20:40, 20:40] = 1
    full = cut(image, mask, width=64, height=64).ui
    folder = folder_paths.get_temp_directory()
    return {
        "empty": empty["text"],
        "full": full["text"],
        "images": len(full["images"]),
        "in temp": all(item["type"] == "temp" for item in full["images"]) and bool(folder),
    }
