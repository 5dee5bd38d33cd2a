"""Which tokens of a text see each other, and at which positions they stand: the same on every transformers.

Grounding DINO reads each phrase by itself: attention stays inside a phrase and its full stop, and positions start
anew after it. transformers has got both wrong in turn: 5.0 to 5.3 (at least) give the full stop position 0, and the
"eager" attention of 5.x adds the mask's True as a one instead of hiding the rest. Other boxes come out.
"""

import torch

# [CLS], [SEP], "." and "?" in BERT's vocabulary, by number as in the model's own code.
DELIMITERS = frozenset((101, 102, 1012, 1029))


def phrase_blocks(token_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For ``token_ids`` ``[batch, tokens]``: who sees whom, ``[batch, tokens, tokens]`` bool, and the positions.

    A delimiter ends its block and belongs to it. Positions are ``[batch, tokens]`` int64.
    """
    blocks, positions = [], []
    for row in token_ids.tolist():
        block, start = 0, 0
        row_blocks, row_positions = [], []
        for at, token in enumerate(row):
            row_blocks.append(block)
            row_positions.append(at - start)
            if token in DELIMITERS:
                block, start = block + 1, at + 1
        blocks.append(row_blocks)
        positions.append(row_positions)
    numbered = torch.tensor(blocks, device=token_ids.device)
    return numbered[:, :, None] == numbered[:, None, :], torch.tensor(positions, device=token_ids.device)


def use_phrase_blocks(model: torch.nn.Module) -> None:
    """Make a ``GroundingDinoForObjectDetection`` read its texts by ``phrase_blocks``, whatever its release does."""
    current: dict[str, torch.Tensor] = {}

    def text_backbone(module, args, kwargs):
        token_ids, _, token_types, _ = args
        current["sees"], current["positions"] = phrase_blocks(token_ids)
        # An ordinary mask: the releases disagree on what a text encoder makes of any other.
        return (token_ids, torch.ones_like(token_ids), token_types, current["positions"]), kwargs

    def text_encoder(module, args, kwargs):
        hidden = ~current["sees"][:, None]
        mask = torch.zeros(hidden.shape, dtype=args[0].dtype, device=args[0].device)
        return args, {**kwargs, "attention_mask": mask.masked_fill(hidden, torch.finfo(mask.dtype).min)}

    def encoder(module, args, kwargs):
        # Here True hides.
        blocks = {"text_self_attention_masks": ~current.pop("sees"), "text_position_ids": current.pop("positions")}
        return args, {**kwargs, **blocks}

    inner = model.model
    inner.text_backbone.register_forward_pre_hook(text_backbone, with_kwargs=True)
    inner.text_backbone.encoder.register_forward_pre_hook(text_encoder, with_kwargs=True)
    inner.encoder.register_forward_pre_hook(encoder, with_kwargs=True)
