"""The losses that the finder is trained with.

transformers' own Grounding DINO loss gives phrases to the wrong tokens and leaves the encoder's head without a
gradient. Here every query is matched to one thing (Carion et al., End-to-End Object Detection with Transformers,
2020), the encoder's cells to the thing they lie in, and all tokens of a phrase are positive if and only if the whole
phrase names the thing.
"""

from collections.abc import Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional

CLASS, EDGES, OVERLAP = 2.0, 5.0, 2.0  # weights of the three parts
_ALPHA, _GAMMA = 0.25, 2.0  # of the focal loss
_HIDDEN = -20.0  # the logit of padding
# Distance from a thing's middle, of its size: a cell nearer than the first belongs to it, the next are not judged.
_INSIDE, _UNDECIDED = 0.2, 0.35


def focal(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The sum of the sigmoid focal loss (Lin et al., Focal Loss for Dense Object Detection, 2017)."""
    scores = logits.sigmoid()
    right = torch.where(targets > 0, scores, 1 - scores)
    balance = torch.where(targets > 0, _ALPHA, 1 - _ALPHA)
    plain = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (plain * (1 - right) ** _GAMMA * balance * weights).sum()


def generalised_iou(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Of boxes as centre and size, -1..1 (Rezatofighi et al., Generalized Intersection over Union, 2019)."""
    one, other = _corners(one), _corners(other)
    shared = _area(torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:]))
    hull = _area(torch.minimum(one[..., :2], other[..., :2]), torch.maximum(one[..., 2:], other[..., 2:])) + 1e-7
    union = _area(one[..., :2], one[..., 2:]) + _area(other[..., :2], other[..., 2:]) - shared + 1e-7
    return shared / union - (hull - union) / hull


