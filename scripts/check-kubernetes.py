"""What the schema of Kubernetes does not know of our manifests. Called by check-kubernetes: folder of the services'
help texts, manifest."""

import pathlib
import re
import sys

import yaml

PREFIXES = {"meta-service": "META_", "signaling-service": "SIGNALING_", "sfu-service": "SFU_", "turn-relay": "TURN_"}
# Beside the services' own: what a manifest itself refers to.
OTHERS = {"HOST_IP"}
# Seconds that a process takes to end beyond its delay and three times its drain.
END_MARGIN = 10

helps, manifest = pathlib.Path(sys.argv[1]), sys.argv[2]
documents = [document for document in yaml.safe_load_all(open(manifest)) if document]
faults = []


def keys_of(kind):
    """Names of the ConfigMaps or Secrets, and their keys."""
    found = {}
    for document in documents:
        if document["kind"] == kind:
            found[document["metadata"]["name"]] = {**document.get("data", {}), **document.get("stringData", {})}
    return found


known = {"configMapKeyRef": keys_of("ConfigMap"), "secretKeyRef": keys_of("Secret")}
ours = 0
for document in documents:
    if document["kind"] not in ("Deployment", "StatefulSet", "Job"):
        continue
    name = f'{document["kind"]}/{document["metadata"]["name"]}'
    pod = document["spec"]["template"]["spec"]
    if not pod["securityContext"].get("runAsNonRoot") or pod.get("automountServiceAccountToken") is not False:
        faults.append(f"{name}: runs as root, or with a token of the cluster")
    for container in pod["containers"]:
        security = container["securityContext"]
        if not security.get("readOnlyRootFilesystem") or security.get("allowPrivilegeEscalation") is not False:
            faults.append(f"{name}: its file system can be written, or its rights can grow")
        if "limits" not in container["resources"]:
            faults.append(f"{name}: no limits")
        env = {variable["name"]: variable for variable in container.get("env", [])}
        for variable in env.values():
            for kind, reference in variable.get("valueFrom", {}).items():
                if kind in known and reference["key"] not in known[kind].get(reference["name"], {}):
                    faults.append(f'{name}: {variable["name"]} refers to nothing: {reference}')
        binary = container.get("command", [""])[0]
        if binary not in PREFIXES:
            continue
        ours += 1
        if pod.get("enableServiceLinks") is not False:
            faults.append(f"{name}: the names of services become settings")
        settings = set(re.findall(r"\[([A-Z0-9_]+)\]", (helps / f"{binary}.help").read_text()))
        for unknown in env.keys() - settings - OTHERS:
            faults.append(f"{name}: {binary} has no setting {unknown}")
        if document["kind"] != "Deployment":
            continue
        seconds = {key: int(env[PREFIXES[binary] + key]["value"]) for key in ("DRAIN_DELAY_SECS", "DRAIN_SECS")}
        needed = seconds["DRAIN_DELAY_SECS"] + 3 * seconds["DRAIN_SECS"] + END_MARGIN
        if pod["terminationGracePeriodSeconds"] < needed:
            faults.append(f"{name}: is killed after less than the {needed} s that it may take to end")
        admin = env[PREFIXES[binary] + "ADMIN"]["value"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        if admin != f'0.0.0.0:{ports["admin"]}':
            faults.append(f"{name}: probes do not reach the admin port {admin}")
        for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz"), ("startupProbe", "/livez")):
            asked = container[probe]["httpGet"]
            if (asked["path"], asked["port"]) != (path, "admin"):
                faults.append(f"{name}: the {probe} asks {asked}")
if ours < 5:
    faults.append(f"{ours} containers of ours: four services and the migration are expected")
for fault in faults:
    print(f"{manifest}: {fault}", file=sys.stderr)
sys.exit(1 if faults else 0)
