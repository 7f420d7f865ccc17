"""The Helm chart: accepted by helm and by Kubernetes' own schemas, and true to what the program takes."""

import datetime as dt
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.files import (
    ALERTS,
    CHART,
    DASHBOARD,
    ROOT,
    TOOLS,
    chart,
    manifests,
    parse,
    refused_settings,
    run,
    tool,
)

CONFIGURATIONS = {
    "as it is": (),
    "foreign Kafka": ("--set", "kafka.createTopic=false,kafka.createUser=false,kafka.bootstrap=broker:9094"),
    "secrets and clients": (
        "--set", "lakeCredentialsSecret=s3,imagePullSecrets[0].name=registry",
        "--set", "networkPolicy.clients[0].podSelector.matchLabels.app=feed",
    ),
    "bare": ("--set", "networkPolicy.enabled=false,monitoring.configMaps=false"),
}  # fmt: skip


def kubeconform(text: str) -> subprocess.CompletedProcess[str]:
    """Returns what kubeconform says of manifests: unknown kinds and unknown fields are errors."""
    schemas = [
        TOOLS / "kubernetes" / "{{ .ResourceKind }}{{ .KindSuffix }}.json",
        ROOT / "tests" / "deploy" / "schemas" / "{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json",
    ]
    locations = [part for schema in schemas for part in ("-schema-location", str(schema))]
    command = [tool("kubeconform"), "-strict", "-summary", "-kubernetes-version", "1.34.0", *locations]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=300)


def test_helm_finds_nothing_to_complain_of() -> None:
    run(tool("helm"), "lint", "--strict", "--kube-version", "1.34.0", CHART)


@pytest.mark.parametrize("options", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_kubernetes_strimzi_and_keda_would_take_every_manifest(options: tuple[str, ...]) -> None:
    said = kubeconform(chart(*options))
    assert said.returncode == 0, said.stdout
    assert "Invalid: 0, Errors: 0, Skipped: 0" in said.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("concurrencyPolicy", "concurencyPolicy"),
        ("pollingInterval", "polingInterval"),
        ("partitions: 12", "partitions: many"),
        ("patternType", "pattern"),
        ("maxUnavailable: 1", "maxUnavailable: {a: 1}"),
    ],
)
def test_the_check_finds_mistakes(right: str, wrong: str) -> None:
    text = chart()
    assert right in text
    assert kubeconform(text.replace(right, wrong)).returncode == 1


def found(kind: str, part: str = "", *options: str) -> dict[str, Any]:
    (one,) = (each for each in manifests(*options) if each["kind"] == kind and each["metadata"]["name"].endswith(part))
    return one


