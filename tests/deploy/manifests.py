"""What Kubernetes would say of a manifest: its own schemas, and the rules that a schema cannot say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
Manifest = dict[str, Any]

# The custom resource of the Prometheus operator, as far as it is used here.
_SERVICE_MONITOR = {"selector", "endpoints", "namespaceSelector", "jobLabel"}


def manifests_in(text: str) -> list[Manifest]:
    """Read the documents of a file."""
    return [document for document in yaml.safe_load_all(text) if document is not None]


def judge(manifest: Manifest) -> None:
    """Raise if Kubernetes would refuse a manifest: unknown fields count."""
    if manifest["kind"] == "ServiceMonitor":
        assert manifest["apiVersion"] == "monitoring.coreos.com/v1"
        assert manifest["spec"].keys() <= _SERVICE_MONITOR
        return
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def pod_of(manifest: Manifest) -> Manifest | None:
    """The pod that a manifest makes, if any."""
    return manifest["spec"]["template"]["spec"] if manifest["kind"] == "Deployment" else None


def proxies_in(pod: Manifest) -> list[Manifest]:
    """The containers of ours."""
    return [each for each in (*pod.get("initContainers", ()), *pod["containers"]) if each["name"] == "corsproxy"]


def is_restricted(pod: Manifest, container: Manifest) -> bool:
    """Whether a container keeps to the restricted Pod Security Standard, and writes nothing."""
    whole, own = pod.get("securityContext", {}), container.get("securityContext", {})
    return (
        {**whole, **own}.get("runAsNonRoot") is True
        and {**whole, **own}.get("runAsUser") == 65532
        and {**whole, **own}.get("seccompProfile") == {"type": "RuntimeDefault"}
        and own.get("allowPrivilegeEscalation") is False
        and own.get("capabilities") == {"drop": ["ALL"]}
        and own.get("readOnlyRootFilesystem") is True
        and not pod.get("hostNetwork")
    )


def policies_in(manifests: list[Manifest]) -> Iterator[str]:
    """The policy files that ConfigMaps hold."""
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap":
            yield manifest["data"]["corsproxy.yaml"]
