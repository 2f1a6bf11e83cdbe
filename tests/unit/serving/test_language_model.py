"""What the engine is started with, on a CPU and on GPUs."""

from pathlib import Path

from metier.serving.language_model import engine_environment, engine_kwargs
from metier.serving.release import Release
from metier.serving.settings import ServeSettings

RELEASE = Release("register/k", "tiny", "none", Path("/m"), Path("/i"), "all-minilm-l6-v2", 3, 512, 64)


def test_on_a_cpu_the_engine_is_uncompiled_and_its_cache_is_bounded():
    kwargs = engine_kwargs(ServeSettings(dtype="float32"), RELEASE)
    assert (kwargs["dtype"], kwargs["max_model_len"], kwargs["enforce_eager"]) == ("float32", 512, True)
    assert engine_environment(ServeSettings())["VLLM_CPU_KVCACHE_SPACE"] == "1"


def test_on_gpus_the_model_is_split_and_vllm_chooses_the_format():
    settings = ServeSettings(gpus=2)
    kwargs = engine_kwargs(settings, RELEASE)
    assert (kwargs["dtype"], kwargs["tensor_parallel_size"], kwargs["enforce_eager"]) == ("auto", 2, False)
    assert not [name for name in engine_environment(settings) if "CPU" in name]


def test_no_engine_reports_home():
    for gpus in (0, 1):
        assert engine_environment(ServeSettings(gpus=gpus))["VLLM_NO_USAGE_STATS"] == "1"
