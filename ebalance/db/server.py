"""Settings and errors of the database server. Imports no Django."""

# Settings that keep values out of the server's log. Statements have $1 in place of a value. The
# settings suppress parameters, DETAIL and CONTEXT ("Failing row contains (…)"), and errors that
# quote a value in their first line; the client reports those.
QUIET_LOG: dict[str, str] = {
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_min_messages": "log",
}


class ServerUnavailable(Exception):
    """The server cannot be used. The message is one sentence for a person and quotes no data."""
