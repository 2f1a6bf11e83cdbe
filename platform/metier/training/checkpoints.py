"""Checkpoints: everything that training needs to go on as if it had never stopped. Safetensors and JSON only.

A checkpoint holds whole tensors by name, spread over its writers' files, so any number of workers under any engine goes on
from it. It exists when its state.json and every file that this names are there. Writing is done beside training, which
waits only for what is still being written when the next checkpoint comes. The weights of a checkpoint stay as long as it
may turn out to be the best; the optimiser's state, twice their size, of the newest alone.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from metier.errors import InputError, MachineError
from metier.training.engine import Engine
from metier.training.storage import Storage

STATE = "state.json"
WEIGHTS, MOMENTS = "weights", "moments"
FILE = re.compile(r"step-(\d{6,})/(.+)")


def folder_of(step: int) -> str:
    """The name of a step's checkpoint."""
    return f"step-{step:06d}"


def complete(storage: Storage) -> dict[int, dict[str, Any]]:
    """The checkpoints whose weights are all there: their states by step, oldest first."""
    names = storage.names()
    found = sorted(int(m[1]) for m in map(FILE.fullmatch, names) if m and m[2] == STATE)
    states = {step: _state(storage, step) for step in found}
    return {step: state for step, state in states.items() if names.issuperset(_files(step, state, WEIGHTS))}


def _state(storage: Storage, step: int) -> dict[str, Any]:
    """A checkpoint's state. Raises InputError where the file is not one of ours."""
    name = f"{folder_of(step)}/{STATE}"
    try:
        state: dict[str, Any] = json.loads(storage.text(name))
        if not {"step", "identity", "history", "optimiser", "writers", "keep"} <= set(state):
            raise ValueError
    except ValueError:
        raise InputError(f"{storage.place}/{name} is no state of a checkpoint: remove the folder it lies in") from None
    return state


def newest(storage: Storage) -> dict[str, Any] | None:
    """The state to go on from: of the newest checkpoint that has its optimiser's state too."""
    names = storage.names()
    resumable = [s for step, s in complete(storage).items() if names.issuperset(_files(step, s, MOMENTS))]
    return resumable[-1] if resumable else None


def _files(step: int, state: Mapping[str, Any], kind: str) -> list[str]:
    return [f"{folder_of(step)}/{kind}-{one}.safetensors" for one in state["writers"]]


def own(storage: Storage, identity: Mapping[str, str]) -> dict[str, Any] | None:
    """What `newest` gives. Raises InputError where it is of another training. `identity`: what makes this one itself."""
    state = newest(storage)
    differing = [name for name, value in identity.items() if state and state["identity"].get(name) != value]
    if differing:
        raise InputError(
            f"checkpoints in {storage.place} are of another {differing[0]}: remove them to begin anew, or name another "
            "folder in resources.train.checkpoints"
        )
    return state


class Saved(Mapping[str, Any]):
    """The tensors of a checkpoint by name, each read when it is asked for, onto the CPU."""

    def __init__(self, storage: Storage, state: Mapping[str, Any], kinds: Collection[str] = (WEIGHTS, MOMENTS)) -> None:
        """Fetches the files of these kinds; `close` lets them go."""
        from safetensors import safe_open

        self._storage = storage
        self._stack = contextlib.ExitStack()
        self._paths = [storage.get(name) for kind in kinds for name in _files(state["step"], state, kind)]
        files = [self._stack.enter_context(safe_open(path, framework="pt")) for path in self._paths]
        self._place = {name: file for file in files for name in file.keys()}  # noqa: SIM118 (it is no mapping)

    def __getitem__(self, name: str) -> Any:
        return self._place[name].get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)

    def close(self) -> None:
        """Lets the files go."""
        self._stack.close()
        for path in self._paths:
            self._storage.release(path)


@contextlib.contextmanager
def opened(storage: Storage, state: Mapping[str, Any], *kinds: str) -> Iterator[Saved]:
    """The tensors of a checkpoint, as long as the block lasts."""
    saved = Saved(storage, state, kinds or (WEIGHTS, MOMENTS))
    try:
        yield saved
    finally:
        saved.close()


