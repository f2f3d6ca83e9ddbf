"""The roof of the metrics: all of them as one object, and the command that prints it."""
