"""The same units through Ray Data: `make ray` installs it for the nightly tests."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from simulated_batch import simulated_units
from small_batch import label_files, make_broken, make_videos, small_job, units_in
from small_onnx import street_onnx

from edgeseg.batch import batch
from edgeseg.batch.batch import BatchReport, run_local, run_ray, todo_of
from edgeseg.batch.ray import connected, imported_ray, rows_from_ray
from edgeseg.batch.shard import Shard
from edgeseg.errors import UnavailableError

pytestmark = pytest.mark.filterwarnings("default")  # Ray uses what it deprecates, and leaves files open
SIMULATED = "simulated_batch:Simulated"


@pytest.fixture(scope="module")
def ray(ray_data: None) -> Iterator[Any]:
    """A cluster of this machine."""
    with connected("local") as ray:
        yield ray
    collect_processes()


def collect_processes() -> None:
    """Drop the processes of Ray that `ray.shutdown` ended and did not wait for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def items(count: int) -> list[dict[str, Any]]:
    return [dataclasses.asdict(unit) for unit in simulated_units(count)]


def test_without_ray_there_is_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UnavailableError) as problem:
        imported_ray()
    assert problem.value.code == "ES-MISSING-RAY"
    assert "edgeseg[ray]" in problem.value.hint


def test_actors_for_gpus_in_a_cluster_without_one_are_an_error() -> None:
    cluster = SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0})
    with pytest.raises(UnavailableError) as problem:
        list(rows_from_ray(cluster, SIMULATED, {}, items(2), actors=2, gpus=1))
    assert problem.value.code == "ES-DEVICE-MISSING"


@pytest.mark.parametrize(("device", "gpus", "threads"), [("cuda:0", 1, None), ("gpu", 1, None), ("cpu", 0, 1)])
def test_the_machine_that_hands_out_the_units_needs_no_gpu(
    device: str, gpus: int, threads: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def rows(ray: Any, work: str, options: Any, items: Any, **resources: Any) -> Iterator[Any]:
        calls.append((resources["gpus"], options["job"]["threads"]))
        return iter([])

    monkeypatch.setattr(batch, "connected", contextlib.nullcontext)
    monkeypatch.setattr(batch, "rows_from_ray", rows)
    job = dataclasses.replace(small_job(tmp_path), device=device, threads=None)
    run_ray(job, simulated_units(1), BatchReport(), address="head:6379")
    assert calls == [(gpus, threads)]


@pytest.mark.nightly
def test_no_cluster_is_an_error(ray_data: None) -> None:
    with pytest.raises(UnavailableError) as problem, connected("127.0.0.1:1"):
        pass
    assert problem.value.code == "ES-MISSING-RAY"


@pytest.mark.nightly
def test_ray_gives_the_labels_of_local_processes(ray_data: None, tmp_path: Path) -> None:
    job = small_job(tmp_path)
    units = units_in(make_broken(make_videos(tmp_path / "in", 6)), job)
    reports = []
    for name in ("local", "ray"):
        own = dataclasses.replace(job, out=str(tmp_path / name))
        todo, before = todo_of(units, tmp_path / name, Shard())
        report = BatchReport(before=before, open=len(todo))
        if name == "ray":
            run_ray(own, todo, report, address="local", processes=2)
            collect_processes()
        else:
            run_local(own, todo, report, processes=1)
        reports.append((report.summary.done, report.summary.failed, report.open, report.summary.error_codes))
    assert reports[0] == reports[1]
    assert reports[0][:3] == (6, 5, 0)
    assert label_files(tmp_path / "ray") == label_files(tmp_path / "local")
    assert list((tmp_path / "ray" / ".partial").iterdir()) == []


@pytest.mark.nightly
def test_a_cluster_of_two_nodes_survives_the_loss_of_one(ray_data: None, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    job = small_job(tmp_path)
    units = units_in(make_broken(make_videos(tmp_path / "in", 60, frames=20)), job)
    todo, before = todo_of(units, Path(job.out), Shard())
    report = BatchReport(before=before, open=len(todo))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    lost = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    rows = 0

    def on_row(report: BatchReport) -> None:
        nonlocal rows
        rows += 1
        if rows == 15:
            cluster.remove_node(lost, allow_graceful=False)

    try:
        run_ray(job, todo, report, address=cluster.address, processes=3, on_row=on_row)
    finally:
        cluster.shutdown()
        collect_processes()
    assert (report.summary.done, report.summary.failed, report.open) == (60, 5, 0)
    assert len(label_files(Path(job.out))) == 60 * 20


@pytest.mark.nightly
def test_an_evaluation_on_ray_gives_the_record_of_one_process(ray_data: None, tmp_path: Path) -> None:
    street_onnx(tmp_path)
    command = f"{sys.executable} -m edgeseg eval street.onnx --json --metric miou --metric flicker".split()
    data = ("--data", "street:?seed=3&scenes=2&frames=4&size=96x64&stride=1")
    records = []
    for runner in ((), ("--ray", "local")):
        done = subprocess.run([*command, *data, *runner], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        records.append(json.loads(done.stdout))
    alone, together = records
    assert together["shards"] > 1
    different = {"engine", "device", "data", "latency"}  # of the machine
    assert {key: together[key] for key in alone if key not in different} == {
        key: value for key, value in alone.items() if key not in different
    }


# From here on the tests share a cluster, which `run_ray` would not connect to a second time.
@pytest.mark.nightly
def test_every_item_gives_a_row_and_that_of_a_dead_actor_too(ray: Any, tmp_path: Path) -> None:
    units = items(8)
    options = {"folder": str(tmp_path), "kill": [units[3]["source"]]}
    rows = list(rows_from_ray(ray, SIMULATED, options, units, actors=2))
    assert sorted(row["digest"] for row in rows) == [unit["digest"] for unit in units]
    assert (tmp_path / f"{units[3]['digest']}.1").exists()


@pytest.mark.nightly
def test_a_class_that_cannot_be_made_is_an_error(ray: Any) -> None:
    with pytest.raises(UnavailableError) as problem:
        list(rows_from_ray(ray, SIMULATED, {"fails": True}, items(2), actors=1))
    assert problem.value.code == "ES-RAY"


@pytest.mark.nightly
def test_an_actor_that_lost_its_device_does_no_further_item(ray: Any) -> None:
    units = items(6)
    rows = list(rows_from_ray(ray, SIMULATED, {"lose": [units[1]["source"]]}, units, actors=1))
    assert sorted(row["digest"] for row in rows) == [unit["digest"] for unit in units]
    lost = next(row["worker"] for row in rows if row["error"] is not None)
    after = [row["worker"] for row in rows[[row["error"] is not None for row in rows].index(True) + 1 :]]
    assert after
    assert lost not in after