def restore(storage: Storage, state: Mapping[str, Any], engine: Engine) -> None:
    """Puts a checkpoint back into the engine. Raises InputError when its weights are another model's."""
    with opened(storage, state) as saved:
        shapes = {f"weight:{name}": shape for name, shape in engine.shapes().items()}
        names = {name for name in saved if name.startswith("weight:")}
        differing = sorted(names ^ set(shapes)) or [n for n, s in shapes.items() if tuple(saved[n].shape) != s]
        if differing:
            raise InputError(
                f"{storage.place}/{folder_of(state['step'])} is a checkpoint of another model or method: "
                f"{differing[0].removeprefix('weight:')} differs"
            )
        engine.load(saved)


class Saver:
    """Writes one worker's part of the checkpoints, beside training."""

    def __init__(self, storage: Storage, engine: Engine) -> None:
        """All workers make theirs together."""
        self._storage, self._engine = storage, engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        peers = engine.peers
        self._writers = [f"{_agreed(engine)}-{rank}-of-{peers.world}" for rank in range(peers.world)]

    def save(self, state: dict[str, Any], keep: Collection[int]) -> None:
        """Copies the state of training now, and writes it while training goes on.

        `state`: JSON-able, with `step`; `keep`: the steps whose weights may still be wanted behind this checkpoint.
        """
        self.wait()
        peers = self._engine.peers
        parts: dict[str, dict[str, Any]] = {WEIGHTS: {}, MOMENTS: {}}
        for number, (name, tensor) in enumerate(self._engine.tensors()):
            if number % peers.world == peers.rank:
                kind = WEIGHTS if name.startswith("weight:") else MOMENTS
                parts[kind][name] = tensor.detach().to("cpu", copy=True).contiguous()
        self._writing = self._thread.submit(self._write, state | {"writers": self._writers, "keep": [*keep]}, parts)

    def wait(self) -> None:
        """Returns when nothing is being written any more. Raises what went wrong with it."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def finish(self) -> None:
        """Returns when all workers have written all; raises on each of them where one could not."""
        import torch

        fault: Exception | None = None
        try:
            self.wait()
        except Exception as error:  # told to the others first
            fault = error
        faults = torch.tensor(float(fault is not None), device=self._engine.device)
        self._engine.peers.sum_(faults)
        if fault is not None:
            raise fault
        if float(faults):
            raise MachineError(f"{self._storage.place}: another worker could not write its part of a checkpoint")

    def close(self) -> None:
        """Ends the thread, when what it writes is written."""
        self._thread.shutdown()

    def _write(self, state: dict[str, Any], parts: dict[str, dict[str, Any]]) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        peers, folder = self._engine.peers, folder_of(state["step"])
        with self._storage.scratch() as scratch:
            for kind, tensors in parts.items():
                file = scratch / kind
                try:
                    save_file(tensors, file)
                except SafetensorError as error:  # which is how it tells of a full disk
                    raise MachineError(f"{self._storage.place}: a checkpoint can't be written ({error})") from error
                self._storage.put(f"{folder}/{kind}-{self._writers[peers.rank]}.safetensors", file)
            if peers.rank == 0:
                file = scratch / STATE
                file.write_text(json.dumps(state), encoding="utf-8")
                self._storage.put(f"{folder}/{STATE}", file)
                self._tidy()

    def _tidy(self) -> None:
        """Removes what no longer serves behind the newest whole checkpoint: what can't be the best any more, and moments.

        That one says itself what may be: another worker may still be writing this worker's last.
        """
        last = newest(self._storage)
        for name in self._storage.names():
            found = FILE.fullmatch(name)
            if last is None or found is None or int(found[1]) >= last["step"]:
                continue
            if int(found[1]) not in last["keep"] or found[2].startswith(MOMENTS):
                self._storage.remove(name)


def _agreed(engine: Engine) -> str:
    """A word for this attempt that all workers know: files of an attempt that was killed are never taken for its own."""
    import torch

    number = torch.zeros((), dtype=torch.int64, device=engine.device)
    if engine.peers.rank == 0:
        number += secrets.randbits(40)
    engine.peers.sum_(number)
    return f"{int(number):010x}"
