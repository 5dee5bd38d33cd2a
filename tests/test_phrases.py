import pytest

tokenizers = pytest.importorskip("tokenizers")

from imageine.nodes.algorithms import phrases  # noqa: E402

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    ".",
    "-",
    "'",
    "a",
    "red",
    "car",
    "door",
    "glass",
    "oil",
    "##s",
    "##let",
    "t",
    "shirt",
]


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizers.BertWordPieceTokenizer({word: at for at, word in enumerate(WORDS)}, lowercase=True)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("car", ["car"]),
        ("Car.", ["car"]),
        ("car . red door", ["car", "red door"]),
        ("car; red door\nglass, oil? a!b|c", ["car", "red door", "glass", "oil", "a", "b", "c"]),
        ("  red \t car  . . ,, RED car .car", ["red car", "car"]),
        ("t-shirt . it's", ["t-shirt", "it's"]),
        ("汽车。\r\n门", ["汽车", "门"]),
        ("... 3 . -", ["3"]),
    ],
)
def test_a_prompt_is_split_into_phrases(prompt, expected):
    assert phrases.split_prompt(prompt) == expected


@pytest.mark.parametrize("prompt", ["", "   ", "\n", "...", " . , ; ! ?", "—", "🚗", "-"])
def test_a_prompt_without_a_word_is_refused(prompt):
    with pytest.raises(ValueError, match="has no word in it"):
        phrases.split_prompt(prompt)


def spelled(one, tokenizer):
    return [[WORDS[number] for number in one.token_ids[span.first : span.stop]] for span in one.spans]


def test_spans_cover_exactly_the_phrases_tokens(tokenizer):
    (one,) = phrases.plan_passes(tokenizer, ["a red car", "doors", "t-shirt"], 256)
    assert [span.phrase for span in one.spans] == ["a red car", "doors", "t-shirt"]
    assert spelled(one, tokenizer) == [["a", "red", "car"], ["door", "##s"], ["t", "-", "shirt"]]
    assert one.spans[0].words == (("a", 1, 2), ("red", 2, 3), ("car", 3, 4))
    assert one.spans[2].words == (("t-shirt", 8, 11),)
    assert WORDS[one.token_ids[0]] == "[CLS]" and [WORDS[at] for at in one.token_ids[-2:]] == [".", "[SEP]"]


def test_a_phrase_inside_another_has_its_own_span(tokenizer):
    (one,) = phrases.plan_passes(tokenizer, ["red car", "car", "red"], 256)
    assert spelled(one, tokenizer) == [["red", "car"], ["car"], ["red"]]


def test_an_accented_phrase_keeps_its_span(tokenizer):
    (one,) = phrases.plan_passes(tokenizer, ["cár", "door"], 256)
    assert spelled(one, tokenizer) == [["car"], ["door"]]


def test_long_prompts_are_split_between_phrases_and_lose_nothing(tokenizer):
    wanted = [f"red car {'door ' * (at % 5)}".strip() for at in range(40)]
    passes = phrases.plan_passes(tokenizer, wanted, 24)
    assert [span.phrase for one in passes for span in one.spans] == wanted
    assert len(passes) > 5
    assert all(len(one.token_ids) <= 24 for one in passes)
    assert all(
        len(spelled(one, tokenizer)[at]) == len(span.words) for one in passes for at, span in enumerate(one.spans)
    )


def test_a_pass_may_be_full_to_the_last_token(tokenizer):
    limit = 2 + 3 * 2  # [CLS], three times a word and a full stop, [SEP]
    assert len(phrases.plan_passes(tokenizer, ["car", "door", "oil"], limit)) == 1
    assert len(phrases.plan_passes(tokenizer, ["car", "door", "oil"], limit - 1)) == 2


def test_a_single_phrase_too_long_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"'car car .*' is 13 tokens long and the model reads 12"):
        phrases.plan_passes(tokenizer, ["door", " ".join(["car"] * 10)], 12)
    assert phrases.plan_passes(tokenizer, ["door", " ".join(["car"] * 9)], 12)
