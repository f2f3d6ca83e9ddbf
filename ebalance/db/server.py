"""The database server, as far as it is not about a single statement. Needs no Django."""

# Settings that keep values out of the server's log. Statements arrive with $1 in the place of a
# value. These settings suppress parameters, DETAIL and CONTEXT ("Failing row contains (…)"), and
# errors that quote a value in their first line: the client reports those.
QUIET_LOG: dict[str, str] = {
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_min_messages": "log",
}


class ServerUnavailable(Exception):
    """The server cannot be used. The message is one sentence for a person and quotes no data."""
