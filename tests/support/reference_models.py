"""A ComfyUI models folder for the workflows with a reference: seeded weights under the names that they use."""

from pathlib import Path

from support import complex_models, seeded_ip_adapter

IP_ADAPTER = "ip-adapter-plus_sd15.safetensors"
CLIP_VISION = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"


def models_folder(root: Path, seeded: Path) -> Path:
    """Complex Edit's (``complex_models``) with an IP-Adapter and its image encoder beside, in ``root``; returns it.

    The encoder is a ViT-L, whatever its file's name says, and the adapter made for one.
    """
    import torch
    from imageine.runner.demo import filling
    from safetensors.torch import save_file

    folder = complex_models.models_folder(root, seeded)
    encoder = seeded_ip_adapter.VIT_L
    channels = seeded_ip_adapter.widths("lite")
    adapter = seeded_ip_adapter.nested(channels, "plus", embed=encoder["hidden_size"])
    seeded_ip_adapter.save(folder / "ipadapter" / IP_ADAPTER, adapter)
    tensors = {name: tensor.to(torch.float16) for name, tensor in seeded_ip_adapter.vision(config=encoder).items()}
    path = folder / "clip_vision" / CLIP_VISION
    path.parent.mkdir()
    save_file(tensors, path)
    filling.forget_noise()
    return folder
