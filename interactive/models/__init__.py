"""Self-help interactives: definitions, their immutable versions, and runs as aggregates."""

from .definitions import InteractiveDefinition, InteractiveVersion
from .runs import InteractiveRun, InteractiveRunTotal

__all__ = ["InteractiveDefinition", "InteractiveRun", "InteractiveRunTotal", "InteractiveVersion"]
