"""The rules of ``message_deliveries`` that ask other tables, as bodies of triggers.

A message becomes ``sending`` only while its session is on, its person is not erased and has agreed.
Each body locks the rows that it asks: a cancellation or a withdrawal that has begun ends first.
"""

import pgtrigger

from ebalance.db import triggers

from .paid_sessions import LEAD_IS_MERGED_INTO_NEW

SESSION_IS_ON = f"""
DECLARE
    state text;
BEGIN
    SELECT a.status INTO state FROM public.appointments a WHERE a.id = NEW.appointment_id
    FOR SHARE;
    -- The news itself is sent.
    IF (state = 'canceled' AND NEW.kind <> 'canceled')
       OR (state = 'rescheduled' AND NEW.kind NOT IN ('canceled', 'rescheduled')) THEN
        {triggers.REFUSE}
    END IF;
    RETURN NEW;
END"""

PERSON_IS_NOT_ERASED = f"""
DECLARE
    state text;
BEGIN
    SELECT u.status INTO state FROM public.users u WHERE u.id = NEW.user_id FOR SHARE;
    IF state = 'deleted' THEN
        {triggers.REFUSE}
    END IF;
    RETURN NEW;
END"""

# The statements of everyone whom can_contact() asks (ebalance/privacy/mailing.py), taken together:
# this refuses nothing that can_contact() allows. can_contact() also asks each person apart.
CONSENT_IS_ACTIVE = f"""
DECLARE
    purpose text := CASE NEW.channel WHEN 'email' THEN 'communications' ELSE 'telegram' END;
    accounts uuid[];
    own_leads uuid[];
    agreed timestamptz;
    refused timestamptz;
    withdrawn timestamptz;
BEGIN
    WITH RECURSIVE known (user_id, lead_id) AS NOT MATERIALIZED (
        SELECT i.user_id, i.lead_id FROM public.lead_identities i
        UNION ALL SELECT c.user_id, c.lead_id FROM public.consents c
        UNION ALL SELECT a.client_user_id, a.lead_id FROM public.appointments a
        UNION ALL SELECT w.user_id, w.lead_id FROM public.waitlist_requests w
        UNION ALL SELECT m.user_id, m.lead_id FROM public.message_deliveries m),
    merges (lead_id, other_id) AS NOT MATERIALIZED (
        SELECT l.id, l.merged_into_id FROM public.leads l WHERE l.merged_into_id IS NOT NULL
        UNION ALL
        SELECT l.merged_into_id, l.id FROM public.leads l WHERE l.merged_into_id IS NOT NULL),
    named (lead_id) AS (
        SELECT NEW.lead_id WHERE NEW.lead_id IS NOT NULL
        UNION SELECT m.other_id FROM named n JOIN merges m USING (lead_id)),
    people (user_id) AS (
        SELECT NEW.user_id WHERE NEW.user_id IS NOT NULL
        UNION SELECT k.user_id FROM known k
        WHERE k.lead_id = ANY (ARRAY(SELECT n.lead_id FROM named n)) AND k.user_id IS NOT NULL),
    reach (lead_id) AS (
        (SELECT n.lead_id FROM named n
         UNION SELECT k.lead_id FROM known k
         WHERE k.user_id = ANY (ARRAY(SELECT p.user_id FROM people p)) AND k.lead_id IS NOT NULL)
        UNION SELECT m.other_id FROM reach r JOIN merges m USING (lead_id))
    SELECT ARRAY(SELECT p.user_id FROM people p), ARRAY(SELECT r.lead_id FROM reach r)
    INTO accounts, own_leads;
    PERFORM FROM public.consents c
    WHERE c.consent_type = purpose AND c.granted AND c.revoked_at IS NULL
      AND (c.user_id = ANY (accounts) OR c.user_id IS NULL AND c.lead_id = ANY (own_leads))
    ORDER BY c.id FOR SHARE;
    SELECT max(c.granted_at) FILTER (WHERE c.granted AND c.revoked_at IS NULL),
           max(c.granted_at) FILTER (WHERE NOT c.granted), max(c.revoked_at)
    INTO agreed, refused, withdrawn
    FROM public.consents c
    WHERE c.consent_type = purpose
      AND (c.user_id = ANY (accounts) OR c.user_id IS NULL AND c.lead_id = ANY (own_leads));
    IF agreed IS NULL OR refused >= agreed OR withdrawn > agreed THEN
        {triggers.REFUSE}
    END IF;
    RETURN NEW;
END"""

LEAD_FOLLOWS_MERGE = f"""
BEGIN
    IF NOT {LEAD_IS_MERGED_INTO_NEW} THEN
        {triggers.REFUSE}
    END IF;
    RETURN NEW;
END"""


def messages_end_with_session() -> triggers.Rule:
    """A trigger of ``appointments``: a cancellation or a move cancels the messages that wait.

    The news of the cancellation stays. A message that is being sent may still arrive.
    """
    return triggers.Rule(
        "appointments_cancel_messages",
        operation=pgtrigger.UpdateOf("status"),
        when=pgtrigger.After,
        condition="OLD.status <> NEW.status AND NEW.status IN ('canceled', 'rescheduled')",
        body="""
BEGIN
    UPDATE public.message_deliveries SET status = 'canceled'
    WHERE appointment_id = NEW.id AND status = 'scheduled' AND kind <> 'canceled';
    RETURN NULL;
END""",
    )
