"""The files of docs/deployment.md are what the programs that read them expect."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgeseg.live.observers import MQTT_PORTS
from edgeseg.live.run_file import run_from_file

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "deployment.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="an installed package has no documentation beside it")


def files() -> dict[str, str]:
    """The files of the page by the path in their first line."""
    blocks = re.findall(r"^```\w+\n# (\S+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len({path for path, _ in blocks}) == len(blocks)
    return dict(blocks)


def loaded(name: str) -> Any:
    """A YAML file of the page."""
    return pytest.importorskip("yaml").safe_load(files()[name])


def test_the_page_has_its_files() -> None:
    assert set(files()) == {
        *("/etc/systemd/system/edgeseg.service", "compose.yaml", "/etc/edgeseg/run.toml"),
        *("/etc/edgeseg/environment", "prometheus.yml", "alerts.yml", "batch-job.yaml", "eval.sbatch"),
    }


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    text = files()["/etc/systemd/system/edgeseg.service"]
    program = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)
    assert program
    unit = tmp_path / "edgeseg.service"
    unit.write_text(text.replace(program[1], "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    if "Failed to" in done.stderr and "edgeseg.service" not in done.stderr:
        pytest.skip(f"systemd-analyze does not work here: {done.stderr.strip()}")
    assert [line for line in done.stderr.splitlines() if "edgeseg.service" in line] == []
    assert done.returncode == 0, done.stderr


def test_compose_has_the_keys_that_compose_knows(tmp_path: Path) -> None:
    (service,) = loaded("compose.yaml")["services"].values()
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    known = {"build", "command", "restart", "stop_grace_period", "env_file", "volumes", "devices", "ports"}
    assert set(service) == {*known, "healthcheck"}
    assert set(service["healthcheck"]) == {"test", "interval", "timeout", "start_period"}
    assert "/health?live" in service["healthcheck"]["test"][-1]  # no restart brings a camera back
    if (
        shutil.which("docker")
        and not subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        (tmp_path / "compose.yaml").write_text(files()["compose.yaml"])
        (tmp_path / "environment").touch()
        command = ["docker", "compose", "--project-directory", tmp_path, "config", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_run_file_of_the_fleet_is_read_with_its_environment(tmp_path: Path) -> None:
    lines = files()["/etc/edgeseg/environment"].splitlines()
    environment = dict(line.split("=", 1) for line in lines)
    (tmp_path / "run.toml").write_text(files()["/etc/edgeseg/run.toml"])
    run = run_from_file(tmp_path / "run.toml", environment)
    (event,), (stream,) = run.events, run.streams
    assert event == "mqtts://box17:change-me@broker.example/fleet/box17"
    assert event.partition(":")[0] in MQTT_PORTS
    assert (stream.name, stream.triggers[0].label) == ("gate", "Pedestrian")


def test_the_alerts_are_of_metrics_that_exist() -> None:
    rules = [rule for group in loaded("alerts.yml")["groups"] for rule in group["rules"]]
    assert all(set(rule) == {"alert", "expr", "for"} for rule in rules)
    documented = (ROOT / "docs" / "live-page.md").read_text(encoding="utf-8")
    metrics = {name for rule in rules for name in re.findall(r"edgeseg_\w+", rule["expr"])}
    assert metrics
    assert [name for name in metrics if f"`{name}`" not in documented] == []
    scrape = loaded("prometheus.yml")
    assert scrape["rule_files"] == ["alerts.yml"]
    assert set(scrape["scrape_configs"][0]) == {"job_name", "authorization", "file_sd_configs"}


def test_the_job_of_kubernetes_does_every_shard_once() -> None:
    job = loaded("batch-job.yaml")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (job["apiVersion"], job["kind"], spec["completionMode"]) == ("batch/v1", "Job", "Indexed")
    assert pod["restartPolicy"] == "Never"
    assert {each["name"] for each in pod["volumes"]} == {each["name"] for each in pod["containers"][0]["volumeMounts"]}
    (script,) = pod["containers"][0]["args"]
    assert spec["podFailurePolicy"]["rules"] == [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    ]
    words = script.split()
    cores = int(words[words.index("--processes") + 1]) * int(words[words.index("--threads") + 1])
    assert str(cores) == pod["containers"][0]["resources"]["requests"]["cpu"]
    echo = script.replace("exec edgeseg", "echo")
    shards = [
        subprocess.run(
            ["sh", "-c", echo], env={"JOB_COMPLETION_INDEX": str(index)}, capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        for index in (0, spec["completions"] - 1)
    ]
    assert shards == [f"1/{spec['completions']}", f"{spec['completions']}/{spec['completions']}"]


def test_the_script_of_slurm_gives_each_task_its_shard(tmp_path: Path) -> None:
    script = tmp_path / "eval.sbatch"
    script.write_text(files()["eval.sbatch"])
    (tmp_path / "srun").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "DATA": "/data", "SLURM_CPUS_PER_TASK": "4"}
    environment |= {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "32"}
    done = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-4:] == ["--shard", "7/32", "-o", "shards/7.npz"]
    assert script.read_text().startswith("#!/bin/bash\n")


def test_the_commands_in_the_files_can_be_typed() -> None:
    from edgeseg.cli import COMMANDS, LazyGroup

    text = "\n".join(files().values()).replace("\\\n", " ")
    commands = re.findall(r"edgeseg (batch|eval|stream) (.*)", text)
    assert {name for name, _ in commands} == {"batch", "eval", "stream"}
    for name, words in commands:
        assert name in COMMANDS
        known = {option for parameter in LazyGroup().get_command(None, name).params for option in parameter.opts}
        assert [word for word in re.findall(r"(?<=\s)--?[a-z][\w-]*", words) if word not in known] == []
