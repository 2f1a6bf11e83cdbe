"""What the tests on a GPU share."""

from __future__ import annotations

import pytest
import torch

from tests.fixtures.tiny_model import make_tiny_model


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """The tiny tokenizer beside a model as wide as rows of 4 bits and the fast path's heads want it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = make_tiny_model(tmp_path_factory.mktemp("model"), ["The ledger limit is 100 units."])
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=512, hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4,
                         num_key_value_heads=2, head_dim=64, max_position_embeddings=2048, bos_token_id=1, eos_token_id=2,
                         pad_token_id=2)  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder
