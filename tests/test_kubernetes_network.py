"""What the network policies of deploy/kubernetes allow, without a cluster."""

from collections.abc import Iterator

import pytest

from .manifests import OVERLAYS, Resource, named, of_kind, pods

ALLOWED = (
    ("usermanagement-service", "redis", 6379),
    ("notification-worker", "redis", 6379),
    ("taskprocessing-service", "db", 5432),
    ("usermanagement-worker", "db", 5432),
    ("notification-migrations", "db", 5432),
    ("usermanagement-worker", "notification-service", 5003),
    ("notification-worker", "usermanagement-service", 5001),
    ("taskprocessing-service", "usermanagement-service", 5001),
)
DENIED = (
    ("notification-migrations", "redis", 6379),
    ("notification-migrations", "usermanagement-service", 5001),
    ("redis", "db", 5432),
    ("db", "redis", 6379),
    ("db", "usermanagement-service", 5001),
    ("usermanagement-service", "usermanagement-worker", 9102),
    ("usermanagement-service", "db", 22),
    ("usermanagement-service", "redis", 5432),
)


@pytest.mark.parametrize(("source", "target", "port"), ALLOWED)
def test_what_is_needed_is_allowed(source: str, target: str, port: int) -> None:
    assert leaves(source, target, port)
    assert enters(source, target, port)


@pytest.mark.parametrize(("source", "target", "port"), DENIED)
def test_all_else_is_denied(source: str, target: str, port: int) -> None:
    assert not (leaves(source, target, port) and enters(source, target, port))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_denied_by_default_in_both_directions(overlay: str) -> None:
    denying = named(overlay, "NetworkPolicy", "deny-all")["spec"]

    assert denying == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_deliveries_leave_for_the_internet(overlay: str) -> None:
    leaving = {
        name
        for name, _ in pods(overlay)
        for rule in rules(overlay, name, "egress")
        for peer in rule["to"]
        if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"
    }

    assert leaving == {"notification-worker"}


def labels_of(overlay: str, name: str) -> dict[str, str]:
    (labels,) = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in of_kind(overlay, "Deployment", "StatefulSet", "Job")
        if each["metadata"]["name"] == name
    ]
    return dict(labels)


def selects(selector: Resource, labels: dict[str, str]) -> bool:
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for each in selector.get("matchExpressions", []):
        values = each.get("values", [labels.get(each["key"])])
        if labels.get(each["key"]) is None or labels[each["key"]] not in values:
            return False
    return True


def rules(overlay: str, name: str, direction: str) -> Iterator[Resource]:
    """The rules in a direction of all policies that select a workload's pods."""
    for policy in of_kind(overlay, "NetworkPolicy"):
        if selects(policy["spec"]["podSelector"], labels_of(overlay, name)):
            yield from policy["spec"].get(direction, [])


def leaves(source: str, target: str, port: int) -> bool:
    return any(matches(rule, "to", target, port) for rule in rules("development", source, "egress"))


def enters(source: str, target: str, port: int) -> bool:
    return any(
        matches(rule, "from", source, port) for rule in rules("development", target, "ingress")
    )


def matches(rule: Resource, side: str, name: str, port: int) -> bool:
    """Whether a rule allows a port to or from the pods of a workload of the same namespace."""
    labels = labels_of("development", name)
    return port in {each["port"] for each in rule.get("ports", [])} and any(
        "namespaceSelector" not in peer and selects(peer["podSelector"], labels)
        for peer in rule[side]
        if "podSelector" in peer
    )
