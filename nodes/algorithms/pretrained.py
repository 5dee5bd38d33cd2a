"""A network of transformers out of a folder that has passed ``check_folder``: from disk alone, whole or not at all."""

from pathlib import Path

import torch

from .checkpoint_folder import next_step


def load_pretrained(folder: Path, class_name: str, consequence: str) -> torch.nn.Module:
    """transformers' ``class_name`` with the weights in ``folder``, in float32 on the CPU, for inference.

    ``consequence`` ends the sentence on missing weights: what the model would do with random ones in their place.
    Raises ``ValueError`` when the installed transformers has no such class, the folder cannot be loaded, or lacks
    weights.
    """
    import transformers
    from transformers.utils import logging

    again = f"Download the model again into {folder.parent}. {next_step(folder.parent.name)}."
    kind = getattr(transformers, class_name, None)
    if kind is None:
        raise ValueError(
            f"{folder.name} needs transformers' {class_name}, which transformers {transformers.__version__} lacks. "
            "Run `pip install -U transformers` in ComfyUI's Python."
        )
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # its report of missing weights is said below, in one sentence
    try:
        config = kind.config_class.from_pretrained(str(folder), local_files_only=True)
        if hasattr(config, "use_pretrained_backbone"):
            config.use_pretrained_backbone = False  # a backbone of its own weights would be fetched
        model, report = kind.from_pretrained(
            str(folder), config=config, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, RuntimeError, TypeError, ValueError, KeyError, AttributeError, ImportError) as error:
        raise ValueError(f"{folder} could not be loaded as {class_name}: {error} {again}") from error
    finally:
        logging.set_verbosity(verbosity)
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(
            f"{folder} lacks {len(missing)} of the weights of {class_name}, first {missing[0]}: it would "
            f"{consequence}. {again}"
        )
    return model.float().eval()
