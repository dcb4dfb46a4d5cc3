"""What is deployed with: Kubernetes manifests against the operator's own schema, the Containerfile, the page about it.

Covers: deploy/, Containerfile, docs/deploy.md, and what conf/clusters/kubernetes.toml asks the operator for. The schema
is the custom resource that dask-kubernetes' wheel brings.
Does not cover: a Kubernetes cluster; the image is built, and the manifests' commands run in it, by test_image.py.
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from kubernetes_preset import PODS, asked_for

from funkflow.pipeline.settings.cluster_preset import read_preset
from funkflow.pipeline.settings.presets import CLUSTERS, presets

CHECKOUT = Path(__file__).parents[2]
CRDS = "deployment/helm/dask-kubernetes-operator/crds"
MANIFESTS = sorted((CHECKOUT / "deploy").glob("*.yaml"))
PAGE = (CHECKOUT / "docs" / "deploy.md").read_text(encoding="utf-8")


def closed(schema: Any) -> Any:
    """Return the schema with every object closed: Kubernetes would drop what it does not know, and say nothing."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        inner.setdefault("additionalProperties", False)
    return inner


def faults(manifest: dict[str, Any]) -> list[str]:
    file = resources.files("dask_kubernetes.operator").joinpath(CRDS, f"{manifest['kind'].lower()}.yaml")
    definition = yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    (version,) = definition["spec"]["versions"]
    assert manifest["apiVersion"] == f"{definition['spec']['group']}/{version['name']}"
    schema = closed(version["schema"]["openAPIV3Schema"])
    for name in ("apiVersion", "kind", "metadata"):  # every resource has them; a definition does not list them
        schema["properties"].setdefault(name, {})
    return [
        f"{each.json_path}: {each.message}" for each in jsonschema.Draft202012Validator(schema).iter_errors(manifest)
    ]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_is_what_the_operator_takes(path: Path) -> None:
    assert faults(yaml.safe_load(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "instead", "fault"),
    [
        ("replicas: 2", "replicas: two", "'two' is not of type 'integer'"),
        ("containerPort: 8786", "port: 8786", "'port' was unexpected"),
        ("image: funkflow:0.2.0\n          # One", "img: x\n          # One", "'img' was unexpected"),
    ],
)
def test_a_slip_in_a_manifest_is_found(text: str, instead: str, fault: str) -> None:
    good = (CHECKOUT / "deploy" / "daskcluster.yaml").read_text(encoding="utf-8")
    assert text in good
    (found,) = [each for each in faults(yaml.safe_load(good.replace(text, instead))) if fault in each]
    assert found.startswith("$.spec.")


def test_job_and_cluster_describe_the_same_cluster() -> None:
    cluster, job = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in MANIFESTS)
    text = re.sub(r"cluster-name': '[\w-]+'", "", str(job["spec"]["cluster"]["spec"]))
    assert text == re.sub(r"cluster-name': '[\w-]+'", "", str(cluster["spec"]))


def test_the_preset_asks_for_what_the_operator_takes() -> None:
    assert faults(asked_for()) == []


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_of_the_preset_starts_a_program_that_there_is(pod: str) -> None:
    """KubeCluster starts `dask-scheduler`, which Dask no longer has: the image makes one."""
    (container,) = asked_for()["spec"][pod]["spec"]["containers"]
    made = re.findall(r">/usr/local/bin/(\S+)", (CHECKOUT / "Containerfile").read_text(encoding="utf-8"))
    here = shutil.which(container["args"][0], path=str(Path(sys.executable).parent))
    assert here or container["args"][0] in made


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_of_the_preset_reaches_the_root_as_those_of_the_manifests_do(pod: str) -> None:
    (container,) = asked_for()["spec"][pod]["spec"]["containers"]
    (secret,) = {each["valueFrom"]["secretKeyRef"]["name"] for each in container["env"]}
    assert all(secret in path.read_text(encoding="utf-8") for path in MANIFESTS)
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} < {each["name"] for each in container["env"]}


def test_a_worker_of_the_preset_has_a_thread_for_each_core_of_its_limit() -> None:
    (container,) = asked_for()["spec"]["worker"]["spec"]["containers"]
    threads = container["args"][container["args"].index("--nthreads") + 1]
    assert threads == container["resources"]["limits"]["cpu"]


def test_runs_of_the_preset_have_a_cluster_each() -> None:
    """One that finds a cluster of its name uses that, until whoever made it takes it away."""
    assert "{uuid}" in read_preset("kubernetes")[0].kwargs["name"]


def test_the_image_copies_what_is_there_and_needs_no_index_of_ours() -> None:
    text = (CHECKOUT / "Containerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE)
    assert copied
    assert all((CHECKOUT / name).exists() for line in copied for name in line.split())
    assert "--require-hashes -r requirements.lock" in text


def test_the_page_has_every_cluster_that_ships() -> None:
    assert [name for name in presets(CLUSTERS) if f"conf/clusters/{name}.toml" not in PAGE] == []
