"""Multi-scale deformable attention in plain torch, in place of whatever transformers would run."""

import torch


def use_torch_attention(model: torch.nn.Module) -> None:
    """Make every deformable attention inside ``model`` run ``deformable_attention``.

    With the `kernels` package installed, some transformers releases fetch a compiled kernel from the network at
    the first call on a GPU. Set on the instances, this wins over the class whichever release it is.
    """
    for module in model.modules():
        if type(module).__name__ == "MultiScaleDeformableAttention":
            module.forward = deformable_attention


def deformable_attention(
    value: torch.Tensor,
    value_spatial_shapes: torch.Tensor,
    value_spatial_shapes_list: list[tuple[int, int]],
    level_start_index: torch.Tensor,
    sampling_locations: torch.Tensor,
    attention_weights: torch.Tensor,
    im2col_step: int,
) -> torch.Tensor:
    """Weighted samples ``[batch, queries, heads * dim]`` of feature maps of several sizes.

    ``value`` ``[batch, sum of h*w, heads, dim]`` holds the maps of ``value_spatial_shapes_list`` one after the
    other; ``sampling_locations`` ``[batch, queries, heads, levels, points, 2]`` are x and y in 0..1 and
    ``attention_weights`` the same without the last axis. The rest is what compiled kernels take. Level by level,
    so that the largest temporary is a quarter of what stacking all four levels needs.
    """
    batch, _, heads, dim = value.shape
    queries, points = sampling_locations.shape[1], sampling_locations.shape[4]
    total = value.new_zeros(batch * heads, dim, queries)
    start = 0
    for level, (height, width) in enumerate(value_spatial_shapes_list):
        maps = value[:, start : start + height * width].permute(0, 2, 3, 1).reshape(batch * heads, dim, height, width)
        grid = (2 * sampling_locations[:, :, :, level] - 1).transpose(1, 2).flatten(0, 1)
        weights = attention_weights[:, :, :, level].transpose(1, 2).reshape(batch * heads, 1, queries, points)
        samples = torch.nn.functional.grid_sample(maps, grid, padding_mode="zeros", align_corners=False)
        total = total + (samples * weights).sum(-1)
        start += height * width
    return total.view(batch, heads * dim, queries).transpose(1, 2).contiguous()
