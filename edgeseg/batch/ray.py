"""Work on a Ray cluster, through Ray Data: one row an item, in actors that keep what they opened.

Only this module imports ray.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from edgeseg.batch.ray_servers import RayServers, connect
from edgeseg.batch.rows import OF_DEVICE
from edgeseg.engines import open_engine
from edgeseg.engines.devices import AUTO, names_of_device
from edgeseg.errors import UnavailableError
from edgeseg.measure.device import available_threads

LOCAL = "local"
POLL_SECONDS = 0.2
CONNECT_SECONDS = 10.0
SHUTDOWN_SECONDS = 10.0
MOST_BLOCKS = 1000  # the driver keeps some KiB of each
QUEUED = 2  # items that wait at an actor, so that it need not wait for the driver
INSTALL = 'pip install "edgeseg[ray]"'


class JsonActor:
    """What Ray makes in each actor: an object of `work` ("module:Class"), called with items; rows go back as JSON.

    As text, a row has the same columns whatever it holds, and a class is imported where it runs.
    ends: after a row whose error leaves it without its device, its process ends. Ray starts another one, and calls that
    with the next item.
    """

    def __init__(self, work: str, options: dict[str, Any], *, ends: bool = False) -> None:
        module, _, name = work.partition(":")
        self._work = getattr(importlib.import_module(module), name)(**options)
        self._ends, self._is_lost = ends, False

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row of an item."""
        if self._is_lost:
            os._exit(1)
        done = self._work(json.loads(row["item"]))
        self._is_lost = self._ends and (done.get("error") or {}).get("code") in OF_DEVICE
        return {"row": json.dumps(done)}


def imported_ray() -> Any:
    """The module ray with Ray Data. UnavailableError where it is not installed."""
    # Else the thread that reads rows starts a cluster of its own where its cluster is gone or was shut down.
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    try:
        import ray
        import ray.data
    except ImportError as problem:
        message = f"Ray Data is not available: {str(problem).splitlines()[0]}"
        raise UnavailableError(message, hint=INSTALL, code="ES-MISSING-RAY") from problem
    return ray


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module ray, connected to the cluster at `address`, "auto", or "local" for one of this process alone.

    A local cluster gets one CPU more than the machine has, because actors must leave one free for Ray Data's own tasks.
    UnavailableError where there is no cluster.
    """
    ray = imported_ray()
    options: dict[str, Any] = {"address": address}
    if address == LOCAL:
        paths = os.pathsep.join(path for path in sys.path if path)
        runtime_env = {"env_vars": {"PYTHONPATH": paths}}
        options |= {"num_cpus": available_threads() + 1, "include_dashboard": False, "runtime_env": runtime_env}
    try:
        connect(address, CONNECT_SECONDS)  # Ray itself would try for minutes
        ray.init(logging_level="ERROR", log_to_driver=False, **options)
    except (OSError, RuntimeError, ValueError) as problem:
        raise UnavailableError(
            f"there is no Ray cluster at {address}: {str(problem).splitlines()[0]}",
            hint="start one with ray start --head, or use --ray local",
            code="ES-MISSING-RAY",
        ) from problem
    try:
        yield ray
    finally:
        # In a thread, for it waits for a cluster that is gone until Ray ends the process, before an error is shown.
        closing = threading.Thread(target=ray.shutdown, name="edgeseg-ray-shutdown", daemon=True)
        closing.start()
        closing.join(SHUTDOWN_SECONDS)


def rows_from_ray(
    ray: Any,
    work: str,
    options: Mapping[str, Any],
    items: Sequence[Mapping[str, Any]],
    *,
    actors: int | None = None,
    gpus: float = 0,
    stop: threading.Event | None = None,
) -> Generator[dict[str, Any], None, None]:
    """What `work` ("module:Class", made with `options`) returns for each item, as they are done.

    The class must not raise when it is called: Ray would end the job. The items of an actor that dies may be done
    again, with those whose rows had not arrived: the class must return the row of an item that is done.
    actors: how many; None for all CPUs of the cluster but one, or with gpus for all GPUs. gpus: of an actor.
    stop: ends it; items in progress are lost. UnavailableError where the class cannot be made, no machine has a GPU, or
    the cluster is gone.
    """
    check_gpus(ray, gpus)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it prints its plan
    count = min(actors or free_actors(ray, gpus), max(1, len(items)))
    blocks = min(len(items), MOST_BLOCKS)
    dataset = ray.data.from_items([{"item": json.dumps(item)} for item in items], override_num_blocks=blocks).map(
        JsonActor,
        # With several items in a block, its end would lose the rows before it, and repeat what made them.
        fn_constructor_kwargs={"work": work, "options": dict(options), "ends": blocks == len(items)},
        compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=QUEUED),
        num_cpus=1,
        num_gpus=gpus,
    )
    rows: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
    threading.Thread(target=_read_rows, args=(dataset, rows), name="edgeseg-ray", daemon=True).start()
    servers = RayServers(ray)
    while stop is None or not stop.is_set():
        servers.check()
        with contextlib.suppress(queue.Empty):
            row = rows.get(timeout=POLL_SECONDS)
            if row is None:
                return
            if isinstance(row, Exception):
                reason = next((line for line in reversed(str(row).splitlines()) if line.strip()), type(row).__name__)
                hint = "see the log of Ray: ray list errors"
                raise UnavailableError(f"the Ray job failed: {reason}", hint=hint, code="ES-RAY") from row
            yield row


def free_actors(ray: Any, gpus: float) -> int:
    """How many actors the cluster has room for, with a CPU to spare."""
    resources = ray.cluster_resources()
    by_cpu = int(resources.get("CPU", 1)) - 1
    return max(1, min(by_cpu, int(resources.get("GPU", 0) / gpus)) if gpus else by_cpu)


def check_gpus(ray: Any, gpus: float) -> None:
    """UnavailableError where actors need a GPU and the cluster has none: Ray would wait for one for ever."""
    if gpus > ray.cluster_resources().get("GPU", 0):
        hint = "add a machine with a GPU, or use --device cpu"
        raise UnavailableError("no machine of the Ray cluster has a GPU", hint=hint, code="ES-DEVICE-MISSING")


def takes_cpu(runtime: str, device: str) -> bool:
    """Whether an actor takes a CPU of the cluster, and not a GPU. "auto" stands for what it is on this machine."""
    return open_engine(runtime).is_on_cpu(device) if device == AUTO else "cpu" in names_of_device(device)


def _read_rows(dataset: Any, rows: queue.SimpleQueue[dict[str, Any] | Exception | None]) -> None:
    try:
        for row in dataset.iter_rows():
            rows.put(json.loads(row["row"]))
        rows.put(None)
    except Exception as problem:  # Ray raises errors of many kinds, of the cluster and of the actors
        rows.put(problem)
