"""The image: built from Containerfile by a real container tool, and put to what the manifests of deploy/ ask of it.

Covers: its requirements are the lock's; scheduler, workers and job of daskjob.yaml, each with the manifest's own words
in a container of its own, on a bucket of a real S3 API, to the bits of a run here; and the programs that the preset
kubernetes starts.
Does not cover: Kubernetes itself (test_manifests.py holds the manifests to the operator's schema).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from container_image import CHECKOUT, Image, built_image, can_build_images
from dask_processes import free_port, wait_for_port
from kubernetes_preset import PODS, asked_for
from program import funkflow
from s3fs import S3FileSystem
from ungated import UNGATED

from chaos.object_store import ObjectStore

SMALL = ["synth.fraction=0.02", "train.rank=8", "train.epochs=2", "grid.shards=4", UNGATED]
SETTINGS = [word for each in SMALL for word in ("--set", each)]
JOB = yaml.safe_load((CHECKOUT / "deploy" / "daskjob.yaml").read_text(encoding="utf-8"))["spec"]
LOCKED = re.compile(r"^([a-zA-Z][\w.-]*)==([\w.]+)", re.MULTILINE)

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
]  # a base, the image, and its requirements installed anew


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if not can_build_images():
        pytest.skip("no image can be built: as root, apt-get install buildah crun mmdebstrap")
    with built_image(tmp_path_factory.mktemp("image"), "--build-arg", "EXTRAS=s3") as image:
        yield image


def words_of(pod: dict[str, Any]) -> list[str]:
    """Return what the one container of a pod runs."""
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "funkflow:0.2.0"
    return list(container["args"])


def test_the_image_has_the_versions_of_the_lock_and_its_user_is_nobody_special(image: Image) -> None:
    def versions(text: str) -> set[tuple[str, str]]:
        return {(name.lower().replace("_", "-"), version) for name, version in LOCKED.findall(text)}

    installed = versions(image.run(["python", "-m", "pip", "freeze", "--all"]).stdout)
    locked = versions((CHECKOUT / "requirements.lock").read_text(encoding="utf-8"))
    tools = versions((CHECKOUT / "requirements-dev.lock").read_text(encoding="utf-8"))
    of_the_lock = {name for name, _ in locked}
    assert {each for each in installed if each[0] in of_the_lock} <= locked  # which has some twice, for other Pythons
    assert {"dask", "distributed", "numba", "numpy", "pandas", "pyarrow"} <= {name for name, _ in installed & locked}
    assert {"s3fs", "aiobotocore"} <= {name for name, _ in installed & tools}
    assert image.run(["id", "-u"]).stdout.strip() == "1000"


@pytest.mark.parametrize("pod", PODS)
def test_it_has_the_program_that_a_pod_of_the_preset_starts(image: Image, pod: str) -> None:
    (container,) = asked_for()["spec"][pod]["spec"]["containers"]
    done = image.run([*container["args"], "--version"])
    assert (done.returncode, done.stdout[:4]) == (0, "dask"), done.stderr


def test_the_pods_of_the_job_train_in_it_to_the_bits_of_a_run_here(
    image: Image, object_store: ObjectStore, tmp_path: Path
) -> None:
    port = free_port()
    variables = {**object_store.environment, "DASK_SCHEDULER_ADDRESS": f"tcp://127.0.0.1:{port}"}
    root = object_store.new_root()
    job, cluster = words_of(JOB["job"]), JOB["cluster"]["spec"]
    job[job.index("--root") + 1] = root
    here = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    with ExitStack() as pods:
        words = [*words_of(cluster["scheduler"]), *here, "--port", str(port)]
        pods.enter_context(image.running(words, tmp_path / "scheduler.log"))
        wait_for_port(port)  # a job that finds nobody ends with 75, for Kubernetes to begin it again
        for number in range(cluster["worker"]["replicas"]):
            words = [each.replace("$(DASK_WORKER_NAME)", f"w{number}") for each in words_of(cluster["worker"])]
            log = tmp_path / f"w{number}.log"
            pods.enter_context(image.running([*words, *here], log, **variables))
        done = image.run([*job, *SETTINGS], **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    beside = funkflow("run", "demo", "--root", str(tmp_path / "root"), *SETTINGS, "--set", "cluster.workers=2")
    assert beside.returncode == 0, beside.stderr
    (local,) = (tmp_path / "root").glob("runs/*/model/model.json")
    name = local.relative_to(tmp_path / "root")
    model = json.loads(S3FileSystem().cat(f"{root}/{name}"))
    assert model["parts"] == json.loads(local.read_text(encoding="utf-8"))["parts"]
    registered = ["Registered to" in log.read_text(encoding="utf-8") for log in tmp_path.glob("w?.log")]
    assert registered == [True, True]
