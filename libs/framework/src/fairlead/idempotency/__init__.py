"""Idempotency keys: a request that is sent again is not done again (draft-ietf-httpapi-idempotency-key-header).

    @app.post("/payments")
    @Idempotency(RedisStore(client))
    async def pay(request): ...

`fairlead.idempotency.postgres.PostgresStore` keeps the answer in the same transaction as the work, `.redis.RedisStore` for all
workers, `MemoryStore` for one.
"""

from fairlead.idempotency.idempotency import Idempotency
from fairlead.idempotency.memory import MemoryStore
from fairlead.idempotency.store import Claim, InFlight, KeyReused, Store, StoredAnswer

__all__ = ["Claim", "Idempotency", "InFlight", "KeyReused", "MemoryStore", "Store", "StoredAnswer"]
