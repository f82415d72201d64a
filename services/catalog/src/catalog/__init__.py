"""The catalogue: products over REST, on PostgreSQL; every change is published through the outbox."""