def pods() -> dict[str, dict[str, Any]]:
    """Returns the pods of each part."""
    made = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in manifests()
        if each["kind"] == "Deployment"
    }
    made["trainer"] = found("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return made


def test_every_part_runs_a_command_that_there_is_with_settings_that_there_are() -> None:
    commands = [container["args"] for pod in pods().values() for container in pod["containers"]]
    for command in commands:
        parse(command)
    assert sorted(command[0] for command in commands) == ["collect", "load", "serve", "train"]
    assert refused_settings(chart()) == set()


def test_every_part_runs_as_nobody_on_a_file_system_that_it_cannot_write() -> None:
    for name, pod in pods().items():
        assert pod["securityContext"]["runAsNonRoot"], name
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"], name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name


def test_there_are_never_more_loaders_than_partitions() -> None:
    options = ("--set", "kafka.partitions=7")
    assert found("ScaledObject", "", *options)["spec"]["maxReplicaCount"] == 7
    assert found("KafkaTopic", "", *options)["spec"]["partitions"] == 7
    assert "partitions=7&" in chart(*options)


def test_the_address_of_the_topic_is_one_that_the_program_reads_and_holds_no_secret() -> None:
    from clapometer.eventlog.kafka import parse_kafka_url

    (container,) = pods()["release-clapometer-collector"]["containers"]
    (address,) = (each["value"] for each in container["env"] if each["name"] == "CLAPOMETER_LOG")
    read = parse_kafka_url(address, password=None)
    assert (read.servers, read.topic, read.security) == (("events-kafka-bootstrap:9093",), "clapometer", "sasl_ssl")
    user = found("KafkaUser")["spec"]["authorization"]["acls"]
    assert {"name": read.group, "type": "group", "patternType": "literal"} in [each["resource"] for each in user]
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    assert {str(read.password.file.parent), str(read.ca_file.parent)} <= mounts


def test_the_topic_of_the_chart_is_what_the_log_needs() -> None:
    from clapometer.eventlog.kafka import parse_kafka_url
    from clapometer.eventlog.kafka.topic import topic_config

    (container,) = pods()["release-clapometer-collector"]["containers"]
    (address,) = (each["value"] for each in container["env"] if each["name"] == "CLAPOMETER_LOG")
    wanted = topic_config(parse_kafka_url(address, password=None))
    config = {name: str(value).lower() for name, value in found("KafkaTopic")["spec"]["config"].items()}
    assert config == {name: value.lower() for name, value in wanted.items()}


def test_the_config_maps_hold_dashboard_and_rules_as_they_are() -> None:
    maps = [each["data"] for each in manifests() if each["kind"] == "ConfigMap"]
    held = {name: text.strip() for each in maps for name, text in each.items()}
    assert held == {"clapometer.json": DASHBOARD.read_text().strip(), "clapometer.yml": ALERTS.read_text().strip()}


def scheduled(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    values = folder / "values.yaml"
    values.write_text(f"trainer: {{schedule: '{text}'}}")
    command = [tool("helm"), "template", "release", str(CHART), "--kube-version", "1.34.0", "--values", str(values)]
    return subprocess.run(
        [*command, "--show-only", "templates/trainer.yaml"], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("0 9 * * 1", "0 9 * * 1"),
        ("0 9 * * 7", "0 9 * * 0"),
        ("0 9 * * 5-7", "0 9 * * 5-6,0"),
        ("0 9 * * 1,7", "0 9 * * 1,0"),
        ("7 7 7 7 0-7", "7 7 7 7 0-6,0"),
        ("0 9 1,15 * mon-FRI", "0 9 1,15 * mon-FRI"),
        ("@daily", "@daily"),
    ],
)
def test_the_cron_job_trains_at_the_times_that_the_setting_would(text: str, made: str, tmp_path: Path) -> None:
    from clapometer.training.when import parse_when

    (manifest,) = yaml.safe_load_all(scheduled(text, tmp_path).stdout)
    assert (manifest["spec"]["schedule"], manifest["spec"]["timeZone"]) == (made, "Etc/UTC")
    asked, done = parse_when(text), parse_when(made)
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    for _ in range(500):
        assert asked.after(moment) == (moment := done.after(moment))


@pytest.mark.parametrize(
    "text", ["15m", "15 minutes", "", "0 0 9 * * 1", "@every 1h", "@reboot", "TZ=UTC 0 9 * * *", "5/15 * * * *",
             "0 9 ? * 1", "0 9 * * 1#2", "0 9 */2 * 1", "0 9 1 * */2", "0 9 * * 1-7/2"],
)  # fmt: skip
def test_what_kubernetes_would_read_otherwise_or_not_at_all_is_refused_by_the_chart(text: str, tmp_path: Path) -> None:
    done = scheduled(text, tmp_path)
    assert done.returncode == 1
    assert "trainer.schedule: " in done.stderr


def test_only_who_judges_keys_and_signs_tokens_has_them() -> None:
    """A loader or trainer that is taken over gives neither away."""
    secrets = {
        name.removeprefix("release-clapometer-"): {
            volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume
        }
        for name, pod in pods().items()
    }
    kafka = {"clapometer", "events-cluster-ca-cert"}
    assert secrets == {
        "collector": {"clapometer-keys", *kafka}, "serving": {"clapometer-keys"}, "loader": kafka, "trainer": set(),
    }  # fmt: skip
    for name, pod in pods().items():
        (container,) = pod["containers"]
        variables = {each["name"] for each in container["env"]}
        assert ("CLAPOMETER_KEYS_FILE" in variables) == ("keys" in {each["name"] for each in pod["volumes"]}), name
        assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}, name


def test_nobody_reads_rankings_without_a_key_unless_it_is_said() -> None:
    for pod in pods().values():
        (container,) = pod["containers"]
        assert {"name": "CLAPOMETER_PUBLIC_TENANT", "value": ""} in container["env"]


@pytest.mark.parametrize("clients", [(), ("--set", "networkPolicy.clients[0].podSelector.matchLabels.app=feed")])
def test_nothing_is_open_to_everybody(clients: tuple[str, ...]) -> None:
    policies = [each for each in manifests(*clients) if each["kind"] == "NetworkPolicy"]
    for policy in policies:
        for rule in policy["spec"].get("ingress", []):
            assert rule["from"], policy["metadata"]["name"]
            assert {} not in rule["from"]
    (collector,) = (each["spec"] for each in policies if each["metadata"]["name"].endswith("-collector"))
    peers = collector["ingress"][0]["from"]
    assert peers[0] == {"podSelector": {}}  # of its own namespace
    assert peers[1:] == ([{"podSelector": {"matchLabels": {"app": "feed"}}}] if clients else [])


def test_every_pod_is_behind_a_network_policy() -> None:
    policies = [each["spec"]["podSelector"]["matchLabels"] for each in manifests() if each["kind"] == "NetworkPolicy"]
    parts = {labels["app.kubernetes.io/component"] for labels in policies}
    assert parts == {"collector", "loader", "trainer", "serving"}
