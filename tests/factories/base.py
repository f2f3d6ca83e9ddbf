"""What all factories share."""

import base64
import os

import factory


def sealed(key: str = "k1", size: int = 48) -> str:
    """A well-formed sealed value; nothing is in it."""
    token = base64.urlsafe_b64encode(os.urandom(size)).decode().rstrip("=")
    return f"v1.{key}.{token}"


def blind_index(key: str = "k1") -> str:
    return sealed(key, 32)


class EntityFactory(factory.django.DjangoModelFactory):
    class Meta:
        abstract = True
