"""The alerts of deploy/prometheus, without a portal."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from common.pyportal_common.testing.plugin import missing

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"


@pytest.fixture
def promtool() -> str:
    """The path of promtool."""
    return shutil.which("promtool") or missing("promtool")


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, object]]:
    groups = yaml.safe_load((PROMETHEUS / "rules" / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.slow
def test_each_alert_fires_in_its_case(promtool: str) -> None:
    assert "SUCCESS" in run(promtool, "test", "rules", PROMETHEUS / "tests" / "alerts.yml")


def test_each_alert_has_a_case_that_fires_it() -> None:
    cases = yaml.safe_load((PROMETHEUS / "tests" / "alerts.yml").read_text("utf-8"))["tests"]
    expected = [each for case in cases for each in case["alert_rule_test"]]

    fired = {each["alertname"] for each in expected if each.get("exp_alerts")}

    assert fired == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("name", ["prometheus.yml", "local.yml", "scale.yml"])
def test_the_configurations_are_valid(promtool: str, name: str) -> None:
    run(promtool, "check", "config", PROMETHEUS / name)


def test_each_alert_leads_to_its_section_of_the_documentation() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    anchors = {heading.lower() for heading in re.findall(r"^### (\w+)$", page, re.MULTILINE)}

    for rule in rules():
        annotations = dict(rule["annotations"])  # type: ignore[call-overload]
        path, anchor = annotations["runbook_url"].split("#")
        assert path == "docs/operations.md"
        assert anchor == str(rule["alert"]).lower()
        assert anchor in anchors
