"""The peers, each with the settings that its own documentation gives for speed: QLoRA nf4, r=16 on all linear layers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.training.corpus import LONGEST, token_lists

LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTER = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "bias": "none", "target_modules": LAYERS}
PACKED_ROWS, PADDED_ROWS = 4, 8
SETTINGS: dict[str, dict[str, Any]] = {
    "trl": {},
    "trl-liger-packing": {"packing": True, "use_liger_kernel": True},
    "unsloth": {},
    "unsloth-packing": {"packing": True},
}


def run(engine: str, model: Path, warm: int, steps: int) -> dict[str, Any]:
    """Real tokens a second after `warm` steps, and peak memory."""
    import torch

    if engine.startswith("unsloth"):
        from unsloth import FastLanguageModel  # before trl: it patches it
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    packing = SETTINGS[engine].get("packing", False)
    rows = token_lists()
    arguments: dict[str, Any] = {
        "output_dir": f"/tmp/out-{engine}",
        "per_device_train_batch_size": PACKED_ROWS if packing else PADDED_ROWS,
        "gradient_accumulation_steps": 1,
        "max_steps": warm + steps,
        "max_length": LONGEST,
        "learning_rate": 1e-4,
        "bf16": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "dataloader_num_workers": 2,
        "seed": 0,
        **SETTINGS[engine],
    }
    adapter = None
    columns = {"input_ids": rows}
    if engine.startswith("unsloth"):
        loaded, _ = FastLanguageModel.from_pretrained(
            str(model), max_seq_length=LONGEST, dtype=torch.bfloat16, load_in_4bit=True, local_files_only=True
        )
        loaded = FastLanguageModel.get_peft_model(
            loaded, use_gradient_checkpointing="unsloth", random_state=0, **ADAPTER
        )
        if not packing:
            arguments["dataset_kwargs"] = {"skip_prepare_dataset": True}
            columns["labels"] = rows
    else:
        arguments["gradient_checkpointing"] = True
        four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                       bnb_4bit_compute_dtype=torch.bfloat16)  # fmt: skip
        loaded = AutoModelForCausalLM.from_pretrained(
            str(model),
            dtype=torch.bfloat16,
            device_map={"": 0},
            attn_implementation="sdpa",
            quantization_config=four_bits,
        )
        adapter = LoraConfig(task_type="CAUSAL_LM", **ADAPTER)
    marks: list[tuple[float, int]] = []
    seen = {"tokens": 0}

    class Meter(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            torch.cuda.synchronize()
            if state.global_step == warm:
                torch.cuda.reset_peak_memory_stats()
            if state.global_step >= warm:
                marks.append((time.perf_counter(), seen["tokens"]))

    trainer = SFTTrainer(
        model=loaded, args=SFTConfig(**arguments), train_dataset=Dataset.from_dict(columns),
        processing_class=AutoTokenizer.from_pretrained(str(model)), peft_config=adapter, callbacks=[Meter()],
    )  # fmt: skip
    plain = trainer.training_step

    def counted(given: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        mask = inputs.get("attention_mask")
        real = (
            mask
            if mask is not None and mask.dim() == 2
            else inputs["input_ids"] != trainer.processing_class.pad_token_id
        )
        seen["tokens"] += int(real.sum())
        return plain(given, inputs, *rest, **named)

    trainer.training_step = counted
    trainer.train()
    took, tokens = marks[-1][0] - marks[0][0], marks[-1][1] - marks[0][1]
    return {
        "tokens_per_second": round(tokens / took),
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
        "tokens_a_step": round(tokens / (len(marks) - 1)),
        "fit": f"{PACKED_ROWS} packed rows of {LONGEST}" if packing else f"{PADDED_ROWS} padded rows",
    }
