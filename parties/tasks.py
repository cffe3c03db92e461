"""Tasks of a compute node, read from its state: the body of ``hecf tasks``.

The store is shared with a running node, which sees an abort at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hecf.errors import ConfigurationError
from hecf.kits.kit import Kit
from hecf.protocol.state import TaskState
from hecf.rpc.identity import COMPUTE_NODE
from hecf.rpc.sqlite_tasks import SqliteTaskStore
from hecf.rpc.task_store import Tasks
from parties.processes.compute_node import TASKS

SHORT = 12
"""Digits of an identifier that are shown in a list."""


def listed(config: Path) -> list[dict[str, Any]]:
    """Describe every task of a node.

    Raises
    ------
    ConfigurationError
        If the kit is not a compute node's, or its state cannot be read.
    """
    with _opened(config) as tasks:
        return [described(state) for state in tasks.all()]


def found(config: Path, task: str) -> dict[str, Any]:
    """Describe the task of a name, or of an identifier's first digits.

    Raises
    ------
    ConfigurationError
        If there is no such task, or more than one.
    """
    with _opened(config) as tasks:
        return described(_chosen(tasks, task))


def abort(config: Path, task: str) -> dict[str, Any]:
    """End a task without a result and describe it.

    Raises
    ------
    ConfigurationError
        If there is no such task, or more than one.
    Conflict
        If its results were handed out already.
    """
    with _opened(config) as tasks:
        ended = _chosen(tasks, task).abort("the node's operator aborted it")
        tasks.put(ended)
        return described(ended)


def described(state: TaskState) -> dict[str, Any]:
    """Say how a task stands: names, counts and times, nothing that was contributed."""
    return {
        "name": state.task.name,
        "identifier": state.task.identifier,
        "phase": state.phase.value,
        "contributions": len(state.contributions),
        "parts": len(state.task.parts),
        "missing": list(state.missing),
        "results": len(state.results),
        "handed_out": len(state.handed_out),
        "deadline": datetime.fromtimestamp(state.deadline, UTC).isoformat(timespec="seconds"),
        "reason": state.reason,
    }


def show_list(tasks: list[dict[str, Any]], console: Console) -> None:
    """Print tasks as a table."""
    table = Table("task", "identifier", "phase", "contributions", "deadline")
    for each in tasks:
        given = f"{each['contributions']} of {each['parts']}"
        short = each["identifier"][:SHORT]
        table.add_row(each["name"], short, each["phase"], given, each["deadline"])
    console.print(table)


def show_one(task: dict[str, Any], console: Console) -> None:
    """Print one task, a line for each of its properties."""
    for name, value in task.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        console.print(f"{name.replace('_', ' ')}: {shown}", highlight=False, soft_wrap=True)


@contextmanager
def _opened(config: Path) -> Iterator[Tasks]:
    kit = Kit.load(config, role=COMPUTE_NODE)
    path = kit.state / TASKS
    if not path.exists():
        raise ConfigurationError("this compute node has no tasks yet", got=f"no {path}")
    store = SqliteTaskStore(path, kit.terms)
    try:
        with store.change() as tasks:
            yield tasks
    finally:
        store.close()


def _chosen(tasks: Tasks, task: str) -> TaskState:
    known = tasks.all()
    chosen = [
        state for state in known if state.task.name == task or state.task.identifier == task
    ] or [state for state in known if len(task) >= SHORT and state.task.identifier.startswith(task)]
    if len(chosen) != 1:
        names = ", ".join(state.task.name for state in known)
        raise ConfigurationError("there is no such task", got=task, expected=f"one of {names}")
    return chosen[0]
