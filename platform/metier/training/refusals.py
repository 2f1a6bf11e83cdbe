"""What training refuses in the driver, before a device is asked for: a base, a tokenizer or prompts that can't work.

The base is looked at by its files (base_files.py) and as a skeleton without weights. What is known of single dialogues is
encoding.py's.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from metier.errors import InputError
from metier.inference.transformers_engine import prompt_ids
from metier.records import Message, Rejection
from metier.training.base_files import CONFIG, context_of, end_ids, read_json, refuse_unfit_depth, shapes_of
from metier.training.model import AnyMethod, FullMethod, matches, refuse_unfit_targets

TEMPLATES = "*chat_template*"  # .jinja or .json beside the tokenizer, or a folder of several
SHOWN = 160  # characters of another's message


def refuse_unfit_base(folder: str, method: AnyMethod, tokenizer: Any) -> None:
    """Raises InputError for a base that can't be trained so: no causal language model, targets that match
    nothing, or a tokenizer of another model. Reads no weights; that its files are whole is refuse_unfit_files' to say."""
    base = skeleton(folder)
    if not isinstance(method, FullMethod):
        refuse_unfit_targets(base, method)
        _refuse_tied_targets(base, method.targets)
    rows = base.get_input_embeddings().num_embeddings
    token, highest = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if highest >= rows:
        raise InputError(
            f"base {folder}: its tokenizer gives {token!r} the id {highest}, the model embeds ids up to {rows - 1}; "
            "give the tokenizer that belongs to the model"
        )
    end_ids(folder, rows)


def refuse_unfit_files(folder: str) -> None:
    """Raises InputError where a base's files alone tell that it can't be trained: settings that describe no such model,
    quantised, missing, cut or other weights, or no chat template."""
    scheme = read_json(Path(folder) / CONFIG).get("quantization_config")
    if scheme:
        kind = scheme.get("quant_method", "quantised") if isinstance(scheme, dict) else scheme
        raise InputError(f"base {folder}: its weights are quantised ({kind}); train on the full-precision model")
    base = skeleton(folder)  # before the tokenizer, which reads config.json too and would be blamed for it
    end_ids(folder)
    _refuse_other_weights(folder, base)
    settings = Path(folder) / "tokenizer_config.json"
    if settings.exists() and not read_json(settings).get("chat_template") and not any(Path(folder).glob(TEMPLATES)):
        raise InputError(f"base {folder}: its tokenizer has no chat template; give an instruction-tuned model")


def _refuse_other_weights(folder: str, base: Any) -> None:
    """transformers fills what it does not find with random weights, and only warns. So it loads weights of the same names and
    shapes that hold nothing, by its own rules of what is renamed, merged, tied and left out."""
    import torch

    shapes = shapes_of(folder)
    empty = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    try:
        with _hushed():
            _, told = type(base).from_pretrained(
                None, config=base.config, state_dict=empty, device_map={"": "meta"},
                ignore_mismatched_sizes=True, output_loading_info=True,
            )  # fmt: skip
    except MemoryError:
        raise
    except Exception as error:  # as loading would: where some of the weights that become one are missing or odd
        raise InputError(
            f"base {folder}: its weight files do not fit its {CONFIG} ({_said(error)}); copy or fetch both anew"
        ) from None
    missing = [name for name, _ in base.named_parameters() if name in told["missing_keys"]]
    if missing:
        raise InputError(
            f"base {folder}: {len(missing)} of the weights that its {CONFIG} describes are in no file, first {missing[0]}; "
            "copy or fetch both anew"
        )
    if told["mismatched_keys"]:
        name, found, wanted = min(told["mismatched_keys"])
        raise InputError(
            f"base {folder}: {len(told['mismatched_keys'])} of its weights have other shapes than its {CONFIG} says, first "
            f"{name}: {list(found)}, not {list(wanted)}; copy or fetch both anew"
        )


def _refuse_tied_targets(base: Any, targets: Sequence[str]) -> None:
    """An adapter on one of two layers that share their weights could not be merged."""
    ends = (base.get_input_embeddings(), base.get_output_embeddings())
    if None in ends or ends[0].weight is not ends[1].weight:
        return
    for name, module in base.named_modules():
        if module in ends and any(matches(name, target) for target in targets):
            raise InputError(
                f"train.method.targets: {name} shares its weights with the model's other end, so an adapter of it could not "
                "be merged; leave it out, or train with method full"
            )


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
    longest = context_of(folder)
    for question, messages in prompts:
        try:
            tokens = len(prompt_ids(tokenizer, messages))
        except MemoryError:
            raise
        except Exception as error:  # a template is a program: it fails with what it likes
            raise InputError(
                f"base {folder}: its chat template can't write a prompt of the exam ({_said(error)})"
            ) from None
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


def skeleton(folder: str) -> Any:
    """The base without weights, on torch's meta device. Raises InputError where it is no causal language model, or has parts
    that text does not train."""
    refuse_unfit_depth(folder)
    try:
        with _hushed():
            model = _built(folder)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # transformers raises whatever it stumbles over
        raise InputError(
            f"base {folder}: its {CONFIG} describes no model that is known here ({_said(error)}); mend it, or give another base"
        ) from None
    written = model.config.architectures or [type(model).__name__]
    if type(model).__name__ not in written:
        raise InputError(
            f"base {folder}: its weights are of {', '.join(map(str, written))}, which is no causal language model; "
            f"training wants {type(model).__name__}"
        )
    _refuse_other_parts(folder, model)
    return model


def _built(folder: str) -> Any:
    import torch
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise InputError(f"base {folder}: a model of type {config.model_type!r} is no causal language model")
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def _refuse_other_parts(folder: str, model: Any) -> None:
    """Towers for pictures or sound get no gradient from text, at which training would stop."""
    if model.config.get_text_config() is model.config:
        return
    trained = {id(p) for part in (model.get_decoder(), model.get_output_embeddings()) for p in part.parameters()}
    others = [name for name, p in model.named_parameters() if id(p) not in trained]
    if others:
        raise InputError(
            f"base {folder}: {type(model).__name__} has {len(others)} weights beside its decoder, first {others[0]}, that text "
            "does not train; give a text-only checkpoint of the model"
        )


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:SHOWN]}"


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """transformers tells on stderr what is told here in one line."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