def set_loss(
    logits: torch.Tensor, boxes: torch.Tensor, mask: torch.Tensor, things: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> torch.Tensor:
    """Of queries: ``logits`` ``[B,Q,T]``, ``boxes`` ``[B,Q,4]``; ``mask`` ``[B,T]`` bool, where there is text.

    ``things``: per picture the boxes ``[n,4]`` of the named things, and the tokens ``[n,T]`` that name each.
    """
    logits = logits.masked_fill(~mask[:, None], _HIDDEN)
    targets = torch.zeros_like(logits)
    pictures, queries, wanted = [], [], []
    for picture, (edges, tokens) in enumerate(things):
        if len(edges):
            with torch.no_grad():
                rows, columns = _match(logits[picture], boxes[picture], edges, tokens)
            targets[picture, rows] = tokens[columns]
            pictures.append(torch.full_like(rows, picture))
            queries.append(rows)
            wanted.append(edges[columns])
    weights = mask[:, None].float().expand_as(logits)
    if not wanted:
        return CLASS * focal(logits, targets, weights)
    found = boxes[torch.cat(pictures), torch.cat(queries)]
    return _total(focal(logits, targets, weights), found, torch.cat(wanted))


def dense_loss(
    logits: torch.Tensor,
    boxes: torch.Tensor,
    mask: torch.Tensor,
    things: Sequence[tuple[torch.Tensor, torch.Tensor]],
    grid: tuple[int, int],
) -> torch.Tensor:
    """Of the encoder's cells, ``grid`` (rows, columns) of them; the rest as in ``set_loss``."""
    logits = logits.masked_fill(~mask[:, None], _HIDDEN)
    targets, weights = torch.zeros_like(logits), mask[:, None].float().repeat(1, logits.shape[1], 1)
    pictures, cells, wanted = [], [], []
    for picture, (edges, tokens) in enumerate(things):
        inside, undecided = cells_of(edges, grid)
        for thing in range(len(edges)):
            chosen = inside[thing].nonzero()[:, 0]
            targets[picture, chosen] = tokens[thing]
            weights[picture, undecided[thing]] *= 1 - tokens[thing]
            pictures.append(torch.full_like(chosen, picture))
            cells.append(chosen)
            wanted.append(edges[thing].expand(len(chosen), 4))
    if not wanted:
        return CLASS * focal(logits, targets, weights)
    found = boxes[torch.cat(pictures), torch.cat(cells)]
    return _total(focal(logits, targets, weights), found, torch.cat(wanted))


def kind_loss(
    logits: torch.Tensor, kinds: Sequence[torch.Tensor], boxes: Sequence[torch.Tensor], parts: tuple[int, int]
) -> torch.Tensor:
    """Of the backbone's cells: which colour and which shape is there, without any text.

    ``logits`` ``[B,parts,rows,columns]``: after ``parts[0]`` colours and ``parts[1]`` shapes one for "nothing here".
    ``kinds`` and ``boxes``: per picture the numbers ``[n,2]`` and the boxes ``[n,4]`` of all things.
    """
    grid = logits.shape[2:]
    colour, shape, empty = logits.flatten(2).transpose(1, 2).split([*parts, 1], dim=2)
    occupied = torch.zeros(empty.shape[:2])
    judged = torch.ones(empty.shape[:2])
    pictures, cells, wanted = [], [], []
    for picture, (numbers, edges) in enumerate(zip(kinds, boxes, strict=True)):
        inside, undecided = cells_of(edges, grid, 0.7)
        judged[picture, undecided.any(0)] = 0
        for thing in range(len(edges)):
            chosen = inside[thing].nonzero()[:, 0]
            occupied[picture, chosen], judged[picture, chosen] = 1, 1
            pictures.append(torch.full_like(chosen, picture))
            cells.append(chosen)
            wanted.append(numbers[thing].expand(len(chosen), 2))
    there = functional.binary_cross_entropy_with_logits(empty[..., 0], 1 - occupied, reduction="none")
    loss = (there * judged).mean()
    if not wanted:
        return loss
    at, right = (torch.cat(pictures), torch.cat(cells)), torch.cat(wanted)
    return loss + functional.cross_entropy(colour[at], right[:, 0]) + functional.cross_entropy(shape[at], right[:, 1])


def cells_of(edges: torch.Tensor, grid: Sequence[int], undecided: float = _UNDECIDED) -> tuple[torch.Tensor, ...]:
    """For boxes ``[n,4]``: the cells of ``grid`` in the middle of each, and those around it, ``[n,cells]`` bool."""
    rows, columns = grid
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    away = torch.stack([x.flatten(), y.flatten()], dim=-1)[None] - edges[:, None, :2]
    distance = (away.abs() / edges[:, None, 2:]).amax(-1)
    inside = distance < _INSIDE
    if len(edges):
        inside[torch.arange(len(edges)), away.square().sum(-1).argmin(1)] = True
    return inside, (distance < undecided) & ~inside


def _match(logits: torch.Tensor, boxes: torch.Tensor, edges: torch.Tensor, tokens: torch.Tensor):
    """Which query answers for which thing."""
    scores = logits.sigmoid()
    gain = _ALPHA * (1 - scores) ** _GAMMA * -(scores + 1e-8).log()
    loss = (1 - _ALPHA) * scores**_GAMMA * -(1 - scores + 1e-8).log()
    cost = CLASS * (gain - loss) @ (tokens / tokens.sum(-1, keepdim=True)).T
    cost = cost + EDGES * torch.cdist(boxes, edges, p=1) - OVERLAP * generalised_iou(boxes[:, None], edges[None])
    return (torch.as_tensor(side) for side in linear_sum_assignment(cost.numpy()))


def _total(named: torch.Tensor, found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    edges = (found - wanted).abs().sum()
    overlap = (1 - generalised_iou(found, wanted)).sum()
    return (CLASS * named + EDGES * edges + OVERLAP * overlap) / len(wanted)


def _corners(boxes: torch.Tensor) -> torch.Tensor:
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], dim=-1)


def _area(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    return (high - low).clamp(min=0).prod(-1)
