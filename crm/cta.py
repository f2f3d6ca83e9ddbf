"""The call to action that follows a run of an interactive (metrics.md, Exactly 6).

Metrics count runs that are stored, and purge_expired counts those that it removes, by this SQL.
"""


def followed_by_cta(run: str, environment: str = "%(environment)s") -> str:
    """SQL: whether a ``cta_click`` of its visit follows the completed run. Equal times count.

    ``run`` is the alias of rows of ``interactive_runs``, ``environment`` is SQL for the environment
    whose events count. A run that is not completed has no end, so nothing follows it.
    """
    return (
        "EXISTS (SELECT FROM analytics_events AS event "
        f"WHERE event.event_name = 'cta_click' AND event.session_id = {run}.session_id "
        f"AND event.occurred_at >= {run}.completed_at AND event.environment = {environment})"
    )
