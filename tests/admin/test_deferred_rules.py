"""Admin checks deferred rules before it answers; the audit log still waits for the commit."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from ebalance.admin import log
from ebalance.admin.refusals import ask_deferred_rules, deferred_rules
from ebalance.db.auditing import audit_triggers
from tests.admin.support import form_data, page
from tests.audit.audit_cases import entries_since, last_seq, write_entries
from tests.databases import Database
from tests.factories import AppointmentFactory, CuratedItemFactory, ServiceFactory, UserFactory
from tests.support import execute, insert_sql, refuses, save_related, update_sql

DEFERRED = """
SELECT coalesce(con.conname, t.tgname) AS name
FROM pg_constraint con LEFT JOIN pg_trigger t ON t.tgconstraint = con.oid AND con.contype = 't'
WHERE con.condeferred AND con.connamespace = 'public'::regnamespace
ORDER BY 1
"""


@pytest.mark.django_db
def test_every_deferred_rule_except_the_audit_triggers_is_checked() -> None:
    deferred = [row["name"] for row in execute(DEFERRED)]
    assert sorted([*deferred_rules(), *audit_triggers()]) == deferred
    assert deferred_rules()


@pytest.mark.django_db
def test_broken_deferred_rule_is_refused_when_checked() -> None:
    one, other = CuratedItemFactory(position=1), CuratedItemFactory(position=2)
    update_sql(other, collection_id=one.collection_id, position=1)
    with refuses("curated_items_position_unique"):
        ask_deferred_rules()
    update_sql(other, position=2)
    replaced = AppointmentFactory(confirmed=True)
    confirmed = AppointmentFactory.build(confirmed=True, rescheduled_from=replaced)
    save_related(confirmed)
    with refuses("appointments_replaces_rescheduled"):
        insert_sql(confirmed)
        ask_deferred_rules()


@pytest.mark.django_db
def test_audit_log_waits_for_the_end_of_the_transaction() -> None:
    service = ServiceFactory()
    write_entries()
    before = last_seq()
    update_sql(service, price_amount=6000)
    ask_deferred_rules()
    update_sql(service, price_amount=7000)
    assert entries_since(before) == []
    write_entries()
    assert len(entries_since(before)) == 2


IS_FREE = """
SELECT count(*) = 1
FROM (SELECT FROM locks WHERE kind = 'audit_chain' FOR UPDATE SKIP LOCKED) unlocked
"""


def test_saving_a_page_does_not_lock_the_audit_log(committed: Database, monkeypatch: Any) -> None:
    """The lock on the log is taken only after everything else of the page is written."""
    client, service = Client(), ServiceFactory()
    client.force_login(UserFactory(role="owner"))
    address = page(type(service), "change", service.pk)
    data = form_data(client.get(address)) | {"price_amount": 6000}
    seen = []
    write = log.write

    def last_step(*args: Any, **kwargs: Any) -> Any:
        with committed.connect(autocommit=True) as other:
            seen.append(other.execute(IS_FREE).fetchone()[0])
        return write(*args, **kwargs)

    monkeypatch.setattr(log, "write", last_step)
    assert client.post(address, data).status_code == 302
    assert seen == [True]
    service.refresh_from_db()
    assert service.price_amount == 6000
    assert not transaction.get_connection().in_atomic_block
