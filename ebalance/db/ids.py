"""UUIDv7 primary keys: made in Python for the ORM, by ``uuid7()`` in the database for others."""

import os
from uuid import UUID

import uuid_utils
import uuid_utils.compat

# A forked worker must not continue its parent's random stream.
os.register_at_fork(after_in_child=uuid_utils.reseed_rng)


def uuid7() -> UUID:
    """Return a UUIDv7 greater than every one this process has made before."""
    return uuid_utils.compat.uuid7()
