"""One contract for every store of tasks, and one for every store of releases."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from coalitions import make_terms

from hecf.errors import ConfigurationError, Conflict, LimitExceeded
from hecf.he.plan import LEFT
from hecf.protocol.contribution import key_fingerprint
from hecf.protocol.state import Phase, TaskState
from hecf.protocol.tasks import GramTask, ScoreTask, SumTask
from hecf.rpc.payload import Payload
from hecf.rpc.release_store import MemoryReleaseStore, ReleaseStore, SqliteReleaseStore
from hecf.rpc.sqlite_tasks import SqliteTaskStore
from hecf.rpc.task_store import MemoryTaskStore, TaskStore

TERMS = make_terms()
SUM = SumTask(TERMS, "alder", "counts", 3, 1.0)
PART = ("alder", LEFT)

STORES: dict[str, Callable[[Path], TaskStore]] = {
    "memory": lambda folder: MemoryTaskStore(),
    "sqlite": lambda folder: SqliteTaskStore(folder / "tasks.sqlite", TERMS),
}
RELEASES: dict[str, Callable[[Path], ReleaseStore]] = {
    "memory": lambda folder: MemoryReleaseStore(),
    "sqlite": lambda folder: SqliteReleaseStore(folder / "releases.sqlite"),
}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TaskStore:
    return STORES[request.param](tmp_path)


@pytest.fixture(params=sorted(RELEASES))
def releases(request: pytest.FixtureRequest, tmp_path: Path) -> ReleaseStore:
    return RELEASES[request.param](tmp_path)


def every_field(task: SumTask) -> TaskState:
    state = TaskState(task, 12.5, key="0d" * 32).join("birch").contribute(PART, "0a" * 32)
    return state.contribute(("birch", LEFT), "0b" * 32).close().computed("total", "0c" * 32)


def test_states_come_back_as_they_were_put(store: TaskStore) -> None:
    states = [
        TaskState(GramTask(TERMS), 1.5),
        every_field(SUM).hand_out("total"),
        TaskState(ScoreTask(TERMS, "cedar", (1, 5), 30), 9.0).abort("no reason"),
    ]
    with store.change() as tasks:
        for state in states:
            tasks.put(state)
    with store.change() as tasks:
        assert tasks.all() == states
        for state in states:
            assert tasks.get(state.task.identifier) == state
            assert tasks.named(state.task.name) == state
        assert tasks.get("0" * 64) is None
        assert tasks.named("sum/alder/others") is None
        tasks.put(states[0].abort("later"))
    with store.change() as tasks:
        assert [state.phase for state in tasks.all()] == [
            Phase.ABORTED,
            Phase.RELEASED,
            Phase.ABORTED,
        ]


def test_an_error_undoes_the_whole_change(store: TaskStore) -> None:
    def fail() -> None:
        with store.change() as tasks:
            tasks.put(TaskState(SUM, 1.0))
            tasks.put_public_key(b"key")
            assert tasks.claim("operand", "place")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.change() as tasks:
        assert tasks.all() == []
        assert tasks.public_key() is None
        assert tasks.claim("operand", "another place")


def test_an_operand_belongs_to_the_first_place_that_claims_it(store: TaskStore) -> None:
    for _ in range(2):
        with store.change() as tasks:
            assert tasks.claim("one", "here")
            assert not tasks.claim("one", "there")
            assert tasks.claim("two", "there")


def test_the_public_key_is_kept(store: TaskStore) -> None:
    with store.change() as tasks:
        tasks.put_public_key(b"")
    with store.change() as tasks:
        # The clear scheme's key is empty, and empty is not the same as none.
        assert tasks.public_key() == b""
        assert tasks.replaced_keys() == frozenset()


def test_keys_that_were_replaced_are_known_by_their_fingerprints(store: TaskStore) -> None:
    keys = [b"first", b"second", b"third"]
    for key in keys:
        with store.change() as tasks:
            tasks.put_public_key(key)
    with store.change() as tasks:
        assert tasks.public_key() == b"third"
        assert tasks.replaced_keys() == {key_fingerprint(key) for key in keys[:2]}


def test_the_database_outlives_its_process_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "tasks.sqlite"
    first = SqliteTaskStore(path, TERMS)
    with first.change() as tasks:
        tasks.put(every_field(SUM))
    # Not closed: what was committed is on the disk whatever happens to the process.
    with SqliteTaskStore(path, TERMS).change() as tasks:
        assert tasks.all() == [every_field(SUM)]
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_database_of_other_terms_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite"
    SqliteTaskStore(path, TERMS).close()
    with pytest.raises(ConfigurationError, match="belongs to a coalition with other terms"):
        SqliteTaskStore(path, make_terms(ridge=0.2))


@pytest.mark.parametrize("content", [b"not a database, but long enough to be one" * 100, None])
def test_what_is_no_database_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "tasks.sqlite"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be used as a store"):
        SqliteTaskStore(path, TERMS)


def test_a_database_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite"
    SqliteTaskStore(path, TERMS).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match="another version: got version 99, expected 2"):
        SqliteTaskStore(path, TERMS)


def test_a_full_disk_is_said_and_changes_nothing(tmp_path: Path) -> None:
    store = SqliteTaskStore(tmp_path / "tasks.sqlite", TERMS)
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LimitExceeded, match="No space left on device"), store.change() as tasks:
        tasks.put_public_key(bytes(1 << 20))
    store._connection.execute("PRAGMA max_page_count = 100000")
    with store.change() as tasks:
        assert tasks.public_key() is None
        tasks.put_public_key(b"key")


def test_commitments_and_releases_are_kept_once(releases: ReleaseStore) -> None:
    assert releases.commitments("task") == {}
    assert releases.released("task") is None
    for _ in range(2):
        releases.commit("task", PART, "0a")
        releases.commit("other", PART, "0b")
        releases.keep("task", b"result")
    with pytest.raises(Conflict, match="alder has committed to another contribution"):
        releases.commit("task", PART, "0b")
    with pytest.raises(Conflict, match="another result"):
        releases.keep("task", b"fresh noise")
    releases.commit("task", ("birch", LEFT), "0c")
    assert releases.commitments("task") == {PART: "0a", ("birch", LEFT): "0c"}
    assert sent(releases.released("task")) == b"result"


def sent(payload: Payload | None) -> bytes | None:
    """The bytes of a payload, if there is one."""
    return None if payload is None else b"".join(payload.chunks())


def test_releases_outlive_their_process(tmp_path: Path) -> None:
    path = tmp_path / "releases.sqlite"
    first = SqliteReleaseStore(path)
    first.commit("task", PART, "0a")
    first.keep("task", b"result")
    second = SqliteReleaseStore(path)
    assert second.commitments("task") == {PART: "0a"}
    assert sent(second.released("task")) == b"result"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
