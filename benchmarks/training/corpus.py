"""What all engines train on: a random-weight Llama-3-8B, so that speed and memory are real and no hub is needed, and token
lists of variable length."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

SHAPE: dict[str, Any] = {
    "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 8192, "rope_theta": 500000.0,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "bos_token_id": 128000, "eos_token_id": 128001,
}  # fmt: skip
EXAMPLES = 480
SHORTEST, LONGEST = 48, 2048


def make_model(folder: Path, **sizes: Any) -> None:
    """Writes the model, 16 GB, and a tokenizer that the peers want to see; once. `sizes`: what differs from SHAPE."""
    if (folder / "tokenizer.json").exists():
        return
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    shape = SHAPE | sizes
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = LlamaForCausalLM._from_config(LlamaConfig(**shape), dtype=torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="4GB")
    words = Tokenizer(models.WordLevel({f"t{i}": i for i in range(shape["vocab_size"])}, unk_token="t0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    end = shape["eos_token_id"]
    names = {
        "bos_token": f"t{shape['bos_token_id']}",
        "eos_token": f"t{end}",
        "pad_token": f"t{end + 1}",
        "unk_token": "t0",
    }
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **names)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    tokenizer.save_pretrained(folder)


def token_lists(number: int = EXAMPLES) -> list[list[int]]:
    """Lognormal lengths, mean about 450 tokens; every token is learnt."""
    draw = random.Random(0)
    lengths = [max(SHORTEST, min(LONGEST, int(draw.lognormvariate(5.9, 0.7)))) for _ in range(number)]
    return [[draw.randrange(1000, 127000) for _ in range(length)] for length in lengths]
