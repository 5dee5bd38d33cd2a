"""diffusers' IP-Adapters on ComfyUI's files: diffusers_oracle.py with reference images."""

import torch
from support import seeded_ip_adapter
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection


def image_encoder() -> CLIPVisionModelWithProjection:
    """The seeded image encoder in transformers' own class."""
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**seeded_ip_adapter.VISION))
    missing, unexpected = model.load_state_dict(seeded_ip_adapter.vision(), strict=False)
    assert not unexpected and all(name.endswith("position_ids") for name in missing)
    return model.eval()


def load(pipeline, adapters: list[dict]) -> None:
    """Load ``adapters`` (``seeded_ip_adapter.nested``) in place of what ``pipeline`` had; none leaves it plain."""
    if pipeline.unet.encoder_hid_proj is not None:
        encoder = pipeline.image_encoder
        pipeline.unload_ip_adapter()
        pipeline.register_modules(image_encoder=encoder)
    if adapters:
        none = [""] * len(adapters)
        pipeline.load_ip_adapter(adapters, subfolder=none, weight_name=none, image_encoder_folder=None)


def options(pipeline, given: dict, job: dict, region: torch.Tensor) -> dict:
    """What the pipeline's call needs for the adapters of ``job`` (``sampling_cases``); sets the scales.

    Ranges count steps here and share the noise schedule there; both are the same steps where "normal" spaces them
    evenly.
    """
    chosen = job["adapters"]
    steps = job["steps"]

    def scales(step: int) -> list[float]:
        def acts(one: dict) -> bool:
            return one.get("start_percent", 0.0) <= step / (steps - 1) <= one.get("end_percent", 1.0)

        return [one["weight"] if acts(one) else 0.0 for one in chosen]

    def next_scales(pipe, step: int, timestep, tensors: dict) -> dict:
        pipe.set_ip_adapter_scale(scales(step + 1))
        return tensors

    pipeline.set_ip_adapter_scale(scales(0))
    found = {
        "ip_adapter_image": [given["reference_pixels"][: one["images"]] for one in chosen],
        "callback_on_step_end": next_scales,
    }
    if any(one["masked"] for one in chosen):
        masks = [region[:, None] if one["masked"] else torch.ones_like(region)[:, None] for one in chosen]
        found["cross_attention_kwargs"] = {"ip_adapter_masks": masks}
    return found
