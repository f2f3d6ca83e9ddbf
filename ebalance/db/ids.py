"""UUIDv7 primary keys: made in Python for the ORM, and by ``uuid7()`` in the database for SQL."""

import os
from uuid import UUID

import uuid_utils
import uuid_utils.compat

# A forked worker must not continue its parent's random stream.
os.register_at_fork(after_in_child=uuid_utils.reseed_rng)


def uuid7() -> UUID:
    """A UUIDv7 greater than all earlier ones of this process."""
    return uuid_utils.compat.uuid7()
