"""Masks against transformers' own processor, model and post-processing on the same weights."""

import pytest
import torch
from support import tiny_segment_anything as tiny
from support.detectors import photo

transformers = pytest.importorskip("transformers")

from imageine.nodes.algorithms import segment_anything  # noqa: E402

needs_sam2 = pytest.mark.skipif(not hasattr(transformers, "Sam2Model"), reason="transformers without SAM 2")
GENERATIONS = [pytest.param(1, id="sam"), pytest.param(2, id="sam2", marks=needs_sam2)]
# Height, width and corners of the boxes, in shares of the picture.
CORNERS = [(0.1, 0.1, 0.5, 0.6), (0.3, 0.25, 0.9, 0.95), (0.0, 0.0, 1.0, 1.0), (0.62, 0.4, 0.66, 0.47)]


pytestmark = pytest.mark.usefixtures("one_thread")


def boxes_for(image):
    height, width = image.shape[1:3]
    sides = (width, height, width, height)
    return [[share * side for share, side in zip(corner, sides, strict=True)] for corner in CORNERS]


def reference_masks(folder, generation, image, corners):
    """What transformers' documentation does: processor, model, post_process_masks. bool [boxes,H,W]."""
    if generation == 1:
        model = transformers.SamModel.from_pretrained(folder, local_files_only=True)
        images = transformers.SamImageProcessor.from_pretrained(folder, local_files_only=True)
        processor = transformers.SamProcessor(images)
    else:
        model = transformers.Sam2Model.from_pretrained(folder, local_files_only=True)
        kind = getattr(transformers, "Sam2ImageProcessor", None) or transformers.Sam2ImageProcessorFast
        images = kind.from_pretrained(folder, local_files_only=True)
        processor = transformers.Sam2Processor(images, target_size=128)
    pixels = image[0].mul(255).round().to(torch.uint8).numpy()
    inputs = processor(images=pixels, input_boxes=[corners], return_tensors="pt").to(torch.float32)
    sizes = [inputs.pop(name) for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
    with torch.inference_mode():
        outputs = model.eval()(**inputs, multimask_output=False)
    masks = processor.post_process_masks(outputs.pred_masks, *(sizes if generation == 1 else sizes[:1]))
    return masks[0][:, 0]


@pytest.mark.skipif(
    transformers.__version__.startswith("4.56."), reason="transformers 4.56 forgets the padding point of a box"
)
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_masks_are_those_of_transformers(generation, name, figures):
    image = photo(name)
    corners = boxes_for(image)
    expected = reference_masks(tiny.template(generation), generation, image, corners)
    boxes = [{"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1} for x1, y1, x2, y2 in corners]
    (found,) = segment_anything.object_masks(tiny.shared(generation), image, boxes)
    assert found.shape == expected.shape and bool(expected.any()) and not bool(expected.all())
    differ = float((found != expected).float().mean())
    figures(f"SAM {generation}, {name}: {differ:.1e} of the pixels differ from transformers' own masks")
    # Its processor resizes 8-bit pictures in integers, ours in floats: a pixel on the very edge may fall over.
    assert differ < 1e-3


@needs_sam2
def test_a_real_sam2_video_folder_gives_the_image_models_masks(tmp_path):
    """The published sam2.1 folders hold the video model, memory and all."""
    image_model = transformers.Sam2Model.from_pretrained(tiny.template(2), local_files_only=True)
    parts = tiny.sam2_config()
    config = transformers.Sam2VideoConfig(
        vision_config=parts.vision_config,
        prompt_encoder_config={**parts.prompt_encoder_config.to_dict(), "model_type": "sam2_video_prompt_encoder"},
        mask_decoder_config={**parts.mask_decoder_config.to_dict(), "model_type": "sam2_video_mask_decoder"},
        image_size=128,
        memory_attention_hidden_size=32,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_encoder_hidden_size=32,
        memory_encoder_output_channels=16,
        mask_downsampler_embed_dim=32,
        memory_fuser_embed_dim=32,
        memory_fuser_intermediate_dim=32,
        memory_attention_rope_feat_sizes=[8, 8],
    )
    video_model = transformers.Sam2VideoModel(config)
    unexpected = video_model.load_state_dict(image_model.state_dict(), strict=False).unexpected_keys
    assert not unexpected
    video_model.save_pretrained(tmp_path, safe_serialization=True)

    image = photo()
    box = {"x": 100, "y": 50, "width": 300, "height": 350}
    (found,) = segment_anything.object_masks(segment_anything.load(tmp_path), image, box)
    (expected,) = segment_anything.object_masks(tiny.shared(2), image, box)
    assert torch.equal(found, expected)
