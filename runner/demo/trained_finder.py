"""A tiny Grounding DINO, trained on the demo's toy world, in the folder format of the hub's grounding-dino-tiny.

It finds coloured shapes by phrases such as "red circle"; demo/finder.py trained it. torch, safetensors and
transformers are imported inside the functions.
"""

from pathlib import Path

from . import grounding_dino, vocabulary

WEIGHTS = Path(__file__).with_name("weights") / "finder.safetensors"

WIDTH = 64
QUERIES = 16
TOKENS = 256  # of one text, as in the real model
# Pixels of the picture's shorter edge: the things of the toy world are 20 to 60 of them wide.
SIZE = {"shortest_edge": 128, "longest_edge": 256}

# Stored are the embeddings of these words alone, one for each line; all other tokens share that of [UNK].
UNKNOWN = "[UNK]"
_TAUGHT = """
[UNK]
[CLS]
[SEP]
. ?
red
orange
yellow
green
blue
purple
pink
brown
black
white
circle
square
triangle
star
##s
shape thing things object item
the a an this that these those my your one big small large little striped patterned plain
"""
WORDS = tuple(tuple(line.split()) for line in _TAUGHT.strip().splitlines())
_PLACES = 16  # trained and stored positions in a phrase; later ones are zero
_EMBEDDING = "model.text_backbone.embeddings.word_embeddings.weight"
_POSITIONS = "model.text_backbone.embeddings.position_embeddings.weight"


def save(folder: Path, weights: Path = WEIGHTS) -> Path:
    """Write config.json, model.safetensors, preprocessor_config.json and the tokenizer to ``folder``; returns it.

    ``weights`` is a file that ``store`` wrote; the folder's are float32. Raises ``OSError`` when it is not there,
    ``RuntimeError`` when its tensors are not those of ``configuration()``.
    """
    from safetensors.torch import load_file
    from transformers import GroundingDinoForObjectDetection

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = GroundingDinoForObjectDetection(configuration()).eval().requires_grad_(False)
    _restore(model, load_file(weights))
    model.save_pretrained(folder, safe_serialization=True)
    grounding_dino.save_processor(folder, SIZE)
    vocabulary.save(folder)
    return folder


def store(model, weights: Path) -> Path:
    """Write what ``save`` needs of a trained ``model`` to ``weights``, in half precision."""
    import torch
    from safetensors.torch import save_file

    tensors = {name: tensor.detach() for name, tensor in model.named_parameters()}
    tensors[_EMBEDDING] = tensors[_EMBEDDING][[token(words[0]) for words in WORDS]]
    tensors[_POSITIONS] = tensors[_POSITIONS][:_PLACES]
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.to(torch.float16).contiguous() for name, tensor in tensors.items()}, weights)
    return weights


def token(word: str) -> int:
    """The number of a token of the vocabulary."""
    return vocabulary.tokens().index(word)


def _restore(model, stored: dict) -> None:
    """Set all parameters of ``model``."""
    import torch

    rows = torch.zeros(len(vocabulary.tokens()), dtype=torch.long)
    numbers = {word: number for number, word in enumerate(vocabulary.tokens())}
    for row, words in enumerate(WORDS):
        rows[[numbers[word] for word in words]] = row
    stored[_EMBEDDING] = stored[_EMBEDDING][rows]
    places = stored[_POSITIONS]
    stored[_POSITIONS] = torch.nn.functional.pad(places, (0, 0, 0, TOKENS - len(places)))
    parameters = dict(model.named_parameters())
    if parameters.keys() != stored.keys():
        raise RuntimeError(f"Not the finder's weights: {sorted(parameters.keys() ^ stored.keys())[:3]} do not match.")
    for name, parameter in parameters.items():
        parameter.copy_(stored[name].float())


def configuration():
    """A GroundingDinoConfig of one feature map, a cell of which is 8 pixels wide."""
    from transformers import BertConfig, ConvNextConfig, GroundingDinoConfig

    return GroundingDinoConfig(
        backbone_config=ConvNextConfig(
            num_stages=2,
            depths=[2, 4],
            hidden_sizes=[32, WIDTH],
            layer_scale_init_value=0.5,
            out_indices=[2],
        ),
        text_config=BertConfig(
            vocab_size=len(vocabulary.tokens()),
            hidden_size=WIDTH // 2,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=WIDTH,
            max_position_embeddings=TOKENS,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ),
        d_model=WIDTH,
        encoder_layers=2,
        decoder_layers=2,
        encoder_ffn_dim=2 * WIDTH,
        decoder_ffn_dim=2 * WIDTH,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        num_queries=QUERIES,
        num_feature_levels=1,
        max_text_len=TOKENS,
        dropout=0.0,
        fusion_droppath=0.0,
    )
