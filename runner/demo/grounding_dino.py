"""A tiny Grounding DINO with seeded random weights, in the folder format of the hub's grounding-dino-tiny.

Its boxes mean nothing, but there are a handful of them, of sensible size, and where they lie depends on the picture
and on the prompt. torch and transformers are imported inside the functions.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from . import filling, vocabulary

if TYPE_CHECKING:
    import torch

WIDTH = 32
QUERIES = 900

# Which of the queries report an object. Query n gets the n-th best place in the picture, and neighbours in rank are
# neighbours in the picture: wide steps spread the boxes.
_ACTIVE = (0, 150, 420)

# Channels set by hand. In the final features of text and picture: a constant, "this query is active" and "this token
# is a word". In the features of the picture alone, the constant tells real places from padding.
_CONSTANT, _ACTIVITY, _WORD = 0, 1, 2
# In logits: an active query's mean score, how far an inactive one's lies below it, and how far the score of [CLS],
# [SEP], "." and "?" below a word's. Then the factor on the random part, which depends on picture and prompt.
_ACTIVE_LOGIT, _GAP, _WORD_GAP, _SPREAD = -1.7, 12.0, 12.0, 0.2
# Added to the logits of a box's width and height: the smallest proposal, 0.05 of the picture, becomes 0.19.
_ENLARGE = 1.5
_NOT_WORDS = (vocabulary.START, vocabulary.END, vocabulary.FULL_STOP, vocabulary.QUESTION_MARK)

_IMAGE_PROCESSOR = {
    "do_convert_annotations": True,
    "do_normalize": True,
    "do_pad": True,
    "do_rescale": True,
    "do_resize": True,
    "format": "coco_detection",
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "GroundingDinoImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "processor_class": "GroundingDinoProcessor",
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    # Half of the real model's: the time goes with the square.
    "size": {"longest_edge": 666, "shortest_edge": 400},
}


def save(folder: Path) -> Path:
    """Write config.json, model.safetensors, preprocessor_config.json and the tokenizer to ``folder``; returns it."""
    from transformers import GroundingDinoForObjectDetection

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = GroundingDinoForObjectDetection(_configuration()).eval().requires_grad_(False)
    _fill(model)
    _shape_scores(model)
    model.save_pretrained(folder, safe_serialization=True)
    save_processor(folder, _IMAGE_PROCESSOR["size"])
    vocabulary.save(folder)
    return folder


def save_processor(folder: Path, size: dict[str, int]) -> None:
    """Write preprocessor_config.json of a model that gets its pictures at ``size``, in transformers' terms."""
    content = json.dumps(_IMAGE_PROCESSOR | {"size": size}, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(content, encoding="utf-8")


def _configuration():
    from transformers import BertConfig, GroundingDinoConfig, SwinConfig

    # Keyword by keyword what the hub's config.json says, only narrower. One decoder layer fails to build.
    return GroundingDinoConfig(
        backbone_config=SwinConfig(
            embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8], window_size=7, out_indices=[2, 3, 4]
        ),
        text_config=BertConfig(
            vocab_size=len(vocabulary.tokens()),
            hidden_size=WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=2 * WIDTH,
        ),
        d_model=WIDTH,
        encoder_layers=2,
        decoder_layers=2,
        encoder_ffn_dim=2 * WIDTH,
        decoder_ffn_dim=2 * WIDTH,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        num_queries=QUERIES,
    )


def _fill(model: "torch.nn.Module") -> None:
    # transformers' own initial values leave picture and text almost without effect. What it sets by formula (the
    # star of sampling offsets, tables of indices) stays.
    gains = {"out_proj.": 0.5, "output_proj.": 0.5, "fc2.": 0.5, "bbox_embed": 0.7}
    for name, tensor in model.named_parameters():
        if "sampling_offsets" in name or "attention_weights" in name:
            continue
        tensor.copy_(filling.value(name, tuple(tensor.shape), "grounding-dino", gains))
        if name.endswith(("vision_param", "text_param")):
            tensor.fill_(0.3)


def _shape_scores(model: "torch.nn.Module") -> None:
    """Make the queries of ``_ACTIVE``, and only those, score near 0.5 for any picture and any word."""
    inner = model.model
    _prefer_real_places(inner)
    _mark_words(inner)
    text_norm = inner.encoder.layers[-1].text_enhancer_layer.layer_norm_after
    for channel in (_CONSTANT, _ACTIVITY):
        _fix(text_norm, channel, 1.0)

    queries = inner.query_position_embeddings.weight
    queries[:, _ACTIVITY] = -2.0
    queries[list(_ACTIVE), _ACTIVITY] = 2.0
    for layer in inner.decoder.layers:
        attentions = layer.self_attn.out_proj, layer.encoder_attn_text.out_proj, layer.encoder_attn.output_proj
        _leave_alone(_ACTIVITY, *attentions, layer.fc2)

    final = inner.decoder.layer_norm
    final.weight.mul_(_SPREAD)
    _fix(final, _CONSTANT, _ACTIVE_LOGIT - _GAP / 2)
    final.weight[_ACTIVITY], final.bias[_ACTIVITY] = _GAP / 6, 0.0
    _fix(final, _WORD, _WORD_GAP / 6)
    # One head serves both decoder layers, each of which refines the boxes of the one before.
    model.bbox_embed[0].layers[-1].bias[2:] = _ENLARGE / len(inner.decoder.layers)


def _prefer_real_places(inner: "torch.nn.Module") -> None:
    # Padding enters ``enc_output`` as zeros, everything else with the constant.
    _fix(inner.encoder.layers[-1].deformable_layer.final_layer_norm, _CONSTANT, 1.0)
    inner.enc_output.bias.zero_()
    inner.enc_output.weight[_ACTIVITY] = 0.0
    inner.enc_output.weight[_ACTIVITY, _CONSTANT] = 6.0
    inner.enc_output_norm.bias.zero_()
    for channel in (_CONSTANT, _WORD):
        _fix(inner.enc_output_norm, channel, 0.0)


def _mark_words(inner: "torch.nn.Module") -> None:
    words = inner.text_backbone.embeddings.word_embeddings.weight
    words[:, _WORD] = 0.1
    words[list(_NOT_WORDS), _WORD] = -2.0
    for layer in inner.text_backbone.encoder.layer:
        _leave_alone(_WORD, layer.attention.output.dense, layer.output.dense)
    _leave_alone(_WORD, inner.text_projection)
    inner.text_projection.weight[_WORD, _WORD] = 1.0
    for layer in inner.encoder.layers:
        enhancer = layer.text_enhancer_layer
        _leave_alone(_WORD, layer.fusion_layer.attn.out_text_proj, enhancer.self_attn.out_proj, enhancer.fc2)


def _fix(norm: "torch.nn.Module", channel: int, constant: float) -> None:
    """Make ``channel`` of a normalisation's output ``constant``."""
    norm.weight[channel], norm.bias[channel] = 0.0, constant


def _leave_alone(channel: int, *closing: "torch.nn.Module") -> None:
    """Keep the residual branches that end in ``closing`` from writing to ``channel``."""
    for layer in closing:
        layer.weight[channel], layer.bias[channel] = 0.0, 0.0
