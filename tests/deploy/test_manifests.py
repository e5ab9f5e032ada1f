"""What is shipped for Kubernetes, Helm, Compose and systemd is what these take, and every policy in it passes `check --strict`."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from corsproxy import __version__
from corsproxy.cli.main import main
from tests.deploy.manifests import DEPLOY, Manifest, is_restricted, judge, manifests_in, pod_of, policies_in, proxies_in

CHART = DEPLOY / "helm" / "corsproxy"
FILES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
Render = Callable[[dict[str, Any]], list[Manifest]]

# Values under which every template and every branch of it is used.
EVERYTHING: dict[str, Any] = {
    "image": {"repository": "registry.example.com/corsproxy", "tag": "1.2.3"},
    "imagePullSecrets": [{"name": "pull"}],
    "env": [{"name": "LEGACY_API_KEY", "valueFrom": {"secretKeyRef": {"name": "legacy-api-key", "key": "key"}}}],
    "config": {"headers": {"request": {"set": {"X-Api-Key": "${LEGACY_API_KEY}"}}}},
    "networkPolicy": {
        "enabled": True,
        "ingressFrom": [{"podSelector": {}}],
        "metricsFrom": [{"namespaceSelector": {}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
    },
    "serviceMonitor": {"enabled": True},
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
# The least: what can be switched off is.
LITTLE: dict[str, Any] = {"autoscaling": {"enabled": False}, "podDisruptionBudget": {"enabled": False}, "replicaCount": 1}


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Render the chart: by helm, or by the template engine that helm is made of."""
    place = tmp_path_factory.mktemp("helm")
    if (helm := shutil.which("helm")) is not None:
        command = [helm, "template", "orders", str(CHART), "--namespace", "prod", "--values"]
    elif (go := shutil.which("go")) is not None and Path("/usr/share/gocode/src/github.com/Masterminds/sprig").exists():
        program = place / "render"
        source = Path(__file__).parent / "render" / "main.go"
        variables = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(place / "cache")}
        subprocess.run([go, "build", "-o", program, source], check=True, env=variables, timeout=300)
        command = [str(program), str(CHART), "orders", "prod"]
    elif os.environ.get("CI"):
        pytest.fail("neither helm nor Debian's golang-go with golang-github-masterminds-sprig-dev is here")
    else:
        pytest.skip("NOT TESTED: the Helm chart, for neither helm nor Debian's Go with sprig is here")

    def rendered(values: dict[str, Any]) -> list[Manifest]:
        file = place / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        done = subprocess.run([*command, file], check=True, capture_output=True, text=True, timeout=60)
        return manifests_in(done.stdout)

    return rendered


def check(policy: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = place / "corsproxy.yaml"
    file.write_text(policy)
    status = main(["check", "--strict", "--config", str(file)])
    assert status == 0, capsys.readouterr()


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that the manifests take from Secrets."""
    for name in ("LEGACY_API_KEY", "ORDERS_API_KEY"):
        monkeypatch.setenv(name, "a-key-for-tests")


# --- Kubernetes ---


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_kubernetes_takes_a_manifest(file: Path) -> None:
    manifests = manifests_in(file.read_text())

    assert manifests
    for manifest in manifests:
        judge(manifest)


def test_a_manifest_with_an_unknown_field_is_refused() -> None:
    (service, *_) = [each for each in manifests_in((DEPLOY / "kubernetes" / "sidecar.yaml").read_text()) if each["kind"] == "Service"]
    service["spec"]["prots"] = []

    with pytest.raises(Exception, match="prots"):
        judge(service)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.usefixtures("secrets")
def test_the_policy_of_a_manifest_passes_check(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for policy in policies_in(manifests_in(file.read_text())):
        check(policy, tmp_path, capsys)


def judge_pods(manifests: list[Manifest]) -> None:
    """What goes for every pod with a proxy in it."""
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    (pod,) = [pod for each in manifests if (pod := pod_of(each)) is not None]
    (proxy,) = proxies_in(pod)
    assert is_restricted(pod, proxy)
    assert pod["automountServiceAccountToken"] is False
    ports = {port["name"] for port in proxy["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert proxy[probe]["httpGet"]["port"] in ports
    for volume in pod["volumes"]:
        assert ("ConfigMap", volume["configMap"]["name"]) in names
    policy = yaml.safe_load(next(policies_in(manifests)))
    shutdown = policy.get("shutdown", {"delay": "0s", "grace": "25s"})
    assert sum(int(value.removesuffix("s")) for value in shutdown.values()) < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", ["sidecar", "standalone"])
def test_a_pod_is_restricted_and_its_parts_fit_together(name: str) -> None:
    judge_pods(manifests_in((DEPLOY / "kubernetes" / f"{name}.yaml").read_text()))


def test_the_sidecar_is_a_native_one() -> None:
    (pod,) = [pod for each in manifests_in((DEPLOY / "kubernetes" / "sidecar.yaml").read_text()) if (pod := pod_of(each))]
    (proxy,) = pod["initContainers"]

    assert proxy["name"] == "corsproxy"
    assert proxy["restartPolicy"] == "Always"
    assert "startupProbe" in proxy


# --- Helm ---


@pytest.mark.parametrize("values", [{}, EVERYTHING, LITTLE], ids=["defaults", "everything", "little"])
@pytest.mark.usefixtures("secrets")
def test_the_chart_makes_what_kubernetes_takes(
    values: dict[str, Any], render: Render, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifests = render(values)

    for manifest in manifests:
        judge(manifest)
    judge_pods(manifests)
    for policy in policies_in(manifests):
        check(policy, tmp_path, capsys)


def test_what_is_switched_off_is_not_there(render: Render) -> None:
    always = {"ConfigMap", "Deployment", "Service"}

    assert {each["kind"] for each in render(LITTLE)} == always
    assert {each["kind"] for each in render(EVERYTHING)} == always | {
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "ServiceMonitor",
    }


def test_the_values_keep_to_their_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(values, schema)
    for wrong in ({**values, "replicas": 3}, {**values, "config": {"listen": ":80"}}, {**values, "service": {"port": 0}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_the_chart_speaks_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == __version__
    assert re.findall(r"image: corsproxy:(\S+)", "".join(file.read_text() for file in FILES)) == [__version__] * 2


# --- Compose ---


@pytest.mark.usefixtures("secrets")
def test_the_policy_of_compose_passes_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())

    # Compose replaces variables itself; two dollars are one.
    check(compose["configs"]["policy"]["content"].replace("$$", "$"), tmp_path, capsys)
    assert compose["services"]["corsproxy"]["configs"] == [{"source": "policy", "target": "/etc/corsproxy/corsproxy.yaml"}]


# --- systemd ---


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, with a program that exists in the place of the installed one."""
    program = shutil.which("true")
    assert program is not None
    found = []
    for unit in sorted((DEPLOY / "systemd").iterdir()):
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace("/opt/corsproxy/bin/corsproxy", program))
        found.append(copy)
    return found


def systemd_analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("systemd-analyze is missing")
        pytest.skip("NOT TESTED: the systemd units, for systemd-analyze is missing")
    return found


def test_systemd_takes_the_units(units: list[Path]) -> None:
    done = subprocess.run([systemd_analyze(), "verify", "--man=no", *units], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_is_hardened(units: list[Path]) -> None:
    service = next(unit for unit in units if unit.suffix == ".service")
    done = subprocess.run(
        [systemd_analyze(), "security", "--offline=yes", "--threshold=20", service], capture_output=True, text=True, timeout=60, check=False
    )

    # "Overall exposure level": 2.0 of 10 at most.
    assert done.returncode == 0, done.stdout[-500:]
