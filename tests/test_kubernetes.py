"""deploy/kubernetes, without a cluster: as kubectl renders it, beside Compose and the settings."""

import json
import re
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from common.pyportal_common.jobs.outbox import OutboxSettings

from .manifests import (
    COMPOSE,
    OTHER_SCHEMAS,
    OVERLAYS,
    container_of,
    named,
    of_kind,
    ours,
    pod_of,
    pods,
    rendered,
    seconds,
    variables_in,
)
from .portal_api import PORTS

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_every_manifest_is_valid(overlay: str, version: str) -> None:
    for resource in rendered(overlay):
        if resource["kind"] in OTHER_SCHEMAS:
            jsonschema.validate(resource["spec"], OTHER_SCHEMAS[resource["kind"]])
        else:
            kubernetes_validate.validate(resource, version, strict=True)


def test_a_manifest_with_a_wrong_field_is_not_valid() -> None:
    wrong = json.loads(json.dumps(next(of_kind("production", "Deployment"))))
    wrong["spec"]["template"]["spec"]["containers"][0]["readOnly"] = True

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


def port_of(service: str) -> int:
    """The port of a service in Compose."""
    (published,) = COMPOSE["services"][f"{service}-service"]["ports"]
    return int(published.rpartition(":")[2])


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("service", PORTS)
class TestAsCompose:
    def test_images_and_commands(self, service: str, overlay: str) -> None:
        for part in ("service", "worker", "migrations"):
            compose = COMPOSE["services"][f"{service}-{part}"]
            pod = dict(pods(overlay))[f"{service}-{part}"]

            for container in (*pod["containers"], *pod.get("initContainers", [])):
                image = container["image"].rpartition("/")[2].partition(":")[0]
                assert image == compose["image"]
            assert container_of(overlay, f"{service}-{part}").get("command") == (
                compose.get("command")
            )

    def test_ports(self, service: str, overlay: str) -> None:
        port = port_of(service)
        container = container_of(overlay, f"{service}-service")
        (listening,) = container["ports"]
        (published,) = named(overlay, "Service", f"{service}-service")["spec"]["ports"]
        variables = variables_in(overlay, container)

        assert listening == {"name": "http", "containerPort": port}
        assert published == {"name": "http", "port": port, "targetPort": "http"}
        assert variables["PORT"] == str(port)
        url = f"http://{service}-service:{port}"
        assert variables[f"{service.upper()}_URL"] == url
        assert OutboxSettings.model_fields[f"{service}_url"].default == url

    def test_probes_of_the_service(self, service: str, overlay: str) -> None:
        container = container_of(overlay, f"{service}-service")
        check = COMPOSE["services"][f"{service}-service"]["healthcheck"]

        ready = container["readinessProbe"]
        assert ready["httpGet"] == {"path": "/readyz", "port": "http"}
        assert ready["periodSeconds"] == seconds(check["interval"])
        assert ready["timeoutSeconds"] == seconds(check["timeout"])
        assert ready["failureThreshold"] == check["retries"]
        for name in ("livenessProbe", "startupProbe"):
            assert container[name]["httpGet"] == {"path": "/livez", "port": "http"}

    def test_probes_of_the_worker(self, service: str, overlay: str) -> None:
        container = container_of(overlay, f"{service}-worker")
        *_, port, path = COMPOSE["services"][f"{service}-worker"]["healthcheck"]["test"]

        for name in ("livenessProbe", "startupProbe"):
            assert container[name]["httpGet"] == {"path": path, "port": "metrics"}
        assert container["ports"] == [{"name": "metrics", "containerPort": int(port)}]
        assert variables_in(overlay, container)["WORKER_METRICS_PORT"] == port

    def test_grace_periods(self, service: str, overlay: str) -> None:
        graces = {
            part: seconds(COMPOSE["services"][f"{service}-{part}"]["stop_grace_period"])
            for part in ("service", "worker")
        }
        serving, working = (dict(pods(overlay))[f"{service}-{part}"] for part in graces)
        _, pause = serving["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        variables = variables_in(overlay, working["containers"][0])

        assert serving["terminationGracePeriodSeconds"] == int(pause) + graces["service"]
        assert working["terminationGracePeriodSeconds"] == graces["worker"]
        assert int(variables["WORKER_GRACE_SECONDS"]) + 5 <= graces["worker"]

    def test_memory(self, service: str, overlay: str) -> None:
        limit = re.search(r":-(\d+)m}", COMPOSE["services"][f"{service}-service"]["mem_limit"])
        assert limit

        for part in ("service", "worker"):
            resources = container_of(overlay, f"{service}-{part}")["resources"]
            assert resources["limits"] == {"memory": f"{limit[1]}Mi"}


@pytest.mark.parametrize("name", ["redis", "db"])
def test_the_servers_of_development_are_those_of_compose(name: str) -> None:
    compose = COMPOSE["services"][name]
    pod, container = dict(pods("development"))[name], container_of("development", name)

    assert container["image"] == compose["image"]
    assert pod["terminationGracePeriodSeconds"] == seconds(compose["stop_grace_period"])
    assert container.get("command") == compose.get("command")
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    for volume in compose["volumes"]:
        target = volume.split(":")[1]
        assert target in mounted or str(Path(target).parent) in mounted


@pytest.mark.parametrize("overlay", OVERLAYS)
class TestPods:
    def test_each_runs_without_privileges_and_writes_to_volumes_only(self, overlay: str) -> None:
        user = re.search(
            r"^USER (\d+):(\d+)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE
        )
        assert user
        for name, pod in ours(overlay):
            security = pod["securityContext"]
            assert (security["runAsUser"], security["runAsGroup"]) == (int(user[1]), int(user[2]))
            assert security["fsGroup"] == security["runAsGroup"], name  # reads the secrets
        for name, pod in pods(overlay):
            assert pod["securityContext"]["runAsNonRoot"] is True, name
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in (*pod["containers"], *pod.get("initContainers", [])):
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }

    def test_none_knows_the_cluster(self, overlay: str) -> None:
        """A link to the service `redis` would be the variable REDIS_PORT=tcp://…."""
        for name, pod in pods(overlay):
            assert pod["enableServiceLinks"] is False, name
            assert pod["automountServiceAccountToken"] is False, name

    def test_each_has_resources(self, overlay: str) -> None:
        for name, pod in pods(overlay):
            for container in (*pod["containers"], *pod.get("initContainers", [])):
                assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
                assert container["resources"]["limits"].keys() == {"memory"}, name

    def test_each_mount_has_a_volume(self, overlay: str) -> None:
        claims = {"data"}  # of StatefulSets
        for name, pod in pods(overlay):
            volumes = {volume["name"] for volume in pod["volumes"]}
            for container in (*pod["containers"], *pod.get("initContainers", [])):
                mounts = {mount["name"] for mount in container["volumeMounts"]}
                assert mounts <= volumes | (claims if name in {"redis", "db"} else set()), name

    def test_services_and_workers_wait_for_the_migrations(self, overlay: str) -> None:
        for each in of_kind(overlay, "Deployment"):
            (waiting,) = pod_of(each)["initContainers"]
            assert waiting["command"] == ["flask", "--app", "wsgi", "db", "wait"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_select_the_pods_of_one_workload(overlay: str) -> None:
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in of_kind(overlay, "Deployment", "StatefulSet", "Job")
    }

    for each in of_kind(overlay, "Service", "PodDisruptionBudget"):
        selector = each["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        selected = [name for name, own in labels.items() if selector.items() <= own.items()]
        assert selected == [each["metadata"]["name"]]


def test_production_scales_services_by_cpu_and_workers_by_the_age_of_jobs() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    autoscalers = [each["spec"] for each in of_kind("production", "HorizontalPodAutoscaler")]
    scaled = {spec["scaleTargetRef"]["name"]: spec for spec in autoscalers}

    assert scaled.keys() == {
        each["metadata"]["name"] for each in of_kind("production", "Deployment")
    }
    for name, spec in scaled.items():
        service, _, part = name.partition("-")
        if part == "service":
            assert [metric["resource"]["name"] for metric in spec["metrics"]] == ["cpu"]
            continue
        (metric,) = (each["external"]["metric"] for each in spec["metrics"])
        assert f"| `{metric['name']}` |" in page
        assert metric["selector"] == {"matchLabels": {"job": service}}  # of all kinds of jobs


def test_development_has_one_of_each() -> None:
    assert list(of_kind("development", "HorizontalPodAutoscaler")) == []
    for each in of_kind("development", "Deployment", "StatefulSet"):
        assert each["spec"].get("replicas", 1) == 1


def test_prometheus_finds_the_services_and_names_them_as_the_alerts_do() -> None:
    (monitor,) = of_kind("production", "ServiceMonitor")
    selector = monitor["spec"]["selector"]["matchLabels"]
    jobs = {
        each["metadata"]["labels"][monitor["spec"]["jobLabel"]]
        for each in of_kind("production", "Service")
        if selector.items() <= each["metadata"]["labels"].items()
    }
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))

    assert jobs == {each["job_name"] for each in scraped["scrape_configs"]} - {"redis"}
