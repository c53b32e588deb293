"""A small subscriber on Kafka: python3 kafka_subscriber.py BOOTSTRAP [GROUP [TOPIC]], with aiokafka installed.

It reads what is committed and nothing else, drops repeats by jti, proves by seq that no event is missing, and commits its
place behind what it has applied; as many of them as there are partitions share a group. Exit code 3: an event is
missing, rebuild from the state (README.md, "Starting, and starting again").

A real subscriber keeps NUMBERS and VERSIONS in the same transaction as what it applies, and starts from them again.
"""

import asyncio
import contextlib
import json
import signal
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError

NUMBERS: dict[tuple[str, str], int] = {}  # the last number of each partition that is ours, and tenant
VERSIONS: dict[tuple[str, str], int] = {}  # the last version of each resource, a deleted one's too


class Forgetting(ConsumerRebalanceListener):
    """What others read of a partition while it was theirs is not known here: whatever comes first then, is first."""

    async def on_partitions_revoked(self, revoked) -> None:
        """Forget their numbers."""
        for partition, tenant in list(NUMBERS):
            if any(str(place.partition) == partition for place in revoked):
                del NUMBERS[partition, tenant]

    async def on_partitions_assigned(self, assigned) -> None:
        """Need nothing."""


async def follow(bootstrap: str, group: str = "my-subscriber", topic: str = "scim.events.v1") -> int:
    """Apply each event once, until interrupted; return 3 at a gap."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,  # and security_protocol, sasl_mechanism, ssl_context ... where the brokers want them
        group_id=group,
        isolation_level="read_committed",  # the state of an aborted transaction never was
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    consumer.subscribe([topic], listener=Forgetting())
    stopping = asyncio.Event()  # between two batches, so that the group is left in good order
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await consumer.start()
    try:
        while not stopping.is_set():
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                if place not in consumer.assignment():
                    continue  # taken from us while the others were applied
                for record in records:
                    if not applied_or_repeat(record.key.decode().split("/")[0], json.loads(record.value)):
                        return 3
                with contextlib.suppress(CommitFailedError):  # it is somebody else's now, and offered again: a repeat
                    await consumer.commit({place: records[-1].offset + 1})
        return 0
    finally:
        await consumer.stop()


def applied_or_repeat(tenant: str, event: dict) -> bool:
    """Apply the event unless it is a repeat; False at a gap."""
    resource, _, version = event["jti"].rpartition(":")
    if int(version) <= VERSIONS.get((tenant, resource), 0):
        print(f"repeat {event['jti']}", flush=True)
        return True
    partition, _, number = event["seq"].partition(":")
    expected = NUMBERS.get((partition, tenant), int(number) - 1) + 1
    if int(number) != expected:
        print(f"gap in {tenant}, partition {partition}: {number} came, {expected} was due", file=sys.stderr)
        return False
    apply(tenant, event)
    NUMBERS[partition, tenant] = int(number)
    VERSIONS[tenant, resource] = int(version)
    return True


def apply(tenant: str, event: dict) -> None:
    """Do here what your system does with a user that was created, changed, switched off or deleted."""
    done = " and ".join(urn.removeprefix("urn:ietf:params:scim:event:prov:") for urn in event["events"])
    print(f"{tenant} {event['seq']} {event['jti']} {done}", flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(follow(*sys.argv[1:])))
