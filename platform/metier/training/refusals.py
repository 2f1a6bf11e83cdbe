"""What training refuses in the driver, before a device is asked for: a base, a tokenizer or prompts that can't work.

The base is looked at by its files and as a skeleton without weights. What is known of single dialogues is encoding.py's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from metier.errors import InputError
from metier.inference.transformers_engine import prompt_ids
from metier.records import Message, Rejection
from metier.training.model import AnyMethod, FullMethod, refuse_unfit_targets

TEMPLATES = "*chat_template*"  # .jinja or .json beside the tokenizer, or a folder of several


def refuse_unfit_base(folder: str, method: AnyMethod, tokenizer: Any) -> None:
    """Raises InputError for a base that can't be trained so: no causal language model, targets that match
    nothing, or a tokenizer of another model. Reads no weights; that its files are whole is refuse_unfit_files' to say."""
    base = skeleton(folder)
    if not isinstance(method, FullMethod):
        refuse_unfit_targets(base, method)
    rows = base.get_input_embeddings().num_embeddings
    token, highest = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if highest >= rows:
        raise InputError(
            f"base {folder}: its tokenizer gives {token!r} the id {highest}, the model embeds ids up to {rows - 1}; "
            "give the tokenizer that belongs to the model"
        )


def refuse_unfit_files(folder: str) -> None:
    """Raises InputError where a base's files alone tell that it can't be trained: quantised, missing or cut weights, or no
    chat template. Needs no torch."""
    scheme = _json(Path(folder) / "config.json").get("quantization_config")
    if scheme:
        kind = scheme.get("quant_method", "quantised")
        raise InputError(f"base {folder}: its weights are quantised ({kind}); train on the full-precision model")
    index = Path(folder) / "model.safetensors.index.json"
    if index.exists():
        missing = [n for n in sorted(set(_json(index)["weight_map"].values())) if not index.with_name(n).exists()]
        if missing:
            raise InputError(f"base {folder}: {len(missing)} of its weight files are missing, first {missing[0]}")
    for weights in sorted(Path(folder).glob("*.safetensors")):
        if not _whole(weights):
            raise InputError(f"base {folder}: {weights.name} is cut short or damaged; copy or fetch it anew")
    tokenizer = Path(folder) / "tokenizer_config.json"
    if tokenizer.exists() and not _json(tokenizer).get("chat_template") and not any(Path(folder).glob(TEMPLATES)):
        raise InputError(f"base {folder}: its tokenizer has no chat template; give an instruction-tuned model")


def _whole(weights: Path) -> bool:
    """Whether a safetensors file is as long as its header says: 8 bytes of the header's length, the header, the tensors."""
    with weights.open("rb") as file:
        size, length = weights.stat().st_size, int.from_bytes(file.read(8), "little")
        if length > size:
            return False
        try:
            header = json.loads(file.read(length))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
            return bool(8 + length + max(ends, default=0) == size)
        except (ValueError, KeyError, TypeError, AttributeError):
            return False


def refuse_long_context(folder: str, max_tokens: int) -> None:
    """Raises InputError where examples may be longer than what the base can read. Needs no torch."""
    longest = context_of(folder)
    if longest and max_tokens > longest:
        raise InputError(f"train.max_tokens {max_tokens} is more than the {longest} tokens that the base can read")


def refuse_long_prompts(
    prompts: Iterable[tuple[str, Sequence[Message]]], tokenizer: Any, answer_tokens: int, folder: str
) -> None:
    """Raises InputError where a prompt of the dev exam (question id, messages) and its answer are longer than what the base
    can read, or where the chat template can't write it: each such question would count as answered wrongly."""
    from jinja2 import TemplateError

    longest = context_of(folder)
    for question, messages in prompts:
        try:
            tokens = len(prompt_ids(tokenizer, messages))
        except TemplateError as error:
            said = " ".join(str(error).split())
            raise InputError(f"base {folder}: its chat template can't write a prompt of the exam ({said})") from None
        if longest and tokens + answer_tokens > longest:
            raise InputError(
                f"dev exam: the prompt of question {question} ({tokens} tokens) and train.dev_max_tokens {answer_tokens} "
                f"exceed the {longest} tokens that the base can read; lower train.passages or train.dev_max_tokens"
            )


def reasons_of(lost: Sequence[Rejection]) -> str:
    """Why no dialogue is left, in a line: how many for each reason, and what was seen in the first of them."""
    seen: dict[str, list[Rejection]] = {}
    for one in lost:
        seen.setdefault(one.reason, []).append(one)
    told = (f"{len(ones)} {reason}, e.g. {ones[0].evidence[:120]}" for reason, ones in sorted(seen.items()))
    return "; ".join(told) or "there is none"


def context_of(folder: str) -> int:
    """How many tokens a model can read; 0 where its config.json does not say."""
    described = _json(Path(folder) / "config.json")
    for part in (described, described.get("text_config") or {}):
        for name in ("max_position_embeddings", "n_positions"):
            if part.get(name):
                return int(part[name])
    return 0


def skeleton(folder: str) -> Any:
    """The base without weights, on torch's meta device. Raises InputError where it is no causal language model."""
    import torch
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (ValueError, KeyError, TypeError) as error:
        first = " ".join(str(error).split())[:160]
        raise InputError(f"base {folder}: its config.json describes no model that is known here ({first})") from None
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise InputError(f"base {folder}: a model of type {config.model_type!r} is no causal language model")
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    written = config.architectures or [type(model).__name__]
    if type(model).__name__ not in written:
        raise InputError(
            f"base {folder}: its weights are of {', '.join(written)}, which is no causal language model; "
            f"training wants {type(model).__name__}"
        )
    return model


def _json(file: Path) -> dict[str, Any]:
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not a readable JSON file ({error})") from None
    if not isinstance(tree, dict):
        raise InputError(f"{file}: not a JSON object")
    return tree
