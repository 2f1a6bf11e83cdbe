"""An adapter beside its base: loaded for comparing and merging, and refused in one line where it does not belong there.

PEFT only warns where an adapter's weights find no layer, and merges what is zero or no number without a word; here each is
an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metier.errors import InputError, StepError
from metier.inference.transformers_engine import attention_for

DESCRIPTION, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a PEFT adapter; full training leaves a whole model."""
    return (folder / DESCRIPTION).exists()


def load_stored(folder: Path, device: str) -> tuple[Any, Any]:
    """A model in evaluation mode, and the torch type that its weights are stored in.

    On a GPU it is computed in the stored type, as an engine would; on a CPU in float32, which holds every stored value and
    is faster there.
    """
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype="auto",
        use_safetensors=True,
        attn_implementation=attention_for(str(folder)),
        trust_remote_code=False,
    )
    stored = model.dtype
    if device == "cpu":
        model.float()
    return model.to(device).eval(), stored


def tokenizer_of(base: Path, adapter: Path) -> Any:
    """The tokenizer that training left beside the adapter, or the base's own where a folder holds the adapter alone."""
    from transformers import AutoTokenizer

    beside = (adapter / "tokenizer_config.json").exists()
    return AutoTokenizer.from_pretrained(str(adapter if beside else base), trust_remote_code=False)


def attached(base: Path, adapter: Path, device: str, *, rounded: bool = False) -> tuple[Any, Any]:
    """Base with adapter in evaluation mode, and the torch type that the base is stored in.

    `rounded`: beside the base's weights rounded to 4 bits, as qlora trains. Raises InputError for an adapter of another
    base, of another kind than LoRA, or with values that are no numbers; StepError for one that can change nothing.
    """
    from peft import PeftConfig, PeftModel

    from metier.training.nf4 import quantise_base

    _refuse_kind(adapter, PeftConfig.from_pretrained(str(adapter)))
    _refuse_weights(adapter)
    plain, stored = load_stored(base, device)
    tokens, rows = len(tokenizer_of(base, adapter)), plain.get_input_embeddings().num_embeddings
    if tokens > rows:
        raise InputError(f"adapter {adapter} is of another base: its tokenizer has {tokens} tokens, the base {rows}")
    try:
        model: Any = PeftModel.from_pretrained(plain, str(adapter), torch_device=device)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"adapter {adapter} does not fit the base {base}: {str(error).splitlines()[0]}") from None
    _refuse_unmatched(base, adapter, model)
    if rounded:
        quantise_base(model, device, dense=True)
    return model.eval(), stored


def _refuse_kind(adapter: Path, config: Any) -> None:
    """Some adapters have no one weight to be folded into: those of another method, of shared layers, of bare parameters."""
    kind = getattr(config.peft_type, "value", config.peft_type)
    if kind != "LORA":
        raise InputError(f"adapter {adapter} is a {kind} adapter: LoRA, rsLoRA and DoRA can be merged")
    for name in ("layer_replication", "target_parameters"):
        if getattr(config, name, None):
            raise InputError(f"adapter {adapter} uses {name}, which can't be merged: serve it as an adapter")


def _weights(adapter: Path) -> Iterator[tuple[str, Any]]:
    """The adapter's weights one by one."""
    from safetensors import safe_open

    if not (adapter / WEIGHTS).exists():
        found = "only pickled weights, which can run code" if any(adapter.glob("adapter_model.*")) else "no weights"
        raise InputError(f"adapter {adapter}: {found}; it needs {WEIGHTS}")
    with safe_open(adapter / WEIGHTS, framework="pt") as file:
        for name in sorted(file.keys()):
            yield name, file.get_tensor(name)


def _refuse_weights(adapter: Path) -> None:
    """Values that are no numbers, and second factors that are all zero, as they are before training."""
    ups, others, moved = 0, 0, False
    for name, weight in _weights(adapter):
        if not weight.isfinite().all():
            raise InputError(
                f"adapter {adapter}: {name} holds values that are no finite numbers: the training diverged; "
                "train again at a lower learning rate"
            )
        if "lora_B" in name or "lora_embedding_B" in name:
            ups, moved = ups + 1, moved or bool(weight.any())
        elif "lora_A" not in name and "lora_embedding_A" not in name:  # a magnitude, or a layer that was trained whole
            others += 1
    if not moved and not others:
        raise StepError(
            f"adapter {adapter} changes nothing: the second factor (lora_B) of all its {ups} layers is zero (was it trained?)"
        )


def _refuse_unmatched(base: Path, adapter: Path, model: Any) -> None:
    """An adapter and its base name the same layers."""
    from peft import get_peft_model_state_dict

    wanted = {name for name in get_peft_model_state_dict(model, save_embedding_layers=False) if "lora_" in name}
    given = {name for name, _ in _weights(adapter) if "lora_" in name}
    for names, why in (
        (given - wanted, "its weights find no layer"),
        (wanted - given, "its base's layers get no weights"),
    ):
        if names:
            whole = len(given if names <= given else wanted)
            raise InputError(
                f"adapter {adapter} does not fit the base {base}: {len(names)} of {whole} of {why}, first {min(names)}"
            )
