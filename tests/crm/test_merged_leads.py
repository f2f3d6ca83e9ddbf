"""leads.merged_into_id: a lead is merged once, without identities, and never in a circle."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.exceptions import ValidationError

from crm.models import FUNNEL_STAGES, STAFF_STATUSES, Lead, LeadIdentity
from tests.factories import LeadFactory, LeadIdentityFactory
from tests.support import breaks, execute, refuses

pytestmark = pytest.mark.django_db


def merge_by_sql(lead: Lead, into: Lead, status: str = "inactive") -> None:
    execute(
        "UPDATE leads SET merged_into_id = %s, status = %s WHERE id = %s",
        [into.pk, status, lead.pk],
    )


def merge_by_orm(lead: Lead, into: Lead, status: str = "inactive") -> None:
    lead.refresh_from_db()
    lead.merged_into, lead.status = into, status
    lead.save()


each_write_path = pytest.mark.parametrize("merge", [merge_by_sql, merge_by_orm], ids=["sql", "orm"])
type Merge = Callable[..., None]


@each_write_path
def test_lead_is_merged_into_another(merge: Merge) -> None:
    first, second, third = LeadFactory.create_batch(3)
    merge(first, second)
    merge(second, third)
    first.refresh_from_db()
    assert (first.merged_into, first.merged_into.merged_into) == (second, third)


@breaks("leads_merged_is_inactive")
@each_write_path
def test_merged_lead_is_inactive(merge: Merge) -> None:
    lead, into = LeadFactory.create_batch(2)
    for status in Lead.Status.values:
        if status != "inactive":
            with refuses("leads_merged_is_inactive", "leads"):
                merge(lead, into, status)
    merge(lead, into)
    with refuses("leads_merged_is_inactive", "leads"):
        execute("UPDATE leads SET status = 'new' WHERE id = %s", [lead.pk])


@breaks("leads_merged_not_into_itself")
@each_write_path
def test_lead_is_not_merged_into_itself(merge: Merge) -> None:
    lead = LeadFactory()
    with refuses("leads_merged_in_no_circle", "leads"):
        merge(lead, lead)
    row = LeadFactory.build(status="inactive")
    row.merged_into_id = row.pk
    with refuses("leads_merged_not_into_itself", "leads"):
        row.save()


@breaks("leads_merged_in_no_circle")
@each_write_path
def test_leads_are_not_merged_in_a_circle(merge: Merge) -> None:
    first, second, third = LeadFactory.create_batch(3)
    merge(first, second)
    with refuses("leads_merged_in_no_circle", "leads"):
        merge(second, first)
    merge(second, third)
    with refuses("leads_merged_in_no_circle", "leads"):
        merge(third, first)
    third.merged_into, third.status = first, "inactive"
    with pytest.raises(ValidationError) as caught:
        third.full_clean()
    assert [*caught.value.error_dict] == ["merged_into"]


@breaks("leads_merged_once")
@each_write_path
def test_merged_lead_stays_merged(merge: Merge) -> None:
    lead, into, other = LeadFactory.create_batch(3)
    merge(lead, into)
    with refuses("leads_merged_once", "leads"):
        merge(lead, other)
    with refuses("leads_merged_once", "leads"):
        execute("UPDATE leads SET merged_into_id = NULL WHERE id = %s", [lead.pk])
    with refuses("leads_merged_into_id_fk"):
        into.delete()


@breaks("leads_merged_has_no_identity")
@each_write_path
def test_lead_with_an_identity_is_not_merged(merge: Merge) -> None:
    identity = LeadIdentityFactory()
    with refuses("leads_merged_has_no_identity", "leads"):
        merge(identity.lead, LeadFactory())


@breaks("lead_identities_not_of_merged_lead")
@each_write_path
def test_merged_lead_gets_no_identity(merge: Merge) -> None:
    lead, into = LeadFactory.create_batch(2)
    merge(lead, into)
    identity = LeadIdentityFactory(lead=into)
    rule = "lead_identities_not_of_merged_lead"
    with refuses(rule, "lead_identities"):
        LeadIdentity.objects.create(lead=lead, anonymous_id="visitor-000001")
    with refuses(rule, "lead_identities"):
        execute(
            "INSERT INTO lead_identities (lead_id, anonymous_id) VALUES (%s, 'visitor-000001')",
            [lead.pk],
        )
    with refuses(rule, "lead_identities"):
        execute("UPDATE lead_identities SET lead_id = %s WHERE id = %s", [lead.pk, identity.pk])
    lead.refresh_from_db()
    with pytest.raises(ValidationError):
        LeadIdentity(lead=lead, anonymous_id="visitor-000001").full_clean()


def test_every_status_is_a_funnel_stage_or_set_by_staff() -> None:
    """crm/models/leads.py: add a new status to FUNNEL_STAGES or to STAFF_STATUSES, not to both."""
    assert sorted([*FUNNEL_STAGES, *STAFF_STATUSES]) == sorted(Lead.Status.values)
