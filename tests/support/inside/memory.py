"""What is left on the device after ComfyUI's unload_all_models()."""

import gc
import weakref

import comfy.model_management as management
import torch

import nodes  # noqa: F401


def main(detector_name: str, sam_name: str) -> dict:
    from imageine.nodes import folders
    from imageine.nodes.detection import LoadGroundingDino
    from imageine.nodes.masking import LoadSegmentAnything

    folders.register()
    torch.set_num_threads(2)
    device = management.get_torch_device()
    image = torch.rand(1, 96, 128, 3, generator=torch.Generator().manual_seed(0))
    at_start = allocated(device)
    detector = LoadGroundingDino.execute(detector_name).result[0]
    sam = LoadSegmentAnything.execute(sam_name).result[0]

    first = find(detector, sam, image)
    patchers = [detector.managed.patcher, sam.managed.patcher]
    ours = [any(loaded.model is patcher for loaded in management.current_loaded_models) for patcher in patchers]
    on_device = devices(patchers)
    management.unload_all_models()
    management.soft_empty_cache()
    report = {
        "device": str(device),
        "loaded_before": ours,
        "devices_loaded": on_device,
        "loaded_after": len(management.current_loaded_models),
        "devices_after": devices(patchers),
        "bytes_after": allocated(device) - at_start,
        "same_again": bool(torch.equal(first, find(detector, sam, image))),
        "mask_is_empty": not bool(first.any()),
    }
    references = [weakref.ref(patcher.model) for patcher in patchers]
    management.unload_all_models()
    del detector, sam, patchers
    gc.collect()
    return report | {"still_alive": sum(reference() is not None for reference in references)}


def find(detector, sam, image: torch.Tensor) -> torch.Tensor:
    """The mask of Mask by Text, with the defaults that the executor would fill in."""
    from imageine.nodes.masking import MaskByText

    defaults = {item.id: getattr(item, "default", None) for item in MaskByText.GET_SCHEMA().inputs}
    given = {"detector": detector, "sam": sam, "image": image, "prompt": "cup", "box_threshold": 0.05, "max_boxes": 2}
    with torch.inference_mode():
        inputs = {name: value for name, value in (defaults | given).items() if value is not None}
        return MaskByText.execute(**inputs).result[0].cpu()


def devices(patchers) -> list[str]:
    """Where the weights and buffers of our models are."""
    tensors = [tensor for patcher in patchers for tensor in patcher.model.state_dict().values()]
    return sorted({tensor.device.type for tensor in tensors})


def allocated(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
