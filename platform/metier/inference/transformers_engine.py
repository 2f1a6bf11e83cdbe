"""transformers' batched generation behind the engine protocol, in this process.

Deterministic: requests are sorted by length, cut into batches and padded on the left, so the same requests make the
same batches whatever order they came in; float32 on a CPU unless the settings say otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metier.errors import InputError
from metier.inference.engines import TransformersEngine
from metier.inference.probe import engine_dtype
from metier.inference.protocol import Request, Response, chat, failed, written_day
from metier.records import Message

SHOWN = 160  # characters of another's message


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a local model folder. Raises InputError when it can't be read, or has no chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    except MemoryError:
        raise
    except Exception as error:  # files that are missing or broken: the libraries raise whatever they stumble over
        said = " ".join(str(error).split())[:SHOWN]
        raise InputError(
            f"model {model}: its tokenizer's files can't be read ({type(error).__name__}: {said}); copy or fetch them anew"
        ) from error
    if not tokenizer.chat_template:
        raise InputError(f"model {model}: its tokenizer has no chat template; give an instruction-tuned model")
    _refuse_odd_settings(model, tokenizer)
    return tokenizer


def _refuse_odd_settings(model: str, tokenizer: Any) -> None:
    """What is used only once a text is written, and would fail there."""
    template, longest = tokenizer.chat_template, tokenizer.model_max_length
    if isinstance(template, dict) and "default" not in template:
        raise InputError(
            f"model {model}: its tokenizer has several chat templates and none is named default; name one so"
        )
    if not isinstance(template.get("default") if isinstance(template, dict) else template, str):
        raise InputError(f"model {model}: the chat template in tokenizer_config.json is no text; copy or fetch it anew")
    if isinstance(longest, bool) or not isinstance(longest, int | float):
        raise InputError(f"model {model}: model_max_length in tokenizer_config.json is no number; correct it")


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The token ids of a conversation up to where the assistant speaks, by the model's own chat template."""
    ids = tokenizer.apply_chat_template(
        chat(messages), add_generation_prompt=True, tokenize=True, return_dict=False, strftime_now=written_day
    )
    return list(ids)


@dataclass(frozen=True)
class _Prompt:
    request: Request
    ids: list[int]

    @property
    def sampling(self) -> tuple[float, int]:
        """What a batch must have in common: temperature, and where one samples the seed."""
        return self.request.temperature, self.request.seed if self.request.temperature else 0


def attention_for(folder: str) -> str | None:
    """transformers' slow attention for a model that caps its scores (Gemma 2): torch's leaves that out without a word. None: it
    may choose."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
    return "eager" if getattr(config, "attn_logit_softcapping", None) else None


def open_transformers(model: str, config: TransformersEngine, device: str = "cpu") -> TransformersGenerator:
    """An engine over the model of a local folder."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(model)
    dtype = getattr(torch, engine_dtype(config.dtype, gpus=0 if device == "cpu" else 1).replace("auto", "bfloat16"))
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        model,
        dtype=dtype,
        use_safetensors=True,
        attn_implementation=attention_for(model),
        trust_remote_code=False,
    )
    return TransformersGenerator(loaded.to(device).eval(), tokenizer, config.batch_rows)


class TransformersGenerator:
    """An engine over one model in memory; it must be in evaluation mode."""

    def __init__(self, model: Any, tokenizer: Any, batch_rows: int, together: bool = False) -> None:
        """`together`: other workers hold parts of the model and generate beside this one, equally many batches."""
        self._together = together
        self._model, self._tokenizer, self._batch_rows = model, tokenizer, batch_rows
        self._device = model.device
        self._longest = int(getattr(model.config, "max_position_embeddings", 0) or 1 << 30)
        self._ends = end_ids(model, tokenizer)

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """One response a request, in the same order."""
        answered: dict[str, Response] = {}
        fitting: list[_Prompt] = []
        for request in requests:
            prompt = _Prompt(request, prompt_ids(self._tokenizer, request.messages))
            if len(prompt.ids) + request.max_tokens > self._longest:
                answered[request.id] = failed(request, too_long(len(prompt.ids), request.max_tokens, self._longest))
            else:
                fitting.append(prompt)
        for batch in _batches(fitting, self._batch_rows):
            answered |= {r.id: r for r in self._answer(batch)}
        return [answered[r.id] for r in requests]

    def close(self) -> None:
        """Frees the model."""
        self._model = None

    def _answer(self, batch: list[_Prompt]) -> list[Response]:
        import torch

        width = max(len(p.ids) for p in batch)
        pad = self._ends[0]
        ids = torch.tensor([[pad] * (width - len(p.ids)) + p.ids for p in batch], device=self._device)
        mask = torch.tensor([[0] * (width - len(p.ids)) + [1] * len(p.ids) for p in batch], device=self._device)
        temperature, seed = batch[0].sampling
        how: dict[str, Any] = {"do_sample": False}
        if temperature:
            how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(seed)
            out = self._model.generate(
                input_ids=ids, attention_mask=mask, pad_token_id=pad, eos_token_id=self._ends,
                max_new_tokens=max(p.request.max_tokens for p in batch), synced_gpus=self._together, **how,
            )  # fmt: skip
        return [self._response(p, row) for p, row in zip(batch, out[:, width:].tolist(), strict=True)]

    def _response(self, prompt: _Prompt, row: list[int]) -> Response:
        request = prompt.request
        tokens = row[: request.max_tokens]
        end = next((i for i, token in enumerate(tokens) if token in self._ends), None)
        tokens = tokens if end is None else tokens[:end]
        text, stopped = _until(self._tokenizer.decode(tokens, skip_special_tokens=True), request.stop)
        return Response(
            id=request.id, text=text, prompt_tokens=len(prompt.ids), completion_tokens=len(tokens),
            finish_reason="length" if end is None and not stopped else "stop",
        )  # fmt: skip


def too_long(prompt_tokens: int, max_tokens: int, longest: int) -> str:
    """Why a request does not fit into a context."""
    return f"a prompt of {prompt_tokens} and an answer of {max_tokens} tokens exceed the context of {longest}"


def _batches(prompts: Sequence[_Prompt], rows: int) -> list[list[_Prompt]]:
    """Batches of one sampling setting each, cut from the prompts sorted by length (ties by content, not by arrival)."""
    ordered = sorted(prompts, key=lambda p: (p.sampling, len(p.ids), p.ids, p.request.id))
    batches: list[list[_Prompt]] = []
    for prompt in ordered:
        if not batches or len(batches[-1]) == rows or batches[-1][0].sampling != prompt.sampling:
            batches.append([])
        batches[-1].append(prompt)
    return batches


def end_ids(model: Any, tokenizer: Any) -> list[int]:
    """The tokens at which an answer ends. Raises InputError when the model names none."""
    ends = model.generation_config.eos_token_id
    listed = [ends] if isinstance(ends, int) else list(ends or [])
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in listed:
        listed.append(tokenizer.eos_token_id)
    if not listed:
        raise InputError("the model names no end-of-text token: its generation_config needs an eos_token_id")
    return listed


def _until(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text up to the first stop word, and whether there was one."""
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return (text[: min(found)], True) if found else (text, False)
