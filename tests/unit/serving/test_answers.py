"""The log of answers: whole lines from many writers, private, and readable after a crash."""

import stat
import threading

from metier.serving.answers import FOLDER, Answer, append, find, logged, new_id, now


def answer(question: str = "q", day: str = "2026-01-01", **more) -> Answer:
    return Answer(id=new_id(), time=f"{day}T00:00:00Z", question=question, answer="a\nb", passage_ids=("p",),
                  release="register/k", **more)  # fmt: skip


def test_what_is_logged_is_found_again(tmp_path):
    one = answer("é\u2028?", turns=(("x", "y"),))
    append(tmp_path, one)
    append(tmp_path, answer())
    assert find(tmp_path, one.id) == one
    assert find(tmp_path, "answer-none") is None


def test_newest_comes_first(tmp_path):
    for day in ("2026-01-02", "2026-01-01", "2026-01-02"):
        append(tmp_path, answer(day, day))
    assert [a.question for a in logged(tmp_path)] == ["2026-01-02", "2026-01-02", "2026-01-01"]


def test_many_writers_never_mix_lines(tmp_path):
    def write(name: str) -> None:
        for i in range(20):
            append(tmp_path, answer(f"{name}{i} " + "long " * 2000))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({a.question for a in logged(tmp_path)}) == 80


def test_a_line_cut_short_costs_only_itself(tmp_path):
    append(tmp_path, answer("before"))
    file = tmp_path / FOLDER / "2026-01-01.jsonl"
    with file.open("a") as cut:
        cut.write('{"id": "answer-cut", "que')
    append(tmp_path, answer("after"))
    assert [a.question for a in logged(tmp_path)] == ["after", "before"]


def test_only_the_owner_reads_what_users_asked(tmp_path):
    append(tmp_path, answer())
    assert stat.S_IMODE((tmp_path / FOLDER / "2026-01-01.jsonl").stat().st_mode) == 0o600


def test_ids_differ_and_time_is_utc():
    assert new_id() != new_id()
    assert now().endswith("Z")
