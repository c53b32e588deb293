"""The names of all keys in Redis, in one place; those of a shard share a hash tag, so that a script touches one slot."""

from __future__ import annotations

from typing import Final

FENCE: Final = "fence:"


class ShardKeys:
    """The keys of one shard; ``tenant`` and gateway ids hold no colon, so no two kinds of key can meet."""

    def __init__(self, shard: int) -> None:
        self.prefix: Final = f"{{s{shard}}}:"
        self.recovered: Final = f"{self.prefix}recovered"
        """Hash: ``boot``, and a field for each partition recovered for it."""
        self.fences: Final = f"{self.prefix}{FENCE}"
        """What the fences of all partitions begin with."""

    def fence(self, partition: int) -> str:
        """Return the key of ``taking:<unique>`` or ``active:<token>``."""
        return f"{self.fences}{partition}"

    def watermark(self, partition: int) -> str:
        """Return the key of ``<offset> <position> <time>``."""
        return f"{self.prefix}wm:{partition}"

    def attempts(self, partition: int) -> str:
        """Return the key of a hash: ``owner`` (who did not leave yet), ``offset`` and ``count`` of the attempts there."""
        return f"{self.prefix}att:{partition}"

    def gone(self, partition: int) -> str:
        """Return the key of a sorted set: keys of deleted resources' records by the time to forget them."""
        return f"{self.prefix}gone:{partition}"

    def held(self, partition: int) -> str:
        """Return the key of a sorted set: outcomes without an Idempotency-Key by the time they expire.

        A member is the outcome's key, and behind a NUL that of its create where there is one.
        """
        return f"{self.prefix}held:{partition}"

    def held_keyed(self, partition: int) -> str:
        """Return the key of a sorted set: outcomes with an Idempotency-Key by the time they expire."""
        return f"{self.prefix}heldk:{partition}"

    def record(self, tenant: str, resource_id: str) -> str:
        """Return the key of a resource: ``redis_records``."""
        return f"{self.prefix}{tenant}:r:{resource_id}"

    def names(self, tenant: str, attribute: str) -> str:
        """Return the key of a hash: unique name → id of its holder (in a recovery of several, parted by a blank)."""
        return f"{self.prefix}{tenant}:uq:{attribute}"

    def reservations(self, tenant: str, attribute: str) -> str:
        """Return the key of a hash: unique name → id, partition and token of who reserved it, parted by NUL."""
        return f"{self.prefix}{tenant}:rs:{attribute}"

    def entries(self, tenant: str, resource_type: str, attribute: str) -> str:
        """Return the key of a sorted set of value, creation and id, parted by NUL, in lexicographic order."""
        return f"{self.prefix}{tenant}:ix:{resource_type}:{attribute}"

    def order(self, tenant: str, resource_type: str) -> str:
        """Return the key of a sorted set: ids by the time of their creation."""
        return f"{self.prefix}{tenant}:ord:{resource_type}"

    def groups(self, tenant: str, member_id: str) -> str:
        """Return the key of a set: ids of the groups in which the resource is a member."""
        return f"{self.prefix}{tenant}:g:{member_id}"

    def outcome(self, tenant: str, txn: str) -> str:
        """Return the key of a command's outcome."""
        return f"{self.prefix}{tenant}:out:{txn}"

    def first(self, tenant: str, key: str) -> str:
        """Return the key of the txn that came first under an Idempotency-Key."""
        return f"{self.prefix}{tenant}:key:{key}"

    def reserved_key(self, tenant: str, key: str) -> str:
        """Return the key of id, partition and token of who reserved an Idempotency-Key, parted by NUL."""
        return f"{self.prefix}{tenant}:rk:{key}"

    def created_by(self, tenant: str, resource_id: str) -> str:
        """Return the key of the txn of a resource's create, while an identical one may get its answer."""
        return f"{self.prefix}{tenant}:un:{resource_id}"

    def unseen(self, tenant: str, unseen: str) -> str:
        """Return the key of the mark that the answer to a create never reached its caller."""
        return f"{self.prefix}{tenant}:unseen:{unseen}"

    def number(self, tenant: str, partition: int) -> str:
        """Return the key of the number of the tenant's last change in a partition."""
        return f"{self.prefix}{tenant}:seq:{partition}"

    def replies(self, gateway: str) -> str:
        """Return the key of the stream of answers for a gateway."""
        return f"{self.prefix}rep:{gateway}"

    def alive(self, gateway: str) -> str:
        """Return the key that is there while a gateway is alive."""
        return f"{self.prefix}gw:{gateway}"


def indexed(value: str) -> str:
    """Return a value as it begins a member of an index: NUL parts the fields there, so one inside is escaped.

    No digit follows an escaped NUL, and a digit always follows the one that ends the value.
    """
    return value.replace("\0", "\0~") + "\0"
