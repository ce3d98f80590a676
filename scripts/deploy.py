#!/usr/bin/env python3
"""Deploy: what is in deploy/ is what Helm and Kubernetes take. Prints every breach; exit code 1 if any.

The chart is linted strictly and rendered with several values for the oldest and the newest Kubernetes; each object is
validated strictly against that version's schema, and against what this project promises of it: rights, mounts,
capabilities. deploy/manifests is what the chart renders by default; a test has what it renders with webhooks. Wrong
values are refused by the chart's own schema.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml
from helm_python import chart as helm

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy/helm/logferry"
# What is rendered of which values, to be kept: plain manifests, and what a test installs.
MANIFESTS = {
    ROOT / "deploy/manifests/logferry.yaml": {"namespace": {"create": True}},
    ROOT / "agent/tests/data/sidecars.yaml": "ci/sidecars.yaml",
}
# The oldest and the newest Kubernetes, as Chart.yaml and docs/KUBERNETES.md say: rules in CEL know quantities since 1.29.
VERSIONS = ("1.30", "1.37")
HEADER = """# logferry by plain manifests: kubectl apply --server-side -f {path}
# Rendered from the Helm chart by scripts/deploy.sh; not to be edited.
"""
# Values that the chart's schema has to refuse.
WRONG_VALUES = (
    {"imgae": {}},
    {"image": {"tag": "a b"}},
    {"image": {"digest": "sha256:1"}},
    {"image": {"pullPolicy": "Sometimes"}},
    {"imagePullSecrets": ["registry"]},
    {"secrets": ["../kafka"]},
    {"secrets": [{"name": "kafka", "namespace": "bank"}]},
    {"logs": {"pods": "var/log/pods"}},
    {"containerFiles": {"socket": "containerd.sock"}},
    {"containerFiles": {"storage": "/var/lib/containerd"}},
    {"state": {"path": "/var/lib:x"}},
    {"metrics": {"port": 80}},
    {"config": {"sinks": {"a b": {}}}},
    {"config": {"logConfigs": {"web": {}}}},
    {"operator": {"replicas": -1}},
    {"operator": {"args": ["log-level=debug"]}},
    {"priorityClass": {"value": 2000000001}},
    {"networkPolicy": {"enabled": "yes"}},
    {"terminationGracePeriodSeconds": "30s"},
    {"webhook": {"timeoutSeconds": 30}},
    {"logDisk": {"maxSize": "1Gi"}},
    {"logDisk": {"path": "run/logdisk"}},
    {"logDisk": {"port": 80}},
)

problems = []


def problem(place, what):
    problems.append(f"{place}: {what}")


def values_of(path):
    return yaml.safe_load(path.read_text()) or {}


def rendered(values, namespace="logferry"):
    """The objects that the chart makes of values, and their text, in the order of the templates."""
    files = helm.Chart.load(str(CHART)).render(values=values, name="logferry", namespace=namespace)
    texts = [text.strip() for name, text in sorted(files.items()) if name.endswith(".yaml")]
    text = "\n---\n".join(text.removeprefix("---").strip() for text in texts if text) + "\n"
    return [it for it in yaml.safe_load_all(text) if it], text


def check_chart():
    cases = {"values.yaml": {}} | {path.name: values_of(path) for path in sorted(CHART.glob("ci/*.yaml"))}
    for name, values in cases.items():
        for version in VERSIONS:
            said = helm.lint(str(CHART), values, strict=True, kube_version=version, namespace="logferry")
            for message in said.get("messages") or []:
                # 0 and 1 are remarks: without an icon, for one.
                if message.get("severity", 0) > 1 or said.get("errors"):
                    problem(name, f"helm lint for {version}: {message}")
            for message in said.get("errors") or []:
                problem(name, f"helm lint for {version}: {message}")
        objects, _ = rendered(values)
        check_objects(name, objects)
    for values in WRONG_VALUES:
        try:
            helm.Chart.load(str(CHART)).validate_schema(values)
        except Exception:
            continue
        problem("values.schema.json", f"lets in {json.dumps(values)}")
    return len(cases)


def check_objects(place, objects):
    for it in objects:
        title = f"{place}: {it.get('kind')} {it.get('metadata', {}).get('name')}"
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(it, version, strict=True)
            except Exception as error:
                problem(title, f"for {version}: {error}")
    check_pod(place, objects)
    check_log_disk(place, objects)
    check_rights(place, objects)
    check_operator(place, objects)


def check_pod(place, objects):
    """What is promised of the pod: docs/KUBERNETES.md."""
    pods = [it["spec"]["template"]["spec"] for it in objects if it["kind"] == "DaemonSet" and not of_log_disk(it)]
    if len(pods) != 1:
        problem(place, f"{len(pods)} DaemonSets")
        return
    (pod,) = pods
    (container,) = pod["containers"]
    security = container["securityContext"]
    promises = {
        "no host network, pid or ipc": not any(pod.get(it) for it in ("hostNetwork", "hostPID", "hostIPC")),
        "not privileged": security.get("privileged") is False,
        "no way to more": security.get("allowPrivilegeEscalation") is False,
        "a root that is read only": security.get("readOnlyRootFilesystem") is True,
        "one capability": security.get("capabilities") == {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]},
        "the runtime's seccomp": pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"},
        "no environment of services": pod["enableServiceLinks"] is False,
        "a grace beyond shutdownGrace": pod["terminationGracePeriodSeconds"] > 25,
    }
    mounts = {it["name"]: it for it in container["volumeMounts"]}
    writable = {name for name, it in mounts.items() if not it.get("readOnly")}
    # Mounts that come and go on the host are neither missed nor held.
    of_runtime = [it for name, it in mounts.items() if name in {"runtime", "volumes", "log-disks"} or name.startswith("storage-")]
    promises["the runtime's mounts follow the host's"] = all(
        it.get("mountPropagation") == "HostToContainer" for it in of_runtime
    )
    promises["only the state is written"] = writable == {"state"}
    promises["every volume is mounted"] = {it["name"] for it in pod["volumes"]} == set(mounts)
    for promise, holds in promises.items():
        if not holds:
            problem(place, f"the pod breaks: {promise}")


def of_log_disk(it):
    return "-logdisk" in it["metadata"]["name"]


def check_log_disk(place, objects):
    """What is promised of the log disks' driver and holder: docs/LOGDISK.md."""
    sets = {it["metadata"]["name"]: it["spec"] for it in objects if it["kind"] == "DaemonSet" and of_log_disk(it)}
    if not sets:
        return
    (drivers,), (holders,) = (
        [it for name, it in sets.items() if name.endswith(end)] for end in ("-logdisk", "-logdisk-holder")
    )
    (csi,) = (it["spec"] for it in objects if it["kind"] == "CSIDriver")
    driver, holder = (it["template"]["spec"] for it in (drivers, holders))
    mounts = {it["name"]: it for it in driver["containers"][0]["volumeMounts"]}
    security = holder["containers"][0]["securityContext"]
    promises = {
        "volumes of pods alone": csi["volumeLifecycleModes"] == ["Ephemeral"] and csi["attachRequired"] is False,
        "the pod's name with the call": csi["podInfoOnMount"] is True,
        "the next driver before the end of the last": drivers["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 0,
        "a holder that stays": holders["updateStrategy"] == {"type": "OnDelete"},
        "a holder without rights": security["capabilities"] == {"drop": ["ALL"]} and security["privileged"] is False,
        "what is mounted is the node's": all(
            mounts[name]["mountPropagation"] == "Bidirectional" for name in ("pods", "stores")
        ),
        "the agent's state is read alone": mounts["state"]["readOnly"] is True,
        "roots that are read only": all(
            it["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True for it in (driver, holder)
        ),
        "probes of the driver": {"livenessProbe", "readinessProbe"} <= set(driver["containers"][0]),
        "no token": not any(it["automountServiceAccountToken"] for it in (driver, holder)),
    }
    for promise, holds in promises.items():
        if not holds:
            problem(place, f"the log disks break: {promise}")


def check_operator(place, objects):
    """What is promised of the operator: docs/OPERATOR.md."""
    deployments = [it for it in objects if it["kind"] == "Deployment"]
    budgets = [it for it in objects if it["kind"] == "PodDisruptionBudget"]
    if len(deployments) != len(budgets):
        problem(place, f"{len(deployments)} Deployments, {len(budgets)} PodDisruptionBudgets")
    for it in deployments:
        pod = it["spec"]["template"]["spec"]
        security = pod["containers"][0]["securityContext"]
        promises = {
            "two replicas": it["spec"]["replicas"] >= 2,
            "apart from each other": "podAntiAffinity" in pod["affinity"],
            "nobody's root": pod["securityContext"]["runAsNonRoot"] is True,
            "no capability": security["capabilities"] == {"drop": ["ALL"]},
            "no way to more": security["allowPrivilegeEscalation"] is False,
            "a root that is read only": security["readOnlyRootFilesystem"] is True,
            "the runtime's seccomp": pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"},
            "nothing of the host": not any("hostPath" in volume for volume in pod["volumes"]),
            "a pause before its end, if it has webhooks": ("lifecycle" in pod["containers"][0])
            == any("--webhook-port" in it for it in pod["containers"][0]["args"]),
        }
        for promise, holds in promises.items():
            if not holds:
                problem(place, f"the operator breaks: {promise}")


# What may be written, by role: the agent's, and the operator's.
WRITES = {
    "": {("lognodes", "create"), ("lognodes", "patch")},
    "-operator": {
        ("lognodes", "delete"), ("leases", "create"), ("leases", "get"), ("leases", "update"), ("nodes", "get"),
        *((f"{kind}/status", "patch") for kind in ("logconfigs", "clusterlogconfigs", "logtenants", "logsinks")),
        *((f"{kind}/status", "patch") for kind in ("aliyunlogconfigs", "clusteraliyunpipelineconfigs")),
    },
}


def check_rights(place, objects):
    """Nothing but status is written, no Secret is read, no right is of everything."""
    roles = [it for it in objects if it["kind"] in {"ClusterRole", "Role"}]
    # Those of the operator's webhooks write.
    is_webhook = lambda role: role["metadata"]["name"].endswith("-webhook")
    for rule in (rule for role in roles if is_webhook(role) for rule in role["rules"]):
        # Only what has its name, but for what is made.
        may_write = {"update", "get"} & set(rule["verbs"]) and rule["resources"] != ["namespaces"]
        if "*" in str(rule) or {"list", "watch", "delete"} & set(rule["verbs"]):
            problem(place, f"the webhook may {rule}")
        if may_write and not rule.get("resourceNames"):
            problem(place, f"the webhook may {rule['verbs']} any of {rule['resources']}")
    for role in (it for it in roles if not is_webhook(it)):
        allowed = WRITES["-operator" if role["metadata"]["name"].endswith("-operator") else ""]
        for rule in role["rules"]:
            rights = {(resource, verb) for resource in rule["resources"] for verb in rule["verbs"]}
            beyond = {it for it in rights if it[1] not in {"list", "watch"}} - allowed
            if beyond:
                problem(place, f"{role['metadata']['name']} may {sorted(beyond)}")
            if {"*", "secrets"} & {*rule["resources"], *rule["apiGroups"]}:
                problem(place, f"{role['metadata']['name']} may read {rule['resources']}")


def check_manifest(path, values):
    _, text = rendered(values)
    # The namespace comes before what is in it.
    first, rest = [], []
    for part in text.split("\n---\n"):
        kind = (yaml.safe_load(part) or {}).get("kind")
        (first if kind in {"Namespace", "CustomResourceDefinition"} else rest).append(part.strip())
    name = path.relative_to(ROOT)
    text = HEADER.format(path=name) + "---\n" + "\n---\n".join(first + rest) + "\n"
    text = text.replace("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kubectl")
    if "UPDATE_GOLDEN" in os.environ:
        path.write_text(text)
    if not path.is_file() or path.read_text() != text:
        problem(name, "not what the chart renders: UPDATE_GOLDEN=1 scripts/deploy.sh")


def check_image():
    """An image of a small program: all that its manifest names is there, with the sum that it says."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        command = [sys.executable, ROOT / "scripts/image.py", "/bin/true", "example.com/true:1", archive]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        again = Path(folder) / "again.tar"
        subprocess.run([*command[:-1], again], check=True, stdout=subprocess.DEVNULL)
        if archive.read_bytes() != again.read_bytes():
            problem("scripts/image.py", "two images of the same program differ")
        with tarfile.open(archive) as tar:
            names = tar.getnames()
            index = json.load(tar.extractfile("index.json"))
            manifest = json.load(tar.extractfile(blob(index["manifests"][0])))
            for part in [manifest["config"], *manifest["layers"]]:
                if blob(part) not in names:
                    problem("scripts/image.py", f"{blob(part)} is not in the image")
            with tarfile.open(fileobj=tar.extractfile(blob(manifest["layers"][0]))) as layer:
                files = layer.getnames()
        if "usr/bin/logferry" not in files or not any("libc.so" in it for it in files):
            problem("scripts/image.py", f"no program or no libc in {files}")


def blob(descriptor):
    return "blobs/" + descriptor["digest"].replace(":", "/")


def paths_of(values, path=()):
    """Each value by its path; what is empty, or a list, is one value."""
    if not isinstance(values, dict) or not values:
        return {path: values}
    return {inner: it for key, value in values.items() for inner, it in paths_of(value, (*path, key)).items()}


def is_other(values, path, default):
    """Whether values, as they are written, have another value there; null takes one out."""
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return values != default


def check_values():
    """Each value is another in one of the sets of values at least, which a real API server gets, too."""
    cases = [values_of(path) for path in sorted(CHART.glob("ci/*.yaml"))]
    for path, default in paths_of(values_of(CHART / "values.yaml")).items():
        if not any(is_other(it, path, default) for it in cases):
            problem("deploy/helm/logferry/ci", f"no file has another value for {'.'.join(path)}")


def main():
    if sys.argv[1:2] == ["render"]:
        print(rendered(values_of(Path(sys.argv[2])))[1], end="")
        return 0
    cases = check_chart()
    check_values()
    for path, values in MANIFESTS.items():
        check_manifest(path, values_of(CHART / values) if isinstance(values, str) else values)
    check_image()
    for line in problems:
        print(f"deploy: {line}", file=sys.stderr)
    count = f"{len(problems)} problems" if len(problems) != 1 else "1 problem"
    print(f"deploy: chart with {cases} sets of values for Kubernetes {' and '.join(VERSIONS)}, manifests, image: {count}")
    return 1 if problems else 0


sys.exit(main())
