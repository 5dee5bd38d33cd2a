import pytest
import torch
from imageine.nodes.algorithms import text_card


def test_a_card_is_a_picture_as_high_as_its_words_need():
    short = text_card.draw(["One line."])
    long = text_card.draw(["One line.", "And a paragraph that is far too long for a single line of this card, so that "
                           "it has to be broken."])  # fmt: skip
    assert short.shape[0] == 1 and short.shape[2:] == (640, 3) and short.dtype == torch.float32
    assert long.shape[1] > short.shape[1] and long.shape[2] == 640
    assert long.min() >= 0 and long.max() == 1


@pytest.mark.parametrize("text", ["x" * 300, "word " * 60, "把" * 120, ""])
def test_nothing_runs_over_the_edge(text):
    card = text_card.draw(["First.", text])
    paper = card[0, 0, 0]
    for strip in (card[0, :, :18], card[0, :, -18:], card[0, :18], card[0, -18:]):
        assert torch.equal(strip, paper.expand_as(strip))
