"""What a partition's owner has reserved and not committed: it is let go once its command is cut (CP-20, CP-30)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from consumers.backends.redis_keys import ShardKeys
from consumers.ports import Claim
from schemas.changes import Name
from schemas.commands import ChangeCommand
from schemas.numbering import Batch

Release = tuple[str, str | bool, str]
"""Key and name, or key and False where the key is all, and the value that a reservation of ours has there."""


MOST_OUTDATED: Final = 10_000


class Reservations:
    """Names by tenant and resource, Idempotency-Keys with their resource; false while there are none."""

    def __init__(self, keys: ShardKeys) -> None:
        self._keys = keys
        self._names: defaultdict[tuple[str, str], set[Name]] = defaultdict(set)
        self._idempotency_keys: dict[tuple[str, str], str] = {}
        self.outdated: list[Release] = []
        """What was reserved under earlier tokens of this owner: nobody keeps it any more, and nobody else takes it out."""

    def __bool__(self) -> bool:
        return bool(self._names or self._idempotency_keys)

    def outdate(self, mark: str) -> None:
        """Count all as reserved under an earlier token, which ``mark`` ends with; the oldest of very many are forgotten."""
        outdated = [*self.outdated, *self.releases((), mark)][-MOST_OUTDATED:]
        self.clear()
        self.outdated = outdated

    def clear(self) -> None:
        """Forget all, outdated ones too: they are let go."""
        self._names.clear()
        self._idempotency_keys.clear()
        self.outdated = []

    def note(self, claims: Sequence[Claim]) -> None:
        """Note what is about to be reserved: the answer may be lost, and what nobody remembers nobody lets go."""
        for claim in claims:
            if claim.names:
                self._names[claim.tenant, claim.resource_id].update(claim.names)
            if claim.key is not None:
                self._idempotency_keys.setdefault((claim.tenant, claim.key), claim.resource_id)

    def committed(self, batch: Batch) -> None:
        """Forget what a batch has turned into held names and kept outcomes."""
        for change in batch.changes:
            if change.acquires and (names := self._names.get((change.tenant, change.resource_id))) is not None:
                names.difference_update(change.acquires)
                if not names:
                    del self._names[change.tenant, change.resource_id]
        for tenant, outcome in batch.outcomes:
            if outcome.key is not None:
                self._idempotency_keys.pop((tenant, outcome.key), None)

    def releases(self, commands: Sequence[ChangeCommand], mark: str) -> list[Release]:
        """Return the reservations that none of the commands is about; ``mark`` is what the values of ours end with."""
        if not self:
            return []
        releases: list[Release] = [
            (self._keys.reservations(tenant, attribute), name, resource_id + mark)
            for tenant, resource_id in self._needless_names(commands)
            for attribute, name in self._names[tenant, resource_id]
        ]
        for tenant, key in self._needless_keys(commands):
            releases.append((self._keys.reserved_key(tenant, key), False, self._idempotency_keys[tenant, key] + mark))
        return releases

    def let_go(self, commands: Sequence[ChangeCommand]) -> None:
        """Forget what ``releases`` told of the same commands."""
        if not self:
            return
        for place in self._needless_names(commands):
            del self._names[place]
        for place in self._needless_keys(commands):
            del self._idempotency_keys[place]

    def _needless_names(self, commands: Sequence[ChangeCommand]) -> list[tuple[str, str]]:
        wanted = {(command.tenant, command.resource_id) for command in commands}
        return [place for place in self._names if place not in wanted]

    def _needless_keys(self, commands: Sequence[ChangeCommand]) -> list[tuple[str, str]]:
        wanted = {(command.tenant, command.key, command.resource_id) for command in commands}
        return [
            (tenant, key)
            for (tenant, key), resource_id in self._idempotency_keys.items()
            if (tenant, key, resource_id) not in wanted
        ]
