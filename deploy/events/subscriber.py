"""A small subscriber: scimgw events --follow --meta | python3 subscriber.py.

It reads one event a line, drops repeats by jti, proves by seq that none is missing, and prints what it applies. Lines
of kafka-console-consumer with print.key=true work as well. Exit code 3: an event is missing, rebuild from the state.

A real subscriber keeps NUMBERS and VERSIONS in the same transaction as what it applies, and starts from them again.
"""

import json
import sys

NUMBERS: dict[tuple[str, str], int] = {}  # the last number of each tenant and partition
VERSIONS: dict[tuple[str, str], int] = {}  # the last version of each resource, a deleted one's too


def read(line: str) -> tuple[str, dict]:
    """Return tenant and event of a line: of --meta, or key, tab, value as Kafka's console consumer prints them."""
    if line.startswith("{"):
        record = json.loads(line)
        return record["key"].split("/")[0], record["value"]
    key, _, value = line.rpartition("\t")
    return key.split("\t")[-1].split("/")[0], json.loads(value)


def follow(lines) -> int:
    """Apply the events of the lines, each once; return 0 at the end, 3 at a gap."""
    for line in lines:
        tenant, event = read(line)
        resource, _, version = event["jti"].rpartition(":")
        if int(version) <= VERSIONS.get((tenant, resource), 0):
            print(f"repeat {event['jti']}", flush=True)
            continue
        partition, _, number = event["seq"].partition(":")
        expected = NUMBERS.get((tenant, partition), int(number) - 1) + 1  # whatever comes first, is first
        if int(number) != expected:
            print(f"gap in {tenant}, partition {partition}: {number} came, {expected} was due", file=sys.stderr)
            return 3
        apply(tenant, event)
        NUMBERS[tenant, partition] = int(number)
        VERSIONS[tenant, resource] = int(version)
    return 0


def apply(tenant: str, event: dict) -> None:
    """Do here what your system does with a user that was created, changed, switched off or deleted."""
    done = " and ".join(urn.removeprefix("urn:ietf:params:scim:event:prov:") for urn in event["events"])
    print(f"{tenant} {event['seq']} {event['jti']} {done}", flush=True)


if __name__ == "__main__":
    sys.exit(follow(sys.stdin))
