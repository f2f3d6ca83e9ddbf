--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: acting_role(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.acting_role(actor uuid) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    before text[] := string_to_array(current_setting('ebalance.role_before', true), ' ');
    role text;
BEGIN
    IF before[1] = actor::text THEN
        RETURN before[2];
    END IF;
    SELECT r.role_code INTO role FROM public.user_roles r WHERE r.user_id = actor
    ORDER BY array_position('{owner,assistant,editor,client}'::text[], r.role_code) LIMIT 1;
    RETURN coalesce(role, 'client');
END $$;


--
-- Name: FUNCTION acting_role(actor uuid); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.acting_role(actor uuid) IS 'The highest role a person has, or had before this transaction changed it';


--
-- Name: anonymous_questions_answered_has_answer(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.anonymous_questions_answered_has_answer() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    PERFORM FROM public.question_answers WHERE question_id = NEW.id FOR KEY SHARE;
    IF NOT FOUND THEN
        PERFORM public.raise_refusal('anonymous_questions_answered_has_answer', TG_TABLE_NAME, 'status', 'A question becomes answered only together with its answer');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: anonymous_questions_set_due_at(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.anonymous_questions_set_due_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    NEW.due_at := NEW.submitted_at
        + CASE WHEN 'crisis' = ANY (NEW.trigger_flags) THEN interval '4 hours'
               ELSE interval '24 hours' END;
    IF NEW.moderated_at IS NULL THEN
        NEW.moderated_due_at := NULL;
    ELSIF OLD.moderated_at IS NULL THEN
        NEW.moderated_due_at := NEW.due_at;
    ELSE
        -- Release 1.0 kept the deadline of the first decision in due_at.
        NEW.moderated_due_at := coalesce(OLD.moderated_due_at, OLD.due_at);
    END IF;
    IF NEW.status NOT IN ('approved', 'answered') THEN
        NEW.answer_due_at := NULL;
    ELSIF OLD.status IN ('approved', 'answered') THEN
        NEW.answer_due_at := coalesce(
            OLD.answer_due_at,
            (SELECT max(created_at) FROM public.ugc_moderation_actions
             WHERE ugc_type = 'anonymous_question' AND ugc_id = NEW.id AND action = 'approve')
                + interval '72 hours',
            NEW.moderated_at + interval '72 hours');
    ELSIF OLD.moderated_at IS NULL THEN
        NEW.answer_due_at := NEW.moderated_at + interval '72 hours';
    ELSE
        -- moderated_at is the first decision: an approval after an escalation is dated here.
        NEW.answer_due_at := public.fact_clock() + interval '72 hours';
    END IF;
    RETURN NEW;
END $$;


--
-- Name: anonymous_questions_undecided_has_no_time(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.anonymous_questions_undecided_has_no_time() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF NEW.status IN ('pending', 'flagged') AND NEW.moderated_at IS NOT NULL
       AND (TG_OP = 'INSERT' OR OLD.moderated_at IS NULL) THEN
        PERFORM public.raise_refusal('anonymous_questions_undecided_has_no_time', TG_TABLE_NAME, 'moderated_at', 'A question gets its time of decision with the decision');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: anonymous_questions_withdraw_answer(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.anonymous_questions_withdraw_answer() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    UPDATE public.question_answers SET published_at = NULL
    WHERE question_id = NEW.id AND published_at IS NOT NULL;
    RETURN NULL;
END $$;


--
-- Name: appointments_cancel_messages(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.appointments_cancel_messages() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    UPDATE public.message_deliveries SET status = 'canceled'
    WHERE appointment_id = NEW.id AND status = 'scheduled' AND kind <> 'canceled';
    RETURN NULL;
END $$;


--
-- Name: appointments_outcome_corrected_only(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.appointments_outcome_corrected_only() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    -- By a CHECK, a completed session is attended or not.
    IF (OLD.status = 'completed' AND NEW.status = 'completed'
        AND NEW.outcome_recorded_at = OLD.outcome_recorded_at
        AND public.fact_clock() <= OLD.outcome_recorded_at + interval '30 days') IS NOT TRUE THEN
        PERFORM public.raise_refusal('appointments_outcome_corrected_only', TG_TABLE_NAME, 'outcome', 'An outcome is corrected only between attended and no show, within 30 days');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: appointments_paid_has_money(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.appointments_paid_has_money() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ DECLARE
    chain uuid[];
    balance bigint;
BEGIN
    IF EXISTS (SELECT FROM public.appointments a
               WHERE a.id = NEW.rescheduled_from_id AND a.status = 'rescheduled') THEN
        RETURN NULL;
    END IF;
    WITH RECURSIVE earlier AS (
        SELECT a.id, a.rescheduled_from_id FROM public.appointments a WHERE a.id = NEW.id
        UNION
        SELECT a.id, a.rescheduled_from_id
        FROM public.appointments a JOIN earlier ON a.id = earlier.rescheduled_from_id),
    whole AS (
        SELECT earlier.id FROM earlier
        UNION
        SELECT a.id FROM public.appointments a JOIN whole ON a.rescheduled_from_id = whole.id)
    SELECT array_agg(whole.id) INTO chain FROM whole;
    -- Canceled in the same transaction: money may have been given back, and no session is left.
    IF EXISTS (SELECT FROM public.appointments a
               WHERE a.id = ANY (chain) AND a.status = 'canceled' AND NOT EXISTS (
                   SELECT FROM public.appointments b WHERE b.rescheduled_from_id = a.id)) THEN
        RETURN NULL;
    END IF;
    PERFORM FROM public.payments p WHERE p.appointment_id = ANY (chain) AND p.status = 'succeeded'
    ORDER BY p.id FOR NO KEY UPDATE;
    SELECT coalesce(sum(p.amount), 0) - coalesce(sum(
        (SELECT sum(r.amount) FROM public.refunds r
         WHERE r.payment_id = p.id AND r.status <> 'failed')), 0)
    INTO balance
    FROM public.payments p WHERE p.appointment_id = ANY (chain) AND p.status = 'succeeded';
    IF balance < coalesce(NEW.deposit_amount, NEW.price_amount) THEN
        PERFORM public.raise_refusal('appointments_paid_has_money', TG_TABLE_NAME, 'status', 'A session is paid or confirmed once its deposit, or its price, has arrived');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: appointments_person_stays(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.appointments_person_stays() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF OLD.client_user_id <> NEW.client_user_id
       -- Erasure empties it.
       OR (NEW.client_user_id IS NULL AND EXISTS (
           SELECT FROM public.users u WHERE u.id = OLD.client_user_id AND u.status <> 'deleted'))
       OR (OLD.lead_id IS NOT NULL AND NEW.lead_id IS NULL) THEN
        PERFORM public.raise_refusal('appointments_person_stays', TG_TABLE_NAME, 'client_user_id', 'A paid session stays with its person');
    END IF;
    IF OLD.lead_id <> NEW.lead_id AND NOT EXISTS (
        WITH RECURSIVE merged AS (
            SELECT l.merged_into_id FROM public.leads l WHERE l.id = OLD.lead_id
            UNION
            SELECT l.merged_into_id FROM public.leads l JOIN merged ON l.id = merged.merged_into_id)
        SELECT FROM merged WHERE merged.merged_into_id = NEW.lead_id) THEN
        PERFORM public.raise_refusal('appointments_person_stays', TG_TABLE_NAME, 'client_user_id', 'A paid session stays with its person');
    END IF;
    RETURN NEW;
END $$;


--
-- Name: appointments_replaces_rescheduled(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.appointments_replaces_rescheduled() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF NOT EXISTS (SELECT FROM public.appointments
                   WHERE id = NEW.rescheduled_from_id AND status = 'rescheduled')
       -- Rows of one transaction could otherwise vouch for each other in a circle.
       OR EXISTS (
           WITH RECURSIVE chain AS (
               SELECT id, rescheduled_from_id FROM public.appointments
               WHERE id = NEW.rescheduled_from_id
               UNION
               SELECT a.id, a.rescheduled_from_id
               FROM public.appointments a JOIN chain ON a.id = chain.rescheduled_from_id)
           SELECT FROM chain WHERE id = NEW.id) THEN
        PERFORM public.raise_refusal('appointments_replaces_rescheduled', TG_TABLE_NAME, 'rescheduled_from_id', 'A paid session starts confirmed only in place of a rescheduled one');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: appointments_timezone_is_known(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.appointments_timezone_is_known() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF TG_OP = 'UPDATE' AND NEW.timezone = OLD.timezone OR EXISTS (SELECT FROM public.appointments f WHERE f.id = NEW.rescheduled_from_id AND f.timezone = NEW.timezone) THEN
        RETURN NULL;
    END IF;
    PERFORM public.raise_refusal('appointments_timezone_is_known', TG_TABLE_NAME, 'timezone', 'The server does not know this time zone');
    RETURN NULL;
END $$;


--
-- Name: are_p0_codes(text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.are_p0_codes(value text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (NOT (EXISTS (SELECT FROM unnest(are_p0_codes.value) word(word) WHERE ((word.word IS NULL) OR (word.word !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$'::text) OR (word.word ~ '[0-9]{7}'::text)))));


--
-- Name: FUNCTION are_p0_codes(value text[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.are_p0_codes(value text[]) IS 'Codes of the tracking plan, no free text';


--
-- Name: audit_change(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $_$
DECLARE
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    becomes jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    key text := coalesce(becomes, was) ->> TG_ARGV[1];
    is_uuid boolean := key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
    old_value jsonb := '{}';
    new_value jsonb := '{}';
    withheld jsonb := '[]';
    told text;
BEGIN
    FOR i IN 2 .. TG_NARGS - 1 LOOP
        told := TG_ARGV[i];
        CONTINUE WHEN TG_OP = 'UPDATE' AND was -> told = becomes -> told;
        IF coalesce(length((was -> told)::text), 0) <= 4000
           AND coalesce(length((becomes -> told)::text), 0) <= 4000
           AND public.is_audit_value(jsonb_build_object(told, was -> told))
           AND public.is_audit_value(jsonb_build_object(told, becomes -> told)) THEN
            old_value := old_value || jsonb_build_object(told, was -> told);
            new_value := new_value || jsonb_build_object(told, becomes -> told);
        ELSE
            withheld := withheld || to_jsonb(told);
        END IF;
    END LOOP;
    IF withheld <> '[]' THEN
        old_value := old_value || jsonb_build_object('withheld', withheld);
        new_value := new_value || jsonb_build_object('withheld', withheld);
    END IF;
    PERFORM public.record_audit_entry(
        TG_ARGV[0], TG_TABLE_NAME,
        CASE WHEN is_uuid THEN key::uuid END, CASE WHEN NOT is_uuid THEN key END,
        CASE WHEN TG_OP <> 'INSERT' THEN old_value END,
        CASE WHEN TG_OP <> 'DELETE' THEN new_value END);
    RETURN NULL;
END $_$;


--
-- Name: FUNCTION audit_change(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.audit_change() IS 'Trigger: write what happened to a row into the audit log; arguments are action, key column, columns told';


--
-- Name: audit_checkpoints_end_an_old_segment(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_checkpoints_end_an_old_segment() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF NOT EXISTS (SELECT FROM public.audit_log_entries
                   WHERE seq = NEW.seq AND row_hash = NEW.row_hash)
       OR EXISTS (SELECT FROM public.audit_log_entries
                  WHERE seq <= NEW.seq
                    AND created_at > public.fact_clock() - interval '3 years') THEN
        PERFORM public.raise_refusal('audit_checkpoints_end_an_old_segment', TG_TABLE_NAME, 'seq', 'A checkpoint is the last entry of a segment that is old enough to go');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: audit_entry_hash(bytea, uuid, bigint, uuid, text, text, text, uuid, text, jsonb, jsonb, timestamp with time zone, bytea); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_entry_hash(prev_hash bytea, id uuid, seq bigint, actor_user_id uuid, actor_role text, action text, entity_type text, entity_id uuid, entity_key text, old_value jsonb, new_value jsonb, created_at timestamp with time zone, origin_hash bytea) RETURNS bytea
    LANGUAGE sql STABLE
    RETURN sha256((prev_hash || convert_to((jsonb_build_array(id, seq, actor_user_id, actor_role, action, entity_type, entity_id, entity_key, old_value, new_value, to_char((created_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'::text), encode(origin_hash, 'hex'::text)))::text, 'UTF8'::name)));


--
-- Name: FUNCTION audit_entry_hash(prev_hash bytea, id uuid, seq bigint, actor_user_id uuid, actor_role text, action text, entity_type text, entity_id uuid, entity_key text, old_value jsonb, new_value jsonb, created_at timestamp with time zone, origin_hash bytea); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.audit_entry_hash(prev_hash bytea, id uuid, seq bigint, actor_user_id uuid, actor_role text, action text, entity_type text, entity_id uuid, entity_key text, old_value jsonb, new_value jsonb, created_at timestamp with time zone, origin_hash bytea) IS 'SHA-256 over the hash before and the canonical form of an audit row';


--
-- Name: audit_log_entries_immutable(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_log_entries_immutable() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF to_jsonb(OLD) - '{ip_address,user_agent,origin_salt}'::text[]
          IS DISTINCT FROM to_jsonb(NEW) - '{ip_address,user_agent,origin_salt}'::text[]
       OR num_nonnulls(OLD.ip_address, OLD.user_agent, OLD.origin_salt) = 0
       OR num_nonnulls(NEW.ip_address, NEW.user_agent, NEW.origin_salt) > 0
       OR NOT (CASE WHEN OLD.actor_user_id IS NOT NULL OR OLD.entity_type = 'users'
    THEN coalesce(OLD.actor_user_id, OLD.entity_id) IS NOT NULL AND NOT EXISTS (
        SELECT FROM public.users u
        WHERE u.id = coalesce(OLD.actor_user_id, OLD.entity_id) AND u.status <> 'deleted')
    ELSE EXISTS (
        SELECT FROM public.audit_log_entries said
        WHERE said.entity_type = OLD.entity_type AND said.entity_id = OLD.entity_id
          AND said.seq > OLD.seq AND said.action = 'origin_forgotten') END) THEN
        PERFORM public.raise_refusal('audit_log_entries_immutable', TG_TABLE_NAME, 'id', 'These records are only added, never changed or deleted');
    END IF;
    RETURN NEW;
END $$;


--
-- Name: audit_log_entries_no_delete(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_log_entries_no_delete() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF OLD.created_at > public.fact_clock() - interval '3 years'
       OR NOT EXISTS (SELECT FROM public.audit_checkpoints c WHERE c.seq >= OLD.seq) THEN
        PERFORM public.raise_refusal('audit_log_entries_no_delete', TG_TABLE_NAME, 'id', 'These records are only added, never changed or deleted');
    END IF;
    RETURN OLD;
END $$;


--
-- Name: audit_origin_hash(uuid, inet, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_origin_hash(salt uuid, ip_address inet, user_agent text) RETURNS bytea
    LANGUAGE sql STABLE
    RETURN sha256((uuid_send(salt) || convert_to((jsonb_build_array((ip_address)::text, user_agent))::text, 'UTF8'::name)));


--
-- Name: FUNCTION audit_origin_hash(salt uuid, ip_address inet, user_agent text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.audit_origin_hash(salt uuid, ip_address inet, user_agent text) IS 'SHA-256 over where a request came from, salted';


--
-- Name: audit_staff_secret(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_staff_secret() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF NEW.status <> 'deleted' AND EXISTS (
        SELECT FROM public.user_roles r WHERE r.user_id = NEW.id AND r.role_code <> 'client'
    ) THEN
        PERFORM public.record_audit_entry(TG_ARGV[0], TG_TABLE_NAME, NEW.id, NULL, NULL, NULL);
    END IF;
    RETURN NULL;
END $$;


--
-- Name: FUNCTION audit_staff_secret(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.audit_staff_secret() IS 'Trigger: record that a secret of a member of staff changed, without the value; the argument is the action';


--
-- Name: busy_range(timestamp with time zone, timestamp with time zone, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.busy_range(starts timestamp with time zone, ends timestamp with time zone, buffer_minutes integer) RETURNS tsrange
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN tsrange((starts AT TIME ZONE 'UTC'::text), ((ends AT TIME ZONE 'UTC'::text) + ((buffer_minutes)::double precision * '00:01:00'::interval)));


--
-- Name: FUNCTION busy_range(starts timestamp with time zone, ends timestamp with time zone, buffer_minutes integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.busy_range(starts timestamp with time zone, ends timestamp with time zone, buffer_minutes integer) IS 'The time a session keeps busy, its break included';


--
-- Name: chain_audit_entry(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.chain_audit_entry() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    last record;
BEGIN
    NEW.origin_salt := NULL;
    NEW.origin_hash := NULL;
    IF NEW.ip_address IS NOT NULL OR NEW.user_agent IS NOT NULL THEN
        NEW.origin_salt := gen_random_uuid();
        NEW.origin_hash := public.audit_origin_hash(NEW.origin_salt, NEW.ip_address, NEW.user_agent);
    END IF;
    PERFORM public.take_lock('audit_chain');
    -- Whatever the writer gives: a false time would hide an entry, or remove it before its time.
    NEW.created_at := public.fact_clock();
    SELECT a.seq, a.row_hash INTO last
    FROM public.audit_log_entries a ORDER BY a.seq DESC LIMIT 1;
    IF NOT FOUND THEN
        SELECT c.seq, c.row_hash INTO last
        FROM public.audit_checkpoints c ORDER BY c.seq DESC LIMIT 1;
    END IF;
    NEW.seq := coalesce(last.seq, 0) + 1;
    NEW.prev_hash := coalesce(last.row_hash, '\x'::bytea);
    NEW.row_hash := public.audit_entry_hash(NEW.prev_hash, NEW.id, NEW.seq, NEW.actor_user_id,
        NEW.actor_role, NEW.action, NEW.entity_type, NEW.entity_id, NEW.entity_key,
        NEW.old_value, NEW.new_value, NEW.created_at, NEW.origin_hash);
    RETURN NEW;
END $$;


--
-- Name: FUNCTION chain_audit_entry(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.chain_audit_entry() IS 'Trigger: number and hash an audit row inside the chain''s lock';


--
-- Name: content_revisions_no_delete(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.content_revisions_no_delete() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF EXISTS (SELECT FROM public.content_items WHERE id = OLD.content_item_id) THEN
        PERFORM public.raise_refusal('content_revisions_no_delete', TG_TABLE_NAME, 'content_item_id', 'A version is deleted only together with what it belongs to');
    END IF;
    RETURN OLD;
END $$;


--
-- Name: deep_links_set_expiry(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.deep_links_set_expiry() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    NEW.expires_at := NEW.created_at + interval '720 hours';
    RETURN NEW;
END $$;


--
-- Name: erasure_requests_done_is_erased(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.erasure_requests_done_is_erased() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    -- Deleted is final, so no lock is needed.
    IF NOT EXISTS (SELECT FROM public.users WHERE id = NEW.user_id AND status = 'deleted') THEN
        PERFORM public.raise_refusal('erasure_requests_done_is_erased', TG_TABLE_NAME, 'status', 'A request is done only when the person is erased');
    END IF;
    RETURN NEW;
END $$;


--
-- Name: event_offence(text, text, jsonb, jsonb, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.event_offence(event text, event_source text, properties jsonb, page jsonb, acquisition jsonb) RETURNS text[]
    LANGUAGE plpgsql STABLE
    AS $_$
DECLARE
    plan record;
    envelope pg_catalog.jsonb := '{}';
    unplanned pg_catalog.jsonb := properties;
    offender pg_catalog.text;
    is_known boolean := false;
    is_open boolean := false;
BEGIN
    IF jsonb_typeof(properties) IS DISTINCT FROM 'object' THEN
        RETURN ARRAY['_p0_only', 'properties', NULL];
    END IF;
    IF page <> '{}' AND NOT coalesce(public.is_p0_envelope('page', page), false) THEN
        RETURN ARRAY['_p0_only', 'page', NULL];
    END IF;
    IF acquisition <> '{}'
       AND NOT coalesce(public.is_p0_envelope('acquisition', acquisition), false) THEN
        RETURN ARRAY['_p0_only', 'acquisition', NULL];
    END IF;
    envelope := page || acquisition;

    FOR plan IN
        SELECT e.is_active, event_source = ANY (e.sources) AS is_source,
               p.name, p.kind, p.allowed, p.is_required
        FROM public.tracking_events e
        LEFT JOIN public.tracking_event_params p ON p.event_name = e.event_name
        WHERE e.event_name = event
    LOOP
        is_known := plan.is_active;
        is_open := is_known AND coalesce(plan.is_source, false);
        IF NOT is_open THEN
            EXIT;
        ELSIF properties ? plan.name THEN
            IF NOT coalesce(public.is_p0_value(plan.kind, plan.allowed, properties -> plan.name), false) THEN
                RETURN ARRAY['_p0_only', 'properties', plan.name];
            END IF;
            -- Apart: an expression with a query would be planned and run as a query for every name.
            IF plan.kind = 'topic' THEN
                IF NOT EXISTS (SELECT FROM public.topics t WHERE t.code = properties ->> plan.name) THEN
                    RETURN ARRAY['_p0_only', 'properties', plan.name];
                END IF;
            END IF;
            unplanned := unplanned - plan.name;
        ELSIF plan.is_required AND NOT coalesce(envelope ? plan.name, false) THEN
            -- A required name may be "a|b": one of them is enough.
            IF plan.kind <> 'one_of'
               OR NOT (properties || coalesce(envelope, '{}')) ?| string_to_array(plan.name, '|') THEN
                RETURN ARRAY['_required_present', 'properties', plan.name];
            END IF;
        END IF;
    END LOOP;

    IF NOT is_known THEN
        RETURN ARRAY['_event_in_plan', 'event_name', NULL];
    ELSIF NOT is_open THEN
        RETURN ARRAY['_source_in_plan', 'source', NULL];
    ELSIF unplanned <> '{}' THEN
        -- What is not in the event's plan may still be of the shared envelope.
        SELECT CASE WHEN item.key ~ '^[a-z][a-z0-9_]{0,59}$' AND item.key !~ '[0-9]{7}'
                    THEN item.key ELSE 'unnamed' END
        INTO offender
        FROM jsonb_each(unplanned) item
        WHERE NOT coalesce(public.is_p0_envelope_value('any', item.key, item.value), false)
        LIMIT 1;
        IF FOUND THEN
            RETURN ARRAY['_p0_only', 'properties', offender];
        END IF;
    END IF;
    RETURN NULL;
END $_$;


--
-- Name: FUNCTION event_offence(event text, event_source text, properties jsonb, page jsonb, acquisition jsonb); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.event_offence(event text, event_source text, properties jsonb, page jsonb, acquisition jsonb) IS 'What the tracking plan has against an event: {suffix of the rule, column, detail} or NULL';


--
-- Name: fact_clock(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.fact_clock() RETURNS timestamp with time zone
    LANGUAGE sql PARALLEL SAFE
    RETURN clock_timestamp();


--
-- Name: FUNCTION fact_clock(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.fact_clock() IS 'The current time, for every rule that depends on it';


--
-- Name: find_time_zone(text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.find_time_zone(names text[]) RETURNS text
    LANGUAGE plpgsql STABLE
    SET "TimeZone" TO 'UTC'
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY names LOOP
        BEGIN
            PERFORM set_config('TimeZone', name, true);
            IF public.is_zone_form(current_setting('TimeZone')) THEN
                RETURN current_setting('TimeZone');
            END IF;
        EXCEPTION WHEN data_exception THEN
            CONTINUE;
        END;
    END LOOP;
    RETURN NULL;
END $$;


--
-- Name: FUNCTION find_time_zone(names text[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.find_time_zone(names text[]) IS 'The first of these IANA time zones that the server knows, in its spelling';


--
-- Name: guard_p0_event(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.guard_p0_event() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    offence text[];
    sentence text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        -- Events outlive their plan; what was accepted once may still go with its lead.
        IF (NEW.event_name, NEW.source) IS NOT DISTINCT FROM (OLD.event_name, OLD.source)
           AND (NEW.properties = OLD.properties
                -- Nobody is known by the lead any more: it was erased.
                OR NEW.properties = '{}' AND TG_TABLE_NAME = 'lead_timeline_events'
                   AND NOT EXISTS (SELECT FROM public.lead_identities i
                                   WHERE i.lead_id = NEW.lead_id)) THEN
            RETURN NEW;
        END IF;
    END IF;
    IF TG_TABLE_NAME = 'analytics_events' THEN
        offence := public.event_offence(
            NEW.event_name, NEW.source, NEW.properties, NEW.page, NEW.acquisition);
    ELSE
        offence := public.event_offence(NEW.event_name, NEW.source, NEW.properties, '{}', '{}');
    END IF;
    IF offence IS NULL THEN
        RETURN NEW;
    END IF;
    FOR i IN 0 .. TG_NARGS - 2 BY 2 LOOP
        IF TG_ARGV[i] = offence[1] THEN
            sentence := TG_ARGV[i + 1] || coalesce(': ' || offence[3], '');
        END IF;
    END LOOP;
    PERFORM public.raise_refusal(TG_TABLE_NAME || offence[1], TG_TABLE_NAME, offence[2], sentence);
    RETURN NULL;
END $$;


--
-- Name: FUNCTION guard_p0_event(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.guard_p0_event() IS 'Trigger: an event holds what the tracking plan lists; arguments are suffix, sentence, …';


--
-- Name: has_lengths(text[], integer, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.has_lengths(value text[], items integer, longest integer) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((cardinality(value) <= items) AND (NOT (EXISTS (SELECT FROM unnest(has_lengths.value) word(word) WHERE (length(word.word) > has_lengths.longest)))));


--
-- Name: FUNCTION has_lengths(value text[], items integer, longest integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.has_lengths(value text[], items integer, longest integer) IS 'Few enough texts, each short enough';


--
-- Name: has_no_duplicates(text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.has_no_duplicates(value text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((COALESCE(array_ndims(value), 1) = 1) AND (cardinality(value) = (SELECT count(DISTINCT x.x) AS count FROM unnest(has_no_duplicates.value) x(x))));


--
-- Name: interactive_definitions_published_version_exists(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.interactive_definitions_published_version_exists() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF EXISTS (SELECT FROM public.interactive_definitions WHERE id = NEW.id AND published_version = NEW.published_version)
       AND NOT EXISTS (SELECT FROM public.interactive_versions
                       WHERE interactive_definition_id = NEW.id AND version = NEW.published_version) THEN
        PERFORM public.raise_refusal('interactive_definitions_published_version_exists', TG_TABLE_NAME, 'published_version', 'There is no such version; it must exist before it is used');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: interactive_versions_no_delete(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.interactive_versions_no_delete() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF EXISTS (SELECT FROM public.interactive_definitions WHERE id = OLD.interactive_definition_id) THEN
        PERFORM public.raise_refusal('interactive_versions_no_delete', TG_TABLE_NAME, 'interactive_definition_id', 'A version is deleted only together with what it belongs to');
    END IF;
    RETURN OLD;
END $$;


--
-- Name: is_audit_value(jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_audit_value(value jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
BEGIN
    IF jsonb_typeof(value) <> 'object' THEN
        RETURN false;
    END IF;
    RETURN NOT EXISTS (
        SELECT FROM jsonb_path_query(value, 'strict $.**') node
        WHERE CASE jsonb_typeof(node)
            WHEN 'object' THEN EXISTS (
                SELECT FROM jsonb_object_keys(node) key WHERE NOT public.is_p0_key(key))
            WHEN 'number' THEN abs(node::numeric) > 1000000000
            WHEN 'string' THEN length(node #>> '{}') > 120 OR node #>> '{}' ~ '@'
                OR (node #>> '{}' ~ '([0-9][ ().-]*){7}'
                    AND NOT public.is_p0_value('uuid', NULL, node)
                    AND NOT public.is_p0_value('timestamp', NULL, node)
                    AND node #>> '{}' !~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$')
            ELSE false END);
END $_$;


--
-- Name: FUNCTION is_audit_value(value jsonb); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_audit_value(value jsonb) IS 'An object without addresses, phone numbers or long texts at any depth';


--
-- Name: is_code(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_code(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((value ~ '^[a-z][a-z0-9_]*$'::text) AND (length(value) <= 60));


--
-- Name: is_email(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_email(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (value ~ '^[^@\s\x01-\x1F\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u180B-\u180E\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB]+@[^@\s\x01-\x1F\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u180B-\u180E\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB]+$'::text);


--
-- Name: FUNCTION is_email(value text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_email(value text) IS 'One @ between characters that show';


--
-- Name: is_finite(date); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_finite(value date) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((value >= '0001-01-02'::date) AND (value <= '9999-12-30'::date));


--
-- Name: FUNCTION is_finite(value date); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_finite(value date) IS 'A real day, in a year that every client can read (1 to 9999)';


--
-- Name: is_finite(timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_finite(value timestamp with time zone) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((value AT TIME ZONE 'UTC'::text) >= '0001-01-02 00:00:00'::timestamp without time zone) AND ((value AT TIME ZONE 'UTC'::text) <= '9999-12-30 00:00:00'::timestamp without time zone));


--
-- Name: FUNCTION is_finite(value timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_finite(value timestamp with time zone) IS 'A real moment, in a year that every client can read (1 to 9999)';


--
-- Name: is_in_hours(date, date, text, time without time zone, time without time zone, timestamp with time zone, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_in_hours(starts_on date, ends_on date, zone text, start_local time without time zone, end_local time without time zone, starts timestamp with time zone, ends timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    changed timestamptz;  -- when clocks change between starts and ends
    until timestamptz := ends;
    first timestamp;
    last timestamp;
BEGIN
    IF (ends AT TIME ZONE zone) - (starts AT TIME ZONE zone) <> ends - starts THEN
        SELECT min(minute) INTO changed
        FROM generate_series(date_trunc('minute', starts, 'UTC'), ends, interval '1 minute') minute
        WHERE minute > starts
          AND (minute AT TIME ZONE zone) - (starts AT TIME ZONE zone) <> minute - starts;
        until := coalesce(changed, ends);
    END IF;
    LOOP
        first := starts AT TIME ZONE zone;
        last := first + (until - starts);
        IF start_local IS NULL THEN
            IF first < ends_on + 1 AND last > starts_on THEN
                RETURN true;
            END IF;
        ELSIF EXISTS (
            SELECT FROM generate_series(
                0, least(ends_on, last::date) - greatest(starts_on, first::date)
            ) day
            WHERE greatest(starts_on, first::date) + day + start_local < last
              AND greatest(starts_on, first::date) + day + end_local > first
        ) THEN
            RETURN true;
        END IF;
        EXIT WHEN until = ends;
        starts := until;
        until := ends;
    END LOOP;
    RETURN false;
EXCEPTION WHEN invalid_parameter_value THEN
    -- The server knows the zone no more: the days as any zone has them, 14 hours before UTC to 12
    -- hours after it.
    RETURN starts < (ends_on + 1) AT TIME ZONE 'UTC' + interval '12 hours'
        AND ends > starts_on AT TIME ZONE 'UTC' - interval '14 hours';
END $$;


--
-- Name: FUNCTION is_in_hours(starts_on date, ends_on date, zone text, start_local time without time zone, end_local time without time zone, starts timestamp with time zone, ends timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_in_hours(starts_on date, ends_on date, zone text, start_local time without time zone, end_local time without time zone, starts timestamp with time zone, ends timestamp with time zone) IS 'Whether clocks show an hour of an exception at any instant from starts to ends';


--
-- Name: is_json_object(jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_json_object(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (jsonb_typeof(value) = 'object'::text);


--
-- Name: is_link_lifetime(timestamp with time zone, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_link_lifetime(created timestamp with time zone, expires timestamp with time zone) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (NOT (public.is_finite(created) AND public.is_finite(expires))) THEN false ELSE (((expires AT TIME ZONE 'UTC'::text) > (created AT TIME ZONE 'UTC'::text)) AND ((expires AT TIME ZONE 'UTC'::text) <= ((created AT TIME ZONE 'UTC'::text) + '30 days'::interval))) END;


--
-- Name: FUNCTION is_link_lifetime(created timestamp with time zone, expires timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_link_lifetime(created timestamp with time zone, expires timestamp with time zone) IS 'Expires after it was created, at most 30 days later';


--
-- Name: is_lower_case(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_lower_case(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (value = lower(value));


--
-- Name: is_outbox_payload(jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_outbox_payload(value jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF jsonb_typeof(value) <> 'object' THEN
        RETURN false;
    END IF;
    RETURN NOT EXISTS (
        SELECT FROM jsonb_each(value) item
        WHERE NOT public.is_p0_key(item.key)
           OR NOT EXISTS (
               SELECT FROM unnest('{uuid,code,slug,int,bool,timestamp,zone}'::text[]) kind
               WHERE public.is_p0_value(kind, NULL, item.value)));
END $$;


--
-- Name: FUNCTION is_outbox_payload(value jsonb); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_outbox_payload(value jsonb) IS 'A flat object: keys are codes, values of a P0 kind';


--
-- Name: is_p0_envelope(text, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_p0_envelope(section text, value jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    AS $$
DECLARE
    key pg_catalog.text;
BEGIN
    IF jsonb_typeof(value) IS DISTINCT FROM 'object' THEN
        RETURN value IS NULL;
    END IF;
    FOREACH key IN ARRAY '{page_path,referrer_host,entry_point,utm_source,utm_medium,utm_campaign,utm_content,utm_term}'::text[]
    LOOP
        IF value ? key THEN
            IF NOT coalesce(public.is_p0_envelope_value(section, key, value -> key), false) THEN
                RETURN false;
            END IF;
            value := value - key;
            IF value = '{}' THEN
                RETURN true;
            END IF;
        END IF;
    END LOOP;
    RETURN value = '{}';
END $$;


--
-- Name: is_p0_envelope_value(text, text, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_p0_envelope_value(section text, key text, value jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    AS $$
BEGIN
    IF section IN ('page', 'any') AND key = 'page_path' THEN
        RETURN public.is_p0_value('path', NULL, value);
    ELSIF section IN ('page', 'any') AND key = 'referrer_host' THEN
        RETURN public.is_p0_value('host', NULL, value);
    ELSIF section IN ('acquisition', 'any') AND key = 'entry_point' THEN
        RETURN public.is_p0_value('enum',
            '{seo,telegram,direct,referral,ads,internal}', value);
    ELSIF section IN ('acquisition', 'utm', 'any')
          AND key IN ('utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term') THEN
        RETURN public.is_p0_value('utm', NULL, value);
    END IF;
    RETURN false;
END $$;


--
-- Name: is_p0_key(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_p0_key(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (public.is_code(value) AND (value !~ '[0-9]{7}'::text));


--
-- Name: FUNCTION is_p0_key(value text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_p0_key(value text) IS 'A code that cannot be a phone number';


--
-- Name: is_p0_value(text, text[], jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_p0_value(kind text, allowed text[], value jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
DECLARE
    shape pg_catalog.text := jsonb_typeof(value);
    word pg_catalog.text;
BEGIN
    IF kind = 'bool' THEN
        RETURN shape = 'boolean';
    ELSIF kind = 'int' THEN
        RETURN shape = 'number' AND value::text ~ '^[0-9]{1,10}$' AND value::bigint <= 1000000000;
    ELSIF kind IN ('enum_list', 'code_list') THEN
        RETURN shape = 'array' AND jsonb_array_length(value) BETWEEN 1 AND 50
            AND NOT EXISTS (
                SELECT FROM jsonb_array_elements(value) item
                WHERE NOT public.is_p0_value(CASE kind WHEN 'enum_list' THEN 'enum' ELSE 'code' END,
                                             allowed, item));
    ELSIF shape <> 'string' THEN
        RETURN false;
    END IF;

    word := value #>> '{}';
    IF kind = 'enum' THEN
        RETURN coalesce(word = ANY (allowed), false);
    ELSIF length(word) > 120 THEN
        RETURN false;
    ELSIF kind IN ('uuid', 'ref')
          AND word ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN
        RETURN true;
    ELSIF kind = 'deep_link' THEN  -- the one shape of these ids, see patterns.OPAQUE_ID
        RETURN word ~ '^[A-Za-z0-9_-]{8,64}$' AND word ~ '[A-Za-z]';
    ELSIF kind = 'timestamp' THEN
        IF word !~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?(Z|\+00:00)$' THEN
            RETURN false;
        END IF;
        -- The last day of that month; year 0000 does not exist.
        RETURN left(word, 4) <> '0000'
            AND substr(word, 9, 2)::int <= extract(day FROM
                make_date(left(word, 4)::int, substr(word, 6, 2)::int, 1) + interval '1 month -1 day');
    ELSIF word ~ '[0-9]{7}' OR word ~ '([0-9][._-]?){11}' THEN
        RETURN false;  -- a phone number, whatever else it is called
    END IF;

    CASE kind
        WHEN 'slug' THEN RETURN word ~ '^[a-z0-9]+([_-][a-z0-9]+)*$';
        WHEN 'code', 'ref' THEN RETURN word ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$';
        WHEN 'topic' THEN RETURN public.is_code(word);
        WHEN 'utm' THEN RETURN word ~ '^[A-Za-z0-9_.-]{1,80}$';
        WHEN 'path' THEN RETURN word ~ '^/[a-z0-9/_.-]{0,199}$';
        WHEN 'host' THEN
            RETURN word ~* '^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?$';
        WHEN 'zone' THEN RETURN public.is_zone_form(word);
        ELSE RETURN false;
    END CASE;
END $_$;


--
-- Name: FUNCTION is_p0_value(kind text, allowed text[], value jsonb); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_p0_value(kind text, allowed text[], value jsonb) IS 'Whether a JSON value is of a kind of the tracking plan';


--
-- Name: uuid7(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.uuid7() RETURNS uuid
    LANGUAGE plpgsql
    AS $$
DECLARE
    ticks bigint := floor(extract(epoch FROM clock_timestamp()) * 4096000)::bigint;
    last_ticks bigint := nullif(current_setting('ebalance.uuid7_ticks', true), '')::bigint;
    hex pg_catalog.text;
    noise pg_catalog.text := replace(gen_random_uuid()::pg_catalog.text, '-', '');
BEGIN
    IF last_ticks >= ticks THEN
        ticks := last_ticks + 1;
    END IF;
    PERFORM set_config('ebalance.uuid7_ticks', ticks::pg_catalog.text, false);
    hex := lpad(to_hex(ticks), 15, '0');
    -- The variant nibble (8 to b) of the random UUID stands where v7 wants it, at 17.
    RETURN (substr(hex, 1, 12) || '7' || substr(hex, 13, 3) || substr(noise, 17))::pg_catalog.uuid;
END $$;


--
-- Name: FUNCTION uuid7(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.uuid7() IS 'A new UUIDv7, greater than the session''s earlier ones';


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: key_rotations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.key_rotations (
    id uuid DEFAULT public.uuid7() NOT NULL,
    table_name text NOT NULL,
    to_key text NOT NULL,
    to_index_key text NOT NULL,
    cursor uuid,
    rows_done bigint DEFAULT 0 NOT NULL,
    batch_transaction bigint,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT key_rotations_rows_done_in_range CHECK ((rows_done >= 0)),
    CONSTRAINT key_rotations_table_name_has_length CHECK ((length(table_name) <= 60)),
    CONSTRAINT key_rotations_table_name_is_code CHECK (public.is_code(table_name)),
    CONSTRAINT key_rotations_times_finite CHECK ((public.is_finite(started_at) AND public.is_finite(updated_at) AND public.is_finite(finished_at))),
    CONSTRAINT key_rotations_to_index_key_has_length CHECK ((length(to_index_key) <= 60)),
    CONSTRAINT key_rotations_to_index_key_is_key_id CHECK ((to_index_key ~ '^[a-z0-9]{1,16}$'::text)),
    CONSTRAINT key_rotations_to_key_has_length CHECK ((length(to_key) <= 60)),
    CONSTRAINT key_rotations_to_key_is_key_id CHECK ((to_key ~ '^[a-z0-9]{1,16}$'::text))
);


--
-- Name: TABLE key_rotations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.key_rotations IS 'Moves of tables to new keys';


--
-- Name: COLUMN key_rotations.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.key_rotations.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN key_rotations.table_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.key_rotations.table_name IS 'P0 · table';


--
-- Name: COLUMN key_rotations.to_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.key_rotations.to_key IS 'P0 · id of the key that values are sealed with';


--
-- Name: COLUMN key_rotations.to_index_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.key_rotations.to_index_key IS 'P0 · id of the key that blind indexes are made with';


--
-- Name: COLUMN key_rotations.cursor; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.key_rotations.cursor IS 'P0 · last row that this pass has done, if a pass is running';


--
-- Name: COLUMN key_rotations.rows_done; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.key_rotations.rows_done IS 'P0 · rows moved so far';


--
-- Name: COLUMN key_rotations.batch_transaction; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.key_rotations.batch_transaction IS 'P0 · transaction (xid8) of the batch at work';


--
-- Name: COLUMN key_rotations.started_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.key_rotations.started_at IS 'P0 · when it began, UTC';


--
-- Name: COLUMN key_rotations.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.key_rotations.updated_at IS 'P0 · when the row was last written, UTC; kept by the database';


--
-- Name: COLUMN key_rotations.finished_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.key_rotations.finished_at IS 'P0 · when all rows had moved or another took over, UTC';


--
-- Name: is_resealing(text, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_resealing(rotated text, before text, after text) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN ((split_part(before, '.'::text, 2) <> split_part(after, '.'::text, 2)) AND (EXISTS (SELECT FROM public.key_rotations r WHERE ((r.table_name = is_resealing.rotated) AND (r.to_key = split_part(is_resealing.after, '.'::text, 2)) AND (r.finished_at IS NULL) AND (r.batch_transaction = ((pg_current_xact_id_if_assigned())::text)::bigint)))));


--
-- Name: FUNCTION is_resealing(rotated text, before text, after text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_resealing(rotated text, before text, after text) IS 'Whether rotate_keys moves this value of the table to another key, in this transaction';


--
-- Name: is_row_counts(jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_row_counts(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (jsonb_typeof(value) = 'object'::text) THEN (NOT (EXISTS (SELECT FROM jsonb_each(is_row_counts.value) item(key, value) WHERE ((NOT public.is_p0_key(item.key)) OR ((item.value)::text !~ '^[0-9]{1,9}$'::text))))) ELSE false END;


--
-- Name: FUNCTION is_row_counts(value jsonb); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_row_counts(value jsonb) IS 'An object of table names and whole numbers';


--
-- Name: is_sealed(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_sealed(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((value ~ '^v1\.[a-z0-9]{1,16}\.[A-Za-z0-9_-]{39,}$'::text) AND ((length(split_part(value, '.'::text, 3)) % 4) <> 1));


--
-- Name: is_session_length(timestamp with time zone, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_session_length(starts timestamp with time zone, ends timestamp with time zone) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (NOT (public.is_finite(starts) AND public.is_finite(ends))) THEN false ELSE (((ends AT TIME ZONE 'UTC'::text) > (starts AT TIME ZONE 'UTC'::text)) AND ((ends AT TIME ZONE 'UTC'::text) <= ((starts AT TIME ZONE 'UTC'::text) + '12:00:00'::interval))) END;


--
-- Name: FUNCTION is_session_length(starts timestamp with time zone, ends timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_session_length(starts timestamp with time zone, ends timestamp with time zone) IS 'Ends after it starts, at most 12 hours later';


--
-- Name: is_time_zone(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_time_zone(name text) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN CASE WHEN (name IS NOT NULL) THEN COALESCE((public.find_time_zone(ARRAY[name]) = name), false) ELSE NULL::boolean END;


--
-- Name: FUNCTION is_time_zone(name text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_time_zone(name text) IS 'Whether the server knows this IANA time zone, in this spelling';


--
-- Name: is_utm(jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_utm(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN public.is_p0_envelope('utm'::text, value);


--
-- Name: is_visible(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_visible(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (value ~ '[^\s\x01-\x1F\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u180B-\u180E\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB]'::text);


--
-- Name: FUNCTION is_visible(value text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_visible(value text) IS 'Whether a text shows anything to a reader';


--
-- Name: is_zone_form(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_zone_form(name text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((length(name) <= 60) AND (name ~ '^((Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Brazil|Canada|Chile|Europe|Indian|Mexico|Pacific|US)(/[A-Z][A-Za-z_]*(-[A-Za-z_]+)*){1,2}|(Etc/)?(GMT([+-]?0)?|Greenwich|UCT|UTC|Universal|Zulu)|Etc/GMT([+]([1-9]|1[0-2])|-([1-9]|1[0-4]))|(EST5E|CST6C|MST7M|PST8P)DT|CET|Cuba|EET|EST|Egypt|Eire|Factory|GB|GB-Eire|HST|Hongkong|Iceland|Iran|Israel|Jamaica|Japan|Kwajalein|Libya|MET|MST|NZ|NZ-CHAT|Navajo|PRC|Poland|Portugal|ROC|ROK|Singapore|Turkey|W-SU|WET)$'::text));


--
-- Name: FUNCTION is_zone_form(name text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_zone_form(name text) IS 'Whether a name has the form of an IANA time zone';


--
-- Name: json_has_length(jsonb, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.json_has_length(value jsonb, longest integer) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (length((value)::text) <= longest);


--
-- Name: FUNCTION json_has_length(value jsonb, longest integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.json_has_length(value jsonb, longest integer) IS 'Whether a JSON value is short enough as text';


--
-- Name: lead_identities_not_of_merged_lead(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.lead_identities_not_of_merged_lead() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ DECLARE
    target uuid;
BEGIN
    SELECT l.merged_into_id INTO target FROM public.leads l WHERE l.id = NEW.lead_id
    FOR KEY SHARE;
    IF target IS NOT NULL THEN
        PERFORM public.raise_refusal('lead_identities_not_of_merged_lead', TG_TABLE_NAME, 'lead_id', 'This lead was merged into another: add the contact there');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: leads_merged_has_no_identity(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.leads_merged_has_no_identity() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    PERFORM FROM public.leads l WHERE l.id = NEW.id FOR UPDATE;
    IF EXISTS (SELECT FROM public.lead_identities i WHERE i.lead_id = NEW.id) THEN
        PERFORM public.raise_refusal('leads_merged_has_no_identity', TG_TABLE_NAME, 'merged_into_id', 'A merged lead has no contacts of its own');
    END IF;
    RETURN NEW;
END $$;


--
-- Name: leads_merged_in_no_circle(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.leads_merged_in_no_circle() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ DECLARE
    target uuid := NEW.merged_into_id;
BEGIN
    PERFORM FROM public.leads l WHERE l.id = NEW.id FOR UPDATE;
    WHILE target IS NOT NULL LOOP
        IF target = NEW.id THEN
            PERFORM public.raise_refusal('leads_merged_in_no_circle', TG_TABLE_NAME, 'merged_into_id', 'A lead cannot be merged in a circle');
        END IF;
        SELECT l.merged_into_id INTO target FROM public.leads l WHERE l.id = target
        FOR KEY SHARE;
    END LOOP;
    RETURN NEW;
END $$;


--
-- Name: message_deliveries_lead_stays(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.message_deliveries_lead_stays() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF NOT EXISTS (
        WITH RECURSIVE merged AS (
            SELECT l.merged_into_id FROM public.leads l WHERE l.id = OLD.lead_id
            UNION
            SELECT l.merged_into_id FROM public.leads l JOIN merged ON l.id = merged.merged_into_id)
        SELECT FROM merged WHERE merged.merged_into_id = NEW.lead_id) THEN
        PERFORM public.raise_refusal('message_deliveries_lead_stays', TG_TABLE_NAME, 'lead_id', 'A message follows its lead only into a merge');
    END IF;
    RETURN NEW;
END $$;


--
-- Name: message_deliveries_person_agreed(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.message_deliveries_person_agreed() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ DECLARE
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
        PERFORM public.raise_refusal('message_deliveries_person_agreed', TG_TABLE_NAME, 'channel', 'Without an active consent nothing is sent');
    END IF;
    RETURN NEW;
END $$;


--
-- Name: message_deliveries_person_not_erased(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.message_deliveries_person_not_erased() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ DECLARE
    state text;
BEGIN
    SELECT u.status INTO state FROM public.users u WHERE u.id = NEW.user_id FOR SHARE;
    IF state = 'deleted' THEN
        PERFORM public.raise_refusal('message_deliveries_person_not_erased', TG_TABLE_NAME, 'user_id', 'This person was erased; nothing is sent to them');
    END IF;
    RETURN NEW;
END $$;


--
-- Name: message_deliveries_session_is_on(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.message_deliveries_session_is_on() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ DECLARE
    state text;
BEGIN
    SELECT a.status INTO state FROM public.appointments a WHERE a.id = NEW.appointment_id
    FOR SHARE;
    -- The news itself is sent.
    IF (state = 'canceled' AND NEW.kind <> 'canceled')
       OR (state = 'rescheduled' AND NEW.kind NOT IN ('canceled', 'rescheduled')) THEN
        PERFORM public.raise_refusal('message_deliveries_session_is_on', TG_TABLE_NAME, 'appointment_id', 'This session was canceled or moved');
    END IF;
    RETURN NEW;
END $$;


--
-- Name: message_template_versions_no_delete(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.message_template_versions_no_delete() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF EXISTS (SELECT FROM public.message_templates WHERE id = OLD.template_id) THEN
        PERFORM public.raise_refusal('message_template_versions_no_delete', TG_TABLE_NAME, 'template_id', 'A version is deleted only together with what it belongs to');
    END IF;
    RETURN OLD;
END $$;


--
-- Name: message_template_versions_subject_for_email(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.message_template_versions_subject_for_email() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    -- Without a template it is the foreign key's to refuse.
    IF EXISTS (SELECT FROM public.message_templates
               WHERE id = NEW.template_id
                 AND (channel = 'email') <> (NEW.subject IS NOT NULL)) THEN
        PERFORM public.raise_refusal('message_template_versions_subject_for_email', TG_TABLE_NAME, 'subject', 'A subject is given exactly for e-mail');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: message_templates_active_version_exists(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.message_templates_active_version_exists() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF EXISTS (SELECT FROM public.message_templates WHERE id = NEW.id AND active_version = NEW.active_version)
       AND NOT EXISTS (SELECT FROM public.message_template_versions
                       WHERE template_id = NEW.id AND version = NEW.active_version) THEN
        PERFORM public.raise_refusal('message_templates_active_version_exists', TG_TABLE_NAME, 'active_version', 'There is no such version; it must exist before it is used');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: payments_fit_price(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.payments_fit_price() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF EXISTS (SELECT FROM public.appointments a WHERE a.id = NEW.appointment_id
               AND CASE NEW.purpose
                   WHEN 'deposit' THEN NEW.amount IS DISTINCT FROM a.deposit_amount
                   ELSE NEW.amount > a.price_amount END) THEN
        PERFORM public.raise_refusal('payments_fit_price', TG_TABLE_NAME, 'amount', 'A deposit is the deposit agreed, a full payment at most the price');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: payments_manual_within_price(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.payments_manual_within_price() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ DECLARE
    first uuid;
    chain uuid[];
    price bigint;
    held bigint;
BEGIN
    WITH RECURSIVE earlier AS (
        SELECT a.id, a.rescheduled_from_id FROM public.appointments a
        WHERE a.id = NEW.appointment_id
        UNION
        SELECT a.id, a.rescheduled_from_id
        FROM public.appointments a JOIN earlier ON a.id = earlier.rescheduled_from_id)
    SELECT earlier.id INTO first FROM earlier
    ORDER BY earlier.rescheduled_from_id IS NOT NULL, earlier.id LIMIT 1;
    UPDATE public.appointments SET status = status WHERE id = first;
    -- The request again, which ON CONFLICT leaves out or the key refuses.
    IF EXISTS (SELECT FROM public.payments p WHERE p.idempotency_key = NEW.idempotency_key) THEN
        RETURN NEW;
    END IF;
    WITH RECURSIVE later AS (
        SELECT a.id FROM public.appointments a WHERE a.id = first
        UNION
        SELECT a.id FROM public.appointments a JOIN later ON a.rescheduled_from_id = later.id)
    SELECT array_agg(later.id) INTO chain FROM later;
    PERFORM FROM public.payments p WHERE p.appointment_id = ANY (chain)
    ORDER BY p.id FOR NO KEY UPDATE;
    SELECT min(a.price_amount) INTO price FROM public.appointments a WHERE a.id = ANY (chain);
    SELECT coalesce(sum(p.amount), 0) - coalesce(sum(
        (SELECT sum(r.amount) FROM public.refunds r
         WHERE r.payment_id = p.id AND r.status <> 'failed')), 0)
    INTO held
    FROM public.payments p WHERE p.appointment_id = ANY (chain) AND p.status = 'succeeded';
    IF held + NEW.amount > price THEN
        PERFORM public.raise_refusal('payments_manual_within_price', TG_TABLE_NAME, 'amount', 'Money taken by staff is, with all that is held for the session, at most its price');
    END IF;
    RETURN NEW;
END $$;


--
-- Name: question_answers_answered_keeps_answer(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.question_answers_answered_keeps_answer() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ DECLARE
    question_status text;
BEGIN
    IF TG_OP = 'DELETE' OR NEW.question_id <> OLD.question_id THEN
        SELECT status INTO question_status FROM public.anonymous_questions
        WHERE id = OLD.question_id FOR SHARE;
        IF question_status = 'answered' THEN
            PERFORM public.raise_refusal('question_answers_answered_keeps_answer', TG_TABLE_NAME, 'question_id', 'The answer of an answered question goes only together with the question');
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;


--
-- Name: question_answers_published_is_allowed(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.question_answers_published_is_allowed() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    PERFORM FROM public.anonymous_questions
    WHERE id = NEW.question_id AND publish_allowed FOR SHARE;
    IF NOT FOUND THEN
        PERFORM public.raise_refusal('question_answers_published_is_allowed', TG_TABLE_NAME, 'published_at', 'An answer is published only if the author of the question allowed it');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: raise_refusal(text, text, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.raise_refusal(rule text, table_name text, column_name text, sentence text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation',
        MESSAGE = sentence || ' (' || rule || ').',
        CONSTRAINT = rule, TABLE = table_name, COLUMN = column_name, SCHEMA = 'public';
END $$;


--
-- Name: FUNCTION raise_refusal(rule text, table_name text, column_name text, sentence text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.raise_refusal(rule text, table_name text, column_name text, sentence text) IS 'Raise 23514 with CONSTRAINT, TABLE and COLUMN set';


--
-- Name: record_audit_entry(text, text, uuid, text, jsonb, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.record_audit_entry(action text, entity_type text, entity_id uuid, entity_key text, old_value jsonb, new_value jsonb) RETURNS uuid
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    said text := nullif(current_setting('ebalance.actor_user_id', true), '');
    role text := nullif(current_setting('ebalance.actor_role', true), '');
    agent text := nullif(left(current_setting('ebalance.user_agent', true), 300), '');
    address text := nullif(current_setting('ebalance.ip_address', true), '');
    actor uuid;
    origin inet;
    written uuid;
BEGIN
    IF said IS NOT NULL THEN
        IF said !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'foreign_key_violation',
                MESSAGE = 'ebalance.actor_user_id is no key of a person '
                    '(audit_log_entries_actor_user_id_fk).',
                CONSTRAINT = 'audit_log_entries_actor_user_id_fk',
                TABLE = 'audit_log_entries', COLUMN = 'actor_user_id', SCHEMA = 'public';
        END IF;
        actor := said::uuid;
        -- Before the chain's lock: nobody may wait for a person while holding that.
        PERFORM FROM public.users u WHERE u.id = actor FOR KEY SHARE;
    END IF;
    IF role IS NULL AND actor IS NOT NULL THEN
        role := public.acting_role(actor);
    END IF;
    IF address IS NOT NULL THEN
        BEGIN
            origin := address::inet;
        EXCEPTION WHEN invalid_text_representation THEN
            origin := NULL;  -- rubbish in a header is no reason to refuse what the person does
        END;
    END IF;
    BEGIN
        INSERT INTO public.audit_log_entries (actor_user_id, actor_role, action, entity_type,
            entity_id, entity_key, old_value, new_value, ip_address, user_agent)
        VALUES (actor, coalesce(role, 'system'), action, entity_type,
            entity_id, entity_key, old_value, new_value, origin, agent)
        RETURNING id INTO written;
    EXCEPTION WHEN unique_violation THEN
        -- A snapshot from before the last entry cannot go on from it.
        IF current_setting('transaction_isolation') = 'read committed' THEN
            RAISE;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'serialization_failure',
            MESSAGE = 'could not serialize access to the audit log';
    END;
    RETURN written;
END $_$;


--
-- Name: FUNCTION record_audit_entry(action text, entity_type text, entity_id uuid, entity_key text, old_value jsonb, new_value jsonb); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.record_audit_entry(action text, entity_type text, entity_id uuid, entity_key text, old_value jsonb, new_value jsonb) IS 'Write an entry of the audit log; who acts is told by the session variables ebalance.*';


--
-- Name: refunds_within_payment(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refunds_within_payment() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ DECLARE
    paid bigint;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.status <> 'failed' THEN
        RETURN NULL;
    END IF;
    UPDATE public.payments SET status = status WHERE id = NEW.payment_id
    RETURNING amount INTO paid;
    IF paid < (SELECT sum(r.amount) FROM public.refunds r
               WHERE r.payment_id = NEW.payment_id AND r.status <> 'failed') THEN
        PERFORM public.raise_refusal('refunds_within_payment', TG_TABLE_NAME, 'amount', 'The refunds of a payment are together at most its amount');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: refuse(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM public.raise_refusal(TG_ARGV[0], TG_TABLE_NAME, TG_ARGV[1], TG_ARGV[2]);
    RETURN NULL;
END $$;


--
-- Name: FUNCTION refuse(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.refuse() IS 'Trigger: refuse the statement; arguments are rule, column, sentence';


--
-- Name: refuse_for_erased_person(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse_for_erased_person() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    found_status text;
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) -> TG_ARGV[1] = to_jsonb(OLD) -> TG_ARGV[1] THEN
        RETURN NEW;
    END IF;
    SELECT u.status INTO found_status FROM public.users u
    WHERE u.id = (to_jsonb(NEW) ->> TG_ARGV[1])::uuid FOR KEY SHARE;
    IF found_status = 'deleted' THEN
        PERFORM public.raise_refusal(TG_ARGV[0], TG_TABLE_NAME, TG_ARGV[1], TG_ARGV[2]);
    END IF;
    RETURN NEW;
END $$;


--
-- Name: FUNCTION refuse_for_erased_person(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.refuse_for_erased_person() IS 'Trigger: nothing new is written of an erased person; arguments are rule, column, sentence';


--
-- Name: refuse_new_value(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse_new_value() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) -> TG_ARGV[1] = to_jsonb(OLD) -> TG_ARGV[1] THEN
        RETURN NULL;
    END IF;
    PERFORM public.raise_refusal(TG_ARGV[0], TG_TABLE_NAME, TG_ARGV[1], TG_ARGV[2]);
    RETURN NULL;
END $$;


--
-- Name: FUNCTION refuse_new_value(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.refuse_new_value() IS 'Trigger: refuse a value that the row did not have before; arguments as refuse()';


--
-- Name: refuse_transition(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse_transition() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM public.raise_refusal(TG_ARGV[0], TG_TABLE_NAME, TG_ARGV[1],
        TG_ARGV[2] || ': ' || (to_jsonb(OLD) ->> TG_ARGV[1]) || ' to ' || (to_jsonb(NEW) ->> TG_ARGV[1]));
    RETURN NULL;
END $$;


--
-- Name: FUNCTION refuse_transition(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.refuse_transition() IS 'Trigger: refuse a change of status and say which; arguments as refuse()';


--
-- Name: remember_acting_role(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.remember_acting_role() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    said text := lower(current_setting('ebalance.actor_user_id', true));
BEGIN
    IF said ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        PERFORM set_config(
            'ebalance.role_before', said || ' ' || public.acting_role(said::uuid), true);
    END IF;
    RETURN NULL;
END $_$;


--
-- Name: FUNCTION remember_acting_role(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.remember_acting_role() IS 'Trigger: keep for this transaction in which role its actor began to change roles';


--
-- Name: review_publication_consents_unpublish(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.review_publication_consents_unpublish() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    UPDATE public.reviews
    SET status = CASE status WHEN 'published' THEN 'unpublished' ELSE status END
    WHERE id = NEW.review_id;
    RETURN NULL;
END $$;


--
-- Name: reviews_published_has_consent(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.reviews_published_has_consent() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    PERFORM FROM public.review_publication_consents
    WHERE review_id = NEW.id AND granted AND revoked_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        PERFORM public.raise_refusal('reviews_published_has_consent', TG_TABLE_NAME, 'status', 'A review is published only with the active consent of its author');
    END IF;
    RETURN NEW;
END $$;


--
-- Name: schedule_exceptions_timezone_is_known(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.schedule_exceptions_timezone_is_known() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF TG_OP = 'UPDATE' AND NEW.timezone = OLD.timezone THEN
        RETURN NULL;
    END IF;
    PERFORM public.raise_refusal('schedule_exceptions_timezone_is_known', TG_TABLE_NAME, 'timezone', 'The server does not know this time zone');
    RETURN NULL;
END $$;


--
-- Name: schedule_rules_timezone_is_known(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.schedule_rules_timezone_is_known() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF TG_OP = 'UPDATE' AND NEW.timezone = OLD.timezone THEN
        RETURN NULL;
    END IF;
    PERFORM public.raise_refusal('schedule_rules_timezone_is_known', TG_TABLE_NAME, 'timezone', 'The server does not know this time zone');
    RETURN NULL;
END $$;


--
-- Name: second_factors_end_sessions(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.second_factors_end_sessions() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF (TG_OP = 'DELETE' AND OLD.confirmed_at IS NOT NULL)
       OR (TG_OP = 'UPDATE' AND OLD.confirmed_at IS DISTINCT FROM NEW.confirmed_at) THEN
        UPDATE public.users SET session_stamp = pg_catalog.gen_random_uuid() WHERE id = OLD.user_id;
    END IF;
    RETURN NULL;
END $$;


--
-- Name: take_lock(text, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.take_lock(what text, part integer DEFAULT 0) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM public.locks l WHERE l.kind = what AND l.number = part FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        INSERT INTO public.locks (kind, number) VALUES (what, part)
        ON CONFLICT (kind, number) DO NOTHING;
        PERFORM FROM public.locks l WHERE l.kind = what AND l.number = part FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            -- Another transaction added the row after the snapshot of this one.
            RAISE EXCEPTION USING ERRCODE = 'serialization_failure',
                MESSAGE = 'could not serialize access to a lock';
        END IF;
    END IF;
END $$;


--
-- Name: FUNCTION take_lock(what text, part integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.take_lock(what text, part integer) IS 'Wait until no other transaction has the lock, and keep it until this one ends';


--
-- Name: touch_updated_at(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.touch_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.updated_at := pg_catalog.now();
    RETURN NEW;
END $$;


--
-- Name: FUNCTION touch_updated_at(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.touch_updated_at() IS 'Trigger: updated_at is the database''s';


--
-- Name: ugc_moderation_actions_target_exists(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.ugc_moderation_actions_target_exists() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF NOT (CASE NEW.ugc_type
            WHEN 'anonymous_question' THEN
                EXISTS (SELECT FROM public.anonymous_questions WHERE id = NEW.ugc_id)
            WHEN 'review' THEN EXISTS (SELECT FROM public.reviews WHERE id = NEW.ugc_id)
            -- Comments have no table in release 1; an unknown type is the CHECK's to name.
            WHEN 'comment' THEN false
            ELSE true END) THEN
        PERFORM public.raise_refusal('ugc_moderation_actions_target_exists', TG_TABLE_NAME, 'ugc_id', 'There is no such question or review');
    END IF;
    RETURN NULL;
END $$;


--
-- Name: user_roles_end_sessions(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.user_roles_end_sessions() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF TG_OP = 'DELETE' OR (OLD.user_id, OLD.role_code) <> (NEW.user_id, NEW.role_code) THEN
        UPDATE public.users SET session_stamp = pg_catalog.gen_random_uuid() WHERE id = OLD.user_id;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;


--
-- Name: user_roles_last_owner_stays(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.user_roles_last_owner_stays() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    -- A user who is gone or not active was not the last active owner (users has its own rule).
    IF (TG_OP = 'DELETE' OR NEW.role_code <> 'owner' OR NEW.user_id <> OLD.user_id)
       AND EXISTS (SELECT FROM public.users WHERE id = OLD.user_id AND status = 'active') THEN
        
    UPDATE public.roles SET scope = scope WHERE code = 'owner';
    IF NOT EXISTS (
        SELECT FROM public.user_roles r JOIN public.users u ON u.id = r.user_id
        WHERE r.role_code = 'owner' AND u.status = 'active' AND u.id <> OLD.user_id
    ) THEN
        PERFORM public.raise_refusal('user_roles_last_owner_stays', TG_TABLE_NAME, 'role_code', 'The last active owner cannot lose the role, be blocked or be deleted');
    END IF;

    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;


--
-- Name: users_end_sessions(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.users_end_sessions() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    NEW.session_stamp := pg_catalog.gen_random_uuid();
    RETURN NEW;
END $$;


--
-- Name: users_last_owner_stays(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.users_last_owner_stays() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF OLD.status = 'active' AND (TG_OP = 'DELETE' OR NEW.status <> 'active')
       AND EXISTS (SELECT FROM public.user_roles
                   WHERE user_id = OLD.id AND role_code = 'owner') THEN
        
    UPDATE public.roles SET scope = scope WHERE code = 'owner';
    IF NOT EXISTS (
        SELECT FROM public.user_roles r JOIN public.users u ON u.id = r.user_id
        WHERE r.role_code = 'owner' AND u.status = 'active' AND u.id <> OLD.id
    ) THEN
        PERFORM public.raise_refusal('users_last_owner_stays', TG_TABLE_NAME, 'status', 'The last active owner cannot lose the role, be blocked or be deleted');
    END IF;

    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;


--
-- Name: users_timezone_is_known(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.users_timezone_is_known() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ BEGIN
    IF TG_OP = 'UPDATE' AND NEW.timezone = OLD.timezone THEN
        RETURN NULL;
    END IF;
    PERFORM public.raise_refusal('users_timezone_is_known', TG_TABLE_NAME, 'timezone', 'The server does not know this time zone');
    RETURN NULL;
END $$;


--
-- Name: analytics_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.analytics_events (
    id uuid DEFAULT public.uuid7() NOT NULL,
    schema_version text NOT NULL,
    event_name text NOT NULL,
    event_version integer NOT NULL,
    event_id uuid NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    source text NOT NULL,
    environment text NOT NULL,
    session_id uuid,
    anonymous_id text,
    user_id uuid,
    lead_id uuid,
    page jsonb DEFAULT '{}'::jsonb NOT NULL,
    acquisition jsonb DEFAULT '{}'::jsonb NOT NULL,
    properties jsonb DEFAULT '{}'::jsonb NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT analytics_events_anonymous_id_has_length CHECK ((length(anonymous_id) <= 64)),
    CONSTRAINT analytics_events_anonymous_id_is_opaque CHECK ((anonymous_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$'::text)),
    CONSTRAINT analytics_events_environment_in_set CHECK ((environment = ANY (ARRAY['prod'::text, 'stage'::text, 'dev'::text]))),
    CONSTRAINT analytics_events_event_version_in_range CHECK ((event_version >= 1)),
    CONSTRAINT analytics_events_schema_version_has_length CHECK ((length(schema_version) <= 60)),
    CONSTRAINT analytics_events_schema_version_is_version CHECK ((schema_version ~ '^[0-9]{1,4}(\.[0-9]{1,4}){0,2}$'::text)),
    CONSTRAINT analytics_events_source_in_set CHECK ((source = ANY (ARRAY['web'::text, 'backend'::text, 'telegram'::text, 'admin'::text]))),
    CONSTRAINT analytics_events_times_finite CHECK ((public.is_finite(occurred_at) AND public.is_finite(received_at)))
);


--
-- Name: TABLE analytics_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.analytics_events IS 'Product events; P0 only, append-only';


--
-- Name: COLUMN analytics_events.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN analytics_events.schema_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.schema_version IS 'P0 · version of the event envelope';


--
-- Name: COLUMN analytics_events.event_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.event_name IS 'P0 · event of the tracking plan';


--
-- Name: COLUMN analytics_events.event_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.event_version IS 'P0 · version of the event, from 1';


--
-- Name: COLUMN analytics_events.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.event_id IS 'P0 · id given by the sender; makes a repeat the same';


--
-- Name: COLUMN analytics_events.occurred_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.occurred_at IS 'P0 · when, UTC';


--
-- Name: COLUMN analytics_events.source; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.source IS 'P0 · who sent it';


--
-- Name: COLUMN analytics_events.environment; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.environment IS 'P0 · where it happened';


--
-- Name: COLUMN analytics_events.session_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.session_id IS 'P0 · visit';


--
-- Name: COLUMN analytics_events.anonymous_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.anonymous_id IS 'P0 · browser or bot identifier';


--
-- Name: COLUMN analytics_events.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.user_id IS 'P0 · person; no key';


--
-- Name: COLUMN analytics_events.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.lead_id IS 'P0 · lead; no key';


--
-- Name: COLUMN analytics_events.page; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.page IS 'P0 · path and referrer host';


--
-- Name: COLUMN analytics_events.acquisition; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.acquisition IS 'P0 · entry point and utm';


--
-- Name: COLUMN analytics_events.properties; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.properties IS 'P0 · parameters of the tracking plan';


--
-- Name: COLUMN analytics_events.received_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.analytics_events.received_at IS 'P0 · receipt, UTC';


--
-- Name: anonymous_questions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.anonymous_questions (
    id uuid DEFAULT public.uuid7() NOT NULL,
    user_id uuid,
    channel text DEFAULT 'web'::text NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    trigger_flags text[] DEFAULT '{}'::text[] NOT NULL,
    question_text_encrypted text NOT NULL,
    contact_value_encrypted text,
    publish_allowed boolean DEFAULT false NOT NULL,
    safety_confirmed boolean DEFAULT false NOT NULL,
    submitted_at timestamp with time zone DEFAULT now() NOT NULL,
    due_at timestamp with time zone NOT NULL,
    moderated_at timestamp with time zone,
    answered_at timestamp with time zone,
    answer_due_at timestamp with time zone,
    moderated_due_at timestamp with time zone,
    CONSTRAINT anonymous_questions_answered_at_with_status CHECK ((((status = 'answered'::text) AND (answered_at IS NOT NULL)) OR ((NOT (status = 'answered'::text)) AND (answered_at IS NULL)))),
    CONSTRAINT anonymous_questions_channel_in_set CHECK ((channel = ANY (ARRAY['web'::text, 'telegram'::text]))),
    CONSTRAINT anonymous_questions_contact_value_encrypted_has_length CHECK ((length(contact_value_encrypted) <= 400000)),
    CONSTRAINT anonymous_questions_contact_value_encrypted_is_sealed CHECK (public.is_sealed(contact_value_encrypted)),
    CONSTRAINT anonymous_questions_decided_has_time CHECK (((NOT (status = ANY (ARRAY['approved'::text, 'answered'::text, 'rejected'::text]))) OR (moderated_at IS NOT NULL))),
    CONSTRAINT anonymous_questions_question_text_encrypted_has_length CHECK ((length(question_text_encrypted) <= 400000)),
    CONSTRAINT anonymous_questions_question_text_encrypted_is_sealed CHECK (public.is_sealed(question_text_encrypted)),
    CONSTRAINT anonymous_questions_status_in_set CHECK ((status = ANY (ARRAY['pending'::text, 'flagged'::text, 'approved'::text, 'answered'::text, 'rejected'::text]))),
    CONSTRAINT anonymous_questions_times_finite CHECK ((public.is_finite(submitted_at) AND public.is_finite(due_at) AND public.is_finite(moderated_at) AND public.is_finite(moderated_due_at) AND public.is_finite(answer_due_at) AND public.is_finite(answered_at))),
    CONSTRAINT anonymous_questions_trigger_flags_has_length CHECK (public.has_lengths(trigger_flags, 100, 60)),
    CONSTRAINT anonymous_questions_trigger_flags_in_set CHECK (((trigger_flags <@ ARRAY['crisis'::text, 'pii'::text, 'medical'::text, 'spam'::text]) AND public.has_no_duplicates(trigger_flags)))
);
ALTER TABLE ONLY public.anonymous_questions ALTER COLUMN question_text_encrypted SET STATISTICS 0;
ALTER TABLE ONLY public.anonymous_questions ALTER COLUMN contact_value_encrypted SET STATISTICS 0;


--
-- Name: TABLE anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.anonymous_questions IS 'Questions asked without a name, sealed';


--
-- Name: COLUMN anonymous_questions.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN anonymous_questions.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.user_id IS 'P0 · who asked, if logged in';


--
-- Name: COLUMN anonymous_questions.channel; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.channel IS 'P0 · where it was asked';


--
-- Name: COLUMN anonymous_questions.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.status IS 'P0 · life cycle';


--
-- Name: COLUMN anonymous_questions.trigger_flags; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.trigger_flags IS 'P0 · what the filter saw: crisis, pii, medical, spam; no details';


--
-- Name: COLUMN anonymous_questions.question_text_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.question_text_encrypted IS 'P2 · the question, sealed';


--
-- Name: COLUMN anonymous_questions.contact_value_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.contact_value_encrypted IS 'P1 · contact for the answer, sealed';


--
-- Name: COLUMN anonymous_questions.publish_allowed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.publish_allowed IS 'P0 · may be published with the answer';


--
-- Name: COLUMN anonymous_questions.safety_confirmed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.safety_confirmed IS 'P0 · the asker confirmed being safe';


--
-- Name: COLUMN anonymous_questions.submitted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.submitted_at IS 'P0 · when asked, UTC';


--
-- Name: COLUMN anonymous_questions.due_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.due_at IS 'P0 · decide by, UTC; set by the database: 4 h with a crisis flag, else 24 h';


--
-- Name: COLUMN anonymous_questions.moderated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.moderated_at IS 'P0 · when first decided, UTC; an escalation keeps it';


--
-- Name: COLUMN anonymous_questions.answered_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.answered_at IS 'P0 · when answered, UTC';


--
-- Name: COLUMN anonymous_questions.answer_due_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.answer_due_at IS 'P0 · answer by, UTC; set by the database: 72 h after the approval; an escalation empties it';


--
-- Name: COLUMN anonymous_questions.moderated_due_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.anonymous_questions.moderated_due_at IS 'P0 · due_at at the first decision, UTC; set by the database';


--
-- Name: appointments; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.appointments (
    id uuid DEFAULT public.uuid7() NOT NULL,
    service_id uuid NOT NULL,
    client_user_id uuid,
    lead_id uuid,
    client_request_id text,
    start_at_utc timestamp with time zone NOT NULL,
    end_at_utc timestamp with time zone NOT NULL,
    buffer_minutes smallint DEFAULT 0 NOT NULL,
    timezone text NOT NULL,
    format text NOT NULL,
    status text DEFAULT 'pending_payment'::text NOT NULL,
    hold_expires_at timestamp with time zone,
    price_amount integer NOT NULL,
    deposit_amount integer,
    meeting_url text,
    location_text text,
    slot_id uuid,
    external_calendar_event_id text,
    rescheduled_from_id uuid,
    outcome text,
    outcome_reason_category text,
    outcome_recorded_at timestamp with time zone,
    outcome_recorded_by_role text,
    confirmed_at timestamp with time zone,
    canceled_at timestamp with time zone,
    topic_code text,
    deep_link_id text,
    entry_point text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT appointments_buffer_minutes_in_range CHECK (((buffer_minutes >= 0) AND (buffer_minutes <= 120))),
    CONSTRAINT appointments_canceled_at_with_status CHECK ((((status = 'canceled'::text) AND (canceled_at IS NOT NULL)) OR ((NOT (status = 'canceled'::text)) AND (canceled_at IS NULL)))),
    CONSTRAINT appointments_client_or_lead_present CHECK (((client_user_id IS NOT NULL) OR (lead_id IS NOT NULL))),
    CONSTRAINT appointments_client_request_id_has_length CHECK ((length(client_request_id) <= 200)),
    CONSTRAINT appointments_client_request_id_is_external_id CHECK ((client_request_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$'::text)),
    CONSTRAINT appointments_confirmed_at_with_status CHECK ((((confirmed_at IS NOT NULL) AND (status = ANY (ARRAY['confirmed'::text, 'rescheduled'::text, 'completed'::text]))) OR ((confirmed_at IS NULL) AND (status = ANY (ARRAY['pending_payment'::text, 'paid'::text]))) OR (status = 'canceled'::text))),
    CONSTRAINT appointments_deep_link_id_has_length CHECK ((length(deep_link_id) <= 64)),
    CONSTRAINT appointments_deep_link_id_is_opaque CHECK ((deep_link_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$'::text)),
    CONSTRAINT appointments_deposit_within_price CHECK (((deposit_amount IS NULL) OR ((deposit_amount >= 1) AND (deposit_amount <= price_amount)))),
    CONSTRAINT appointments_ends_after_start CHECK (public.is_session_length(start_at_utc, end_at_utc)),
    CONSTRAINT appointments_entry_point_in_set CHECK ((entry_point = ANY (ARRAY['seo'::text, 'telegram'::text, 'direct'::text, 'referral'::text, 'ads'::text, 'internal'::text]))),
    CONSTRAINT appointments_external_calendar_event_id_has_length CHECK ((length(external_calendar_event_id) <= 200)),
    CONSTRAINT appointments_external_calendar_event_id_is_external_id CHECK ((external_calendar_event_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$'::text)),
    CONSTRAINT appointments_format_in_set CHECK ((format = ANY (ARRAY['online'::text, 'offline'::text]))),
    CONSTRAINT appointments_hold_has_expiry CHECK (((NOT (status = 'pending_payment'::text)) OR (hold_expires_at IS NOT NULL))),
    CONSTRAINT appointments_location_text_has_length CHECK ((length(location_text) <= 2000)),
    CONSTRAINT appointments_meeting_url_has_length CHECK ((length(meeting_url) <= 2000)),
    CONSTRAINT appointments_meeting_url_is_https CHECK ((meeting_url ~ '^https://[A-Za-z0-9\u0401\u0410-\u044F\u0451]([A-Za-z0-9\u0401\u0410-\u044F\u0451-]*[A-Za-z0-9\u0401\u0410-\u044F\u0451])?(\.[A-Za-z0-9\u0401\u0410-\u044F\u0451]([A-Za-z0-9\u0401\u0410-\u044F\u0451-]*[A-Za-z0-9\u0401\u0410-\u044F\u0451])?)*(:[0-9]{1,5})?([/?#][^\x01-\x20\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u17B4\u17B5\u180B-\u180F\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF\\\"<>^`{|}]*)?$'::text)),
    CONSTRAINT appointments_not_rescheduled_from_itself CHECK (((rescheduled_from_id IS NULL) OR (NOT ((rescheduled_from_id = id) AND (rescheduled_from_id IS NOT NULL))))),
    CONSTRAINT appointments_outcome_agrees_with_status CHECK ((((outcome = ANY (ARRAY['attended'::text, 'no_show'::text])) AND (outcome IS NOT NULL) AND (status = 'completed'::text)) OR ((outcome IS NULL) AND (status = 'canceled'::text)) OR ((outcome = ANY (ARRAY['canceled_by_client'::text, 'canceled_by_provider'::text])) AND (outcome IS NOT NULL) AND (status = 'canceled'::text)) OR ((outcome IS NULL) AND (status = 'rescheduled'::text)) OR ((outcome = 'rescheduled'::text) AND (outcome IS NOT NULL) AND (status = 'rescheduled'::text)) OR ((outcome IS NULL) AND (status = ANY (ARRAY['pending_payment'::text, 'paid'::text, 'confirmed'::text]))))),
    CONSTRAINT appointments_outcome_all_or_none CHECK ((((outcome IS NOT NULL) AND (outcome_recorded_at IS NOT NULL) AND (outcome_recorded_by_role IS NOT NULL)) OR ((outcome IS NULL) AND (outcome_recorded_at IS NULL) AND (outcome_recorded_by_role IS NULL)))),
    CONSTRAINT appointments_outcome_in_set CHECK ((outcome = ANY (ARRAY['attended'::text, 'no_show'::text, 'canceled_by_client'::text, 'canceled_by_provider'::text, 'rescheduled'::text]))),
    CONSTRAINT appointments_outcome_not_before_start CHECK (((outcome IS NULL) OR (NOT ((outcome = ANY (ARRAY['attended'::text, 'no_show'::text])) AND (outcome IS NOT NULL))) OR (outcome_recorded_at >= start_at_utc))),
    CONSTRAINT appointments_outcome_reason_category_in_set CHECK ((outcome_reason_category = ANY (ARRAY['late_cancel'::text, 'tech_issue'::text, 'illness'::text, 'other'::text, 'unknown'::text]))),
    CONSTRAINT appointments_outcome_recorded_by_role_in_set CHECK ((outcome_recorded_by_role = ANY (ARRAY['owner'::text, 'assistant'::text, 'system'::text]))),
    CONSTRAINT appointments_price_amount_in_range CHECK ((price_amount >= 0)),
    CONSTRAINT appointments_reason_with_outcome CHECK (((outcome_reason_category IS NULL) OR (outcome IS NOT NULL))),
    CONSTRAINT appointments_status_in_set CHECK ((status = ANY (ARRAY['pending_payment'::text, 'paid'::text, 'confirmed'::text, 'canceled'::text, 'rescheduled'::text, 'completed'::text]))),
    CONSTRAINT appointments_times_finite CHECK ((public.is_finite(start_at_utc) AND public.is_finite(end_at_utc) AND public.is_finite(hold_expires_at) AND public.is_finite(outcome_recorded_at) AND public.is_finite(confirmed_at) AND public.is_finite(canceled_at) AND public.is_finite(created_at) AND public.is_finite(updated_at))),
    CONSTRAINT appointments_timezone_has_length CHECK ((length(timezone) <= 60)),
    CONSTRAINT appointments_timezone_is_iana_zone CHECK (public.is_zone_form(timezone))
);
ALTER TABLE ONLY public.appointments ALTER COLUMN meeting_url SET STATISTICS 0;
ALTER TABLE ONLY public.appointments ALTER COLUMN location_text SET STATISTICS 0;


--
-- Name: TABLE appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.appointments IS 'Sessions agreed with clients';


--
-- Name: COLUMN appointments.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN appointments.service_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.service_id IS 'P0 · service';


--
-- Name: COLUMN appointments.client_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.client_user_id IS 'P0 · client, if registered';


--
-- Name: COLUMN appointments.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.lead_id IS 'P0 · lead, if not registered';


--
-- Name: COLUMN appointments.client_request_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.client_request_id IS 'P0 · idempotency key of the caller';


--
-- Name: COLUMN appointments.start_at_utc; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.start_at_utc IS 'P0 · start, UTC';


--
-- Name: COLUMN appointments.end_at_utc; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.end_at_utc IS 'P0 · end, UTC, at most 12 h later';


--
-- Name: COLUMN appointments.buffer_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.buffer_minutes IS 'P0 · break kept after it, minutes';


--
-- Name: COLUMN appointments.timezone; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.timezone IS 'P0 · the client''s IANA zone';


--
-- Name: COLUMN appointments.format; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.format IS 'P0 · online or offline';


--
-- Name: COLUMN appointments.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.status IS 'P0 · life cycle';


--
-- Name: COLUMN appointments.hold_expires_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.hold_expires_at IS 'P0 · until when the time is held unpaid, UTC';


--
-- Name: COLUMN appointments.price_amount; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.price_amount IS 'P0 · price agreed, whole roubles; never changes';


--
-- Name: COLUMN appointments.deposit_amount; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.deposit_amount IS 'P0 · deposit agreed, whole roubles; never changes';


--
-- Name: COLUMN appointments.meeting_url; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.meeting_url IS 'P1 · address of the video call';


--
-- Name: COLUMN appointments.location_text; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.location_text IS 'P1 · where an offline session is';


--
-- Name: COLUMN appointments.slot_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.slot_id IS 'P0 · slot it takes';


--
-- Name: COLUMN appointments.external_calendar_event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.external_calendar_event_id IS 'P0 · event in the outside calendar';


--
-- Name: COLUMN appointments.rescheduled_from_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.rescheduled_from_id IS 'P0 · the appointment this one replaces';


--
-- Name: COLUMN appointments.outcome; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.outcome IS 'P0 · what became of it';


--
-- Name: COLUMN appointments.outcome_reason_category; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.outcome_reason_category IS 'P0 · category of the reason';


--
-- Name: COLUMN appointments.outcome_recorded_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.outcome_recorded_at IS 'P0 · when the outcome was recorded, UTC';


--
-- Name: COLUMN appointments.outcome_recorded_by_role; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.outcome_recorded_by_role IS 'P0 · who recorded the outcome';


--
-- Name: COLUMN appointments.confirmed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.confirmed_at IS 'P0 · when confirmed, UTC';


--
-- Name: COLUMN appointments.canceled_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.canceled_at IS 'P0 · when canceled, UTC';


--
-- Name: COLUMN appointments.topic_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.topic_code IS 'P0 · topic, if one';


--
-- Name: COLUMN appointments.deep_link_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.deep_link_id IS 'P0 · deep link that led here; no key, links expire first';


--
-- Name: COLUMN appointments.entry_point; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.entry_point IS 'P0 · where from';


--
-- Name: COLUMN appointments.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN appointments.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.appointments.updated_at IS 'P0 · when the row was last written, UTC; kept by the database';


--
-- Name: audit_checkpoints; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_checkpoints (
    id uuid DEFAULT public.uuid7() NOT NULL,
    seq bigint NOT NULL,
    row_hash bytea NOT NULL,
    entries bigint NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT audit_checkpoints_entries_in_range CHECK ((entries >= 1)),
    CONSTRAINT audit_checkpoints_key_id_has_length CHECK ((length(key_id) <= 60)),
    CONSTRAINT audit_checkpoints_key_id_is_key_id CHECK ((key_id ~ '^[a-z0-9]{1,16}$'::text)),
    CONSTRAINT audit_checkpoints_seq_in_range CHECK ((seq >= 1)),
    CONSTRAINT audit_checkpoints_times_finite CHECK (public.is_finite(created_at))
);


--
-- Name: TABLE audit_checkpoints; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.audit_checkpoints IS 'Where removed segments of the audit log ended; append-only';


--
-- Name: COLUMN audit_checkpoints.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_checkpoints.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN audit_checkpoints.seq; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_checkpoints.seq IS 'P0 · number of the last entry to be removed';


--
-- Name: COLUMN audit_checkpoints.row_hash; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_checkpoints.row_hash IS 'P0 · row_hash of that entry';


--
-- Name: COLUMN audit_checkpoints.entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_checkpoints.entries IS 'P0 · number of entries that go';


--
-- Name: COLUMN audit_checkpoints.key_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_checkpoints.key_id IS 'P0 · id of the key of the signature';


--
-- Name: COLUMN audit_checkpoints.signature; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_checkpoints.signature IS 'P0 · HMAC-SHA-256 of seq, row_hash, entries';


--
-- Name: COLUMN audit_checkpoints.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_checkpoints.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: audit_log_entries; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_log_entries (
    id uuid DEFAULT public.uuid7() NOT NULL,
    seq bigint NOT NULL,
    actor_user_id uuid,
    actor_role text NOT NULL,
    action text NOT NULL,
    entity_type text NOT NULL,
    entity_id uuid,
    entity_key text,
    old_value jsonb,
    new_value jsonb,
    ip_address inet,
    user_agent text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    prev_hash bytea NOT NULL,
    row_hash bytea NOT NULL,
    origin_salt uuid,
    origin_hash bytea,
    CONSTRAINT audit_log_entries_action_has_length CHECK ((length(action) <= 60)),
    CONSTRAINT audit_log_entries_action_is_code CHECK (public.is_code(action)),
    CONSTRAINT audit_log_entries_actor_role_in_set CHECK ((actor_role = ANY (ARRAY['owner'::text, 'assistant'::text, 'editor'::text, 'client'::text, 'system'::text]))),
    CONSTRAINT audit_log_entries_entity_key_has_length CHECK ((length(entity_key) <= 120)),
    CONSTRAINT audit_log_entries_entity_key_is_key CHECK ((entity_key ~ '^(?=.*[A-Za-z])[A-Za-z0-9_-]{1,64}$'::text)),
    CONSTRAINT audit_log_entries_entity_type_has_length CHECK ((length(entity_type) <= 60)),
    CONSTRAINT audit_log_entries_entity_type_is_code CHECK (public.is_code(entity_type)),
    CONSTRAINT audit_log_entries_new_value_has_length CHECK (public.json_has_length(new_value, 200000)),
    CONSTRAINT audit_log_entries_new_value_is_p0 CHECK (public.is_audit_value(new_value)),
    CONSTRAINT audit_log_entries_old_value_has_length CHECK (public.json_has_length(old_value, 200000)),
    CONSTRAINT audit_log_entries_old_value_is_p0 CHECK (public.is_audit_value(old_value)),
    CONSTRAINT audit_log_entries_times_finite CHECK (public.is_finite(created_at)),
    CONSTRAINT audit_log_entries_user_agent_has_length CHECK ((length(user_agent) <= 300))
);
ALTER TABLE ONLY public.audit_log_entries ALTER COLUMN ip_address SET STATISTICS 0;
ALTER TABLE ONLY public.audit_log_entries ALTER COLUMN user_agent SET STATISTICS 0;


--
-- Name: TABLE audit_log_entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.audit_log_entries IS 'Audit log; append-only, hash-chained';


--
-- Name: COLUMN audit_log_entries.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN audit_log_entries.seq; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.seq IS 'P0 · place in the chain; set by the database inside its lock';


--
-- Name: COLUMN audit_log_entries.actor_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.actor_user_id IS 'P0 · who acted, if a person';


--
-- Name: COLUMN audit_log_entries.actor_role; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.actor_role IS 'P0 · role in which they acted';


--
-- Name: COLUMN audit_log_entries.action; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.action IS 'P0 · what was done, a code';


--
-- Name: COLUMN audit_log_entries.entity_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.entity_type IS 'P0 · what it was done to, a code';


--
-- Name: COLUMN audit_log_entries.entity_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.entity_id IS 'P0 · id of the row';


--
-- Name: COLUMN audit_log_entries.entity_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.entity_key IS 'P0 · key of the row, if text';


--
-- Name: COLUMN audit_log_entries.old_value; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.old_value IS 'P0 · changed P0 columns before';


--
-- Name: COLUMN audit_log_entries.new_value; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.new_value IS 'P0 · changed P0 columns after';


--
-- Name: COLUMN audit_log_entries.ip_address; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.ip_address IS 'P1 · address of the request';


--
-- Name: COLUMN audit_log_entries.user_agent; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.user_agent IS 'P1 · user agent of the request';


--
-- Name: COLUMN audit_log_entries.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.created_at IS 'P0 · when, UTC; set by the database';


--
-- Name: COLUMN audit_log_entries.prev_hash; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.prev_hash IS 'P0 · row_hash of the row before';


--
-- Name: COLUMN audit_log_entries.row_hash; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.row_hash IS 'P0 · SHA-256 of the canonical row';


--
-- Name: COLUMN audit_log_entries.origin_salt; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.origin_salt IS 'P0 · random; by it origin_hash can be checked';


--
-- Name: COLUMN audit_log_entries.origin_hash; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.audit_log_entries.origin_hash IS 'P0 · salted SHA-256 of address and user agent';


--
-- Name: auth_group; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_group (
    id integer NOT NULL,
    name character varying(150) NOT NULL
);


--
-- Name: TABLE auth_group; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.auth_group IS 'Django''s groups; not used, roles grant access';


--
-- Name: COLUMN auth_group.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.auth_group.id IS 'P0 · key';


--
-- Name: COLUMN auth_group.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.auth_group.name IS 'P0 · name';


--
-- Name: auth_group_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_group ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: auth_group_permissions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_group_permissions (
    id bigint NOT NULL,
    group_id integer NOT NULL,
    permission_id integer NOT NULL
);


--
-- Name: TABLE auth_group_permissions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.auth_group_permissions IS 'Permissions of groups; not used';


--
-- Name: COLUMN auth_group_permissions.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.auth_group_permissions.id IS 'P0 · key';


--
-- Name: COLUMN auth_group_permissions.group_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.auth_group_permissions.group_id IS 'P0 · group';


--
-- Name: COLUMN auth_group_permissions.permission_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.auth_group_permissions.permission_id IS 'P0 · permission';


--
-- Name: auth_group_permissions_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_group_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: auth_permission; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_permission (
    id integer NOT NULL,
    name character varying(255) NOT NULL,
    content_type_id integer NOT NULL,
    codename character varying(100) NOT NULL
);


--
-- Name: TABLE auth_permission; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.auth_permission IS 'Names of permissions; roles decide who has them';


--
-- Name: COLUMN auth_permission.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.auth_permission.id IS 'P0 · key';


--
-- Name: COLUMN auth_permission.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.auth_permission.name IS 'P0 · label';


--
-- Name: COLUMN auth_permission.content_type_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.auth_permission.content_type_id IS 'P0 · model';


--
-- Name: COLUMN auth_permission.codename; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.auth_permission.codename IS 'P0 · code';


--
-- Name: auth_permission_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_permission ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_permission_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: availability_slots; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.availability_slots (
    id uuid DEFAULT public.uuid7() NOT NULL,
    service_id uuid,
    schedule_rule_id uuid,
    start_at_utc timestamp with time zone NOT NULL,
    end_at_utc timestamp with time zone NOT NULL,
    status text DEFAULT 'available'::text NOT NULL,
    source text DEFAULT 'product'::text NOT NULL,
    external_event_id text,
    block_type text,
    buffer_minutes smallint DEFAULT 0 NOT NULL,
    note text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    schedule_exception_id uuid,
    CONSTRAINT availability_slots_block_type_in_set CHECK ((block_type = ANY (ARRAY['exception'::text, 'buffer'::text]))),
    CONSTRAINT availability_slots_block_type_with_status CHECK ((((status = 'blocked'::text) AND (block_type IS NOT NULL)) OR ((NOT (status = 'blocked'::text)) AND (block_type IS NULL)))),
    CONSTRAINT availability_slots_buffer_minutes_in_range CHECK (((buffer_minutes >= 0) AND (buffer_minutes <= 120))),
    CONSTRAINT availability_slots_ends_after_start CHECK (public.is_session_length(start_at_utc, end_at_utc)),
    CONSTRAINT availability_slots_external_event_id_has_length CHECK ((length(external_event_id) <= 200)),
    CONSTRAINT availability_slots_external_event_id_is_external_id CHECK ((external_event_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$'::text)),
    CONSTRAINT availability_slots_external_id_with_source CHECK ((((source = 'google_calendar'::text) AND (external_event_id IS NOT NULL)) OR ((NOT (source = 'google_calendar'::text)) AND (external_event_id IS NULL)))),
    CONSTRAINT availability_slots_note_has_length CHECK ((length(note) <= 2000)),
    CONSTRAINT availability_slots_source_in_set CHECK ((source = ANY (ARRAY['product'::text, 'google_calendar'::text]))),
    CONSTRAINT availability_slots_status_in_set CHECK ((status = ANY (ARRAY['available'::text, 'reserved'::text, 'blocked'::text, 'withdrawn'::text]))),
    CONSTRAINT availability_slots_times_finite CHECK ((public.is_finite(start_at_utc) AND public.is_finite(end_at_utc) AND public.is_finite(created_at))),
    CONSTRAINT availability_slots_withdrawn_has_rule CHECK (((NOT (status = 'withdrawn'::text)) OR (schedule_rule_id IS NOT NULL) OR (schedule_exception_id IS NOT NULL)))
);
ALTER TABLE ONLY public.availability_slots ALTER COLUMN note SET STATISTICS 0;


--
-- Name: TABLE availability_slots; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.availability_slots IS 'Times that can be booked or are blocked';


--
-- Name: COLUMN availability_slots.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN availability_slots.service_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.service_id IS 'P0 · only for this service; empty: any';


--
-- Name: COLUMN availability_slots.schedule_rule_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.schedule_rule_id IS 'P0 · rule that made it; empty: staff or the outside calendar';


--
-- Name: COLUMN availability_slots.start_at_utc; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.start_at_utc IS 'P0 · start, UTC';


--
-- Name: COLUMN availability_slots.end_at_utc; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.end_at_utc IS 'P0 · end, UTC, at most 12 h later';


--
-- Name: COLUMN availability_slots.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.status IS 'P0 · life cycle';


--
-- Name: COLUMN availability_slots.source; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.source IS 'P0 · who made it';


--
-- Name: COLUMN availability_slots.external_event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.external_event_id IS 'P0 · event in the outside calendar';


--
-- Name: COLUMN availability_slots.block_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.block_type IS 'P0 · why it is blocked';


--
-- Name: COLUMN availability_slots.buffer_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.buffer_minutes IS 'P0 · break kept after a session here, minutes';


--
-- Name: COLUMN availability_slots.note; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.note IS 'P1 · internal note';


--
-- Name: COLUMN availability_slots.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN availability_slots.schedule_exception_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.availability_slots.schedule_exception_id IS 'P0 · exception whose extra hours made it, which may be deleted since';


--
-- Name: backfill_jobs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.backfill_jobs (
    id uuid DEFAULT public.uuid7() NOT NULL,
    name text NOT NULL,
    table_name text NOT NULL,
    cursor text,
    rows_done bigint DEFAULT 0 NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT backfill_jobs_cursor_has_length CHECK ((length(cursor) <= 64)),
    CONSTRAINT backfill_jobs_cursor_is_key CHECK ((cursor ~ '^([0-9]{1,10}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=.*[A-Za-z])[A-Za-z0-9_.:~-]+)$'::text)),
    CONSTRAINT backfill_jobs_name_has_length CHECK ((length(name) <= 200)),
    CONSTRAINT backfill_jobs_name_names_a_job CHECK ((name ~ '^[a-z][a-z0-9_]*(\.[a-z0-9_]+)?$'::text)),
    CONSTRAINT backfill_jobs_rows_done_in_range CHECK ((rows_done >= 0)),
    CONSTRAINT backfill_jobs_table_name_has_length CHECK ((length(table_name) <= 60)),
    CONSTRAINT backfill_jobs_table_name_is_code CHECK (public.is_code(table_name)),
    CONSTRAINT backfill_jobs_times_finite CHECK ((public.is_finite(started_at) AND public.is_finite(updated_at) AND public.is_finite(finished_at)))
);


--
-- Name: TABLE backfill_jobs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.backfill_jobs IS 'Backfills, which fill columns of stored rows';


--
-- Name: COLUMN backfill_jobs.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.backfill_jobs.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN backfill_jobs.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.backfill_jobs.name IS 'P0 · name of the job: app and migration, unless the migration gives another';


--
-- Name: COLUMN backfill_jobs.table_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.backfill_jobs.table_name IS 'P0 · table';


--
-- Name: COLUMN backfill_jobs.cursor; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.backfill_jobs.cursor IS 'P0 · key of the last row that this pass has done, if a pass is running';


--
-- Name: COLUMN backfill_jobs.rows_done; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.backfill_jobs.rows_done IS 'P0 · rows changed so far';


--
-- Name: COLUMN backfill_jobs.started_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.backfill_jobs.started_at IS 'P0 · when it began, UTC';


--
-- Name: COLUMN backfill_jobs.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.backfill_jobs.updated_at IS 'P0 · when the row was last written, UTC; kept by the database';


--
-- Name: COLUMN backfill_jobs.finished_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.backfill_jobs.finished_at IS 'P0 · when no row was left, UTC; empty if rows are left';


--
-- Name: schedule_exceptions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schedule_exceptions (
    id uuid DEFAULT public.uuid7() NOT NULL,
    service_id uuid,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    timezone text NOT NULL,
    kind text NOT NULL,
    start_local time without time zone,
    end_local time without time zone,
    note text,
    created_by_user_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT schedule_exceptions_at_most_366_days CHECK ((ends_on < (starts_on + 366))),
    CONSTRAINT schedule_exceptions_ends_after_start CHECK (((end_local IS NULL) OR (end_local > start_local))),
    CONSTRAINT schedule_exceptions_ends_before_midnight CHECK (((end_local IS NULL) OR (end_local <= '23:59:59.999999'::time without time zone))),
    CONSTRAINT schedule_exceptions_ends_on_after_start CHECK ((ends_on >= starts_on)),
    CONSTRAINT schedule_exceptions_hours_all_or_none CHECK ((((end_local IS NOT NULL) AND (start_local IS NOT NULL)) OR ((end_local IS NULL) AND (start_local IS NULL)))),
    CONSTRAINT schedule_exceptions_kind_in_set CHECK ((kind = ANY (ARRAY['closed'::text, 'open'::text]))),
    CONSTRAINT schedule_exceptions_note_has_length CHECK ((length(note) <= 2000)),
    CONSTRAINT schedule_exceptions_open_has_hours CHECK (((NOT (kind = 'open'::text)) OR (start_local IS NOT NULL))),
    CONSTRAINT schedule_exceptions_times_finite CHECK ((public.is_finite(starts_on) AND public.is_finite(ends_on) AND public.is_finite(created_at))),
    CONSTRAINT schedule_exceptions_timezone_has_length CHECK ((length(timezone) <= 60)),
    CONSTRAINT schedule_exceptions_timezone_is_iana_zone CHECK (public.is_zone_form(timezone))
);
ALTER TABLE ONLY public.schedule_exceptions ALTER COLUMN note SET STATISTICS 0;


--
-- Name: TABLE schedule_exceptions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.schedule_exceptions IS 'Holidays and extra hours';


--
-- Name: COLUMN schedule_exceptions.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_exceptions.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN schedule_exceptions.service_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_exceptions.service_id IS 'P0 · only for this service; empty: all';


--
-- Name: COLUMN schedule_exceptions.starts_on; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_exceptions.starts_on IS 'P0 · first day';


--
-- Name: COLUMN schedule_exceptions.ends_on; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_exceptions.ends_on IS 'P0 · last day, at most the 366th';


--
-- Name: COLUMN schedule_exceptions.timezone; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_exceptions.timezone IS 'P0 · IANA zone of days and wall times';


--
-- Name: COLUMN schedule_exceptions.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_exceptions.kind IS 'P0 · closed, or open for extra hours';


--
-- Name: COLUMN schedule_exceptions.start_local; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_exceptions.start_local IS 'P0 · start on each day, wall time in timezone; empty: closed all day';


--
-- Name: COLUMN schedule_exceptions.end_local; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_exceptions.end_local IS 'P0 · end on each day, wall time, later the same day';


--
-- Name: COLUMN schedule_exceptions.note; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_exceptions.note IS 'P1 · internal note';


--
-- Name: COLUMN schedule_exceptions.created_by_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_exceptions.created_by_user_id IS 'P0 · colleague who made it';


--
-- Name: COLUMN schedule_exceptions.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_exceptions.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: services; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.services (
    id uuid DEFAULT public.uuid7() NOT NULL,
    slug text NOT NULL,
    title text NOT NULL,
    description_markdown text NOT NULL,
    format text NOT NULL,
    offline_address text,
    duration_minutes integer NOT NULL,
    price_amount integer NOT NULL,
    deposit_amount integer,
    cancel_free_hours integer,
    cancel_partial_hours integer,
    reschedule_min_hours integer,
    reschedule_max_count integer,
    status text DEFAULT 'draft'::text NOT NULL,
    topic_code text,
    "position" integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT services_cancel_free_hours_in_range CHECK ((cancel_free_hours >= 0)),
    CONSTRAINT services_cancel_partial_hours_in_range CHECK ((cancel_partial_hours >= 0)),
    CONSTRAINT services_deposit_within_price CHECK (((deposit_amount IS NULL) OR ((deposit_amount >= 1) AND (deposit_amount <= price_amount)))),
    CONSTRAINT services_description_markdown_has_length CHECK ((length(description_markdown) <= 200000)),
    CONSTRAINT services_duration_minutes_in_range CHECK (((duration_minutes >= 10) AND (duration_minutes <= 480))),
    CONSTRAINT services_format_in_set CHECK ((format = ANY (ARRAY['online'::text, 'offline'::text, 'hybrid'::text]))),
    CONSTRAINT services_offline_address_has_length CHECK ((length(offline_address) <= 2000)),
    CONSTRAINT services_partial_refund_within_free CHECK (((cancel_partial_hours IS NULL) OR ((cancel_free_hours IS NOT NULL) AND (cancel_partial_hours <= cancel_free_hours)))),
    CONSTRAINT services_price_amount_in_range CHECK ((price_amount >= 0)),
    CONSTRAINT services_published_with_refund_policy CHECK (((NOT (status = 'published'::text)) OR (price_amount = 0) OR (cancel_free_hours IS NOT NULL))),
    CONSTRAINT services_reschedule_max_count_in_range CHECK ((reschedule_max_count >= 0)),
    CONSTRAINT services_reschedule_min_hours_in_range CHECK ((reschedule_min_hours >= 0)),
    CONSTRAINT services_slug_has_length CHECK ((length(slug) <= 120)),
    CONSTRAINT services_slug_is_slug CHECK ((slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text)),
    CONSTRAINT services_status_in_set CHECK ((status = ANY (ARRAY['draft'::text, 'published'::text, 'archived'::text]))),
    CONSTRAINT services_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(updated_at))),
    CONSTRAINT services_title_has_length CHECK ((length(title) <= 200)),
    CONSTRAINT services_title_not_blank CHECK (public.is_visible(title))
);


--
-- Name: TABLE services; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.services IS 'Consultations on offer';


--
-- Name: COLUMN services.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN services.slug; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.slug IS 'P0 · slug in addresses';


--
-- Name: COLUMN services.title; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.title IS 'P0 · title';


--
-- Name: COLUMN services.description_markdown; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.description_markdown IS 'P0 · description, Markdown';


--
-- Name: COLUMN services.format; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.format IS 'P0 · online, offline or either';


--
-- Name: COLUMN services.offline_address; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.offline_address IS 'P0 · address of the practice';


--
-- Name: COLUMN services.duration_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.duration_minutes IS 'P0 · length of a session, minutes';


--
-- Name: COLUMN services.price_amount; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.price_amount IS 'P0 · price, whole roubles';


--
-- Name: COLUMN services.deposit_amount; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.deposit_amount IS 'P0 · deposit, whole roubles';


--
-- Name: COLUMN services.cancel_free_hours; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.cancel_free_hours IS 'P0 · hours before the start: full refund';


--
-- Name: COLUMN services.cancel_partial_hours; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.cancel_partial_hours IS 'P0 · hours before the start: half refund';


--
-- Name: COLUMN services.reschedule_min_hours; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.reschedule_min_hours IS 'P0 · hours before the start: moving allowed';


--
-- Name: COLUMN services.reschedule_max_count; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.reschedule_max_count IS 'P0 · how many times an appointment may move';


--
-- Name: COLUMN services.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.status IS 'P0 · life cycle';


--
-- Name: COLUMN services.topic_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.topic_code IS 'P0 · topic, if one';


--
-- Name: COLUMN services."position"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services."position" IS 'P0 · order in lists';


--
-- Name: COLUMN services.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN services.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.services.updated_at IS 'P0 · when the row was last written, UTC; kept by the database';


--
-- Name: bookable_slots; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.bookable_slots WITH (security_invoker='true') AS
 SELECT slot.id AS slot_id,
    slot.service_id,
    slot.start_at_utc,
    slot.end_at_utc,
    slot.buffer_minutes
   FROM (( SELECT public.fact_clock() AS "time") clock
     JOIN public.availability_slots slot ON ((slot.start_at_utc > clock."time")))
  WHERE (((slot.status = 'available'::text) OR ((slot.status = 'reserved'::text) AND (EXISTS ( SELECT
           FROM public.appointments hold
          WHERE ((hold.slot_id = slot.id) AND (hold.status = 'pending_payment'::text) AND (hold.hold_expires_at <= clock."time")))))) AND (EXISTS ( SELECT
           FROM public.services service
          WHERE (((service.id = slot.service_id) OR (slot.service_id IS NULL)) AND (service.status = 'published'::text) AND ((slot.end_at_utc - slot.start_at_utc) >= ((service.duration_minutes)::double precision * '00:01:00'::interval)) AND (NOT (EXISTS ( SELECT
                   FROM public.schedule_exceptions closed
                  WHERE ((closed.kind = 'closed'::text) AND ((closed.service_id = service.id) OR (closed.service_id IS NULL)) AND (closed.starts_on <= (((slot.end_at_utc AT TIME ZONE 'UTC'::text))::date + 1)) AND (closed.ends_on >= (((slot.start_at_utc AT TIME ZONE 'UTC'::text))::date - 1)) AND public.is_in_hours(closed.starts_on, closed.ends_on, closed.timezone, closed.start_local, closed.end_local, slot.start_at_utc, slot.end_at_utc)))))))) AND (NOT (EXISTS ( SELECT
           FROM public.appointments taking
          WHERE ((taking.slot_id = slot.id) AND (taking.status = ANY (ARRAY['pending_payment'::text, 'paid'::text, 'confirmed'::text])) AND (NOT ((taking.status = 'pending_payment'::text) AND (taking.hold_expires_at <= clock."time"))))
         OFFSET 0))) AND (NOT (EXISTS ( SELECT
           FROM public.appointments other
          WHERE ((public.busy_range(other.start_at_utc, other.end_at_utc, (other.buffer_minutes)::integer) && public.busy_range(slot.start_at_utc, slot.end_at_utc, (slot.buffer_minutes)::integer)) AND (other.status = ANY (ARRAY['pending_payment'::text, 'paid'::text, 'confirmed'::text])) AND (NOT ((other.status = 'pending_payment'::text) AND (other.hold_expires_at <= clock."time"))))
         OFFSET 0))) AND (NOT (EXISTS ( SELECT
           FROM public.availability_slots blocked
          WHERE ((blocked.status = 'blocked'::text) AND (blocked.start_at_utc < slot.end_at_utc) AND (blocked.start_at_utc > (slot.start_at_utc - '12:00:00'::interval)) AND (blocked.end_at_utc > slot.start_at_utc))
         OFFSET 0))));


--
-- Name: VIEW bookable_slots; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.bookable_slots IS 'Times that can be booked now';


--
-- Name: COLUMN bookable_slots.slot_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.bookable_slots.slot_id IS 'P0 · slot';


--
-- Name: COLUMN bookable_slots.service_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.bookable_slots.service_id IS 'P0 · only for this service; empty: any';


--
-- Name: COLUMN bookable_slots.start_at_utc; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.bookable_slots.start_at_utc IS 'P0 · start, UTC';


--
-- Name: COLUMN bookable_slots.end_at_utc; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.bookable_slots.end_at_utc IS 'P0 · end, UTC';


--
-- Name: COLUMN bookable_slots.buffer_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.bookable_slots.buffer_minutes IS 'P0 · break kept after a session here, minutes';


--
-- Name: consents; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.consents (
    id uuid DEFAULT public.uuid7() NOT NULL,
    user_id uuid,
    lead_id uuid,
    consent_type text NOT NULL,
    granted boolean DEFAULT true NOT NULL,
    version text NOT NULL,
    source text NOT NULL,
    granted_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT consents_consent_type_in_set CHECK ((consent_type = ANY (ARRAY['personal_data'::text, 'communications'::text, 'telegram'::text, 'review_publication'::text]))),
    CONSTRAINT consents_refusal_is_not_revoked CHECK ((granted OR (revoked_at IS NULL))),
    CONSTRAINT consents_revoked_after_granted CHECK (((revoked_at IS NULL) OR (revoked_at >= granted_at))),
    CONSTRAINT consents_source_in_set CHECK ((source = ANY (ARRAY['web'::text, 'telegram'::text, 'admin'::text]))),
    CONSTRAINT consents_subject_present CHECK (((user_id IS NOT NULL) OR (lead_id IS NOT NULL))),
    CONSTRAINT consents_times_finite CHECK ((public.is_finite(granted_at) AND public.is_finite(revoked_at))),
    CONSTRAINT consents_version_has_length CHECK ((length(version) <= 60)),
    CONSTRAINT consents_version_is_dated CHECK ((version ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[0-9]+)?$'::text))
);


--
-- Name: TABLE consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.consents IS 'Evidence of consents; only revoked_at changes, once';


--
-- Name: COLUMN consents.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.consents.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN consents.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.consents.user_id IS 'P0 · who agreed, if known';


--
-- Name: COLUMN consents.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.consents.lead_id IS 'P0 · lead who agreed';


--
-- Name: COLUMN consents.consent_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.consents.consent_type IS 'P0 · purpose agreed to';


--
-- Name: COLUMN consents.granted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.consents.granted IS 'P0 · true: agreed; false: refused';


--
-- Name: COLUMN consents.version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.consents.version IS 'P0 · version of the text, YYYY-MM-DD or YYYY-MM-DD.n';


--
-- Name: COLUMN consents.source; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.consents.source IS 'P0 · where it was given';


--
-- Name: COLUMN consents.granted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.consents.granted_at IS 'P0 · when given, UTC';


--
-- Name: COLUMN consents.revoked_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.consents.revoked_at IS 'P0 · when withdrawn, UTC; set once';


--
-- Name: content_item_tags; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.content_item_tags (
    id uuid DEFAULT public.uuid7() NOT NULL,
    content_item_id uuid NOT NULL,
    tag_id uuid NOT NULL
);


--
-- Name: TABLE content_item_tags; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.content_item_tags IS 'Tags of content';


--
-- Name: COLUMN content_item_tags.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_item_tags.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN content_item_tags.content_item_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_item_tags.content_item_id IS 'P0 · item';


--
-- Name: COLUMN content_item_tags.tag_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_item_tags.tag_id IS 'P0 · tag';


--
-- Name: content_item_topics; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.content_item_topics (
    id uuid DEFAULT public.uuid7() NOT NULL,
    content_item_id uuid NOT NULL,
    topic_code text NOT NULL
);


--
-- Name: TABLE content_item_topics; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.content_item_topics IS 'Topics of content';


--
-- Name: COLUMN content_item_topics.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_item_topics.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN content_item_topics.content_item_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_item_topics.content_item_id IS 'P0 · item';


--
-- Name: COLUMN content_item_topics.topic_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_item_topics.topic_code IS 'P0 · topic';


--
-- Name: content_items; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.content_items (
    id uuid DEFAULT public.uuid7() NOT NULL,
    content_type text NOT NULL,
    slug text NOT NULL,
    title text NOT NULL,
    excerpt text,
    body_markdown text NOT NULL,
    status text DEFAULT 'draft'::text NOT NULL,
    published_at timestamp with time zone,
    author_user_id uuid NOT NULL,
    time_to_benefit text,
    format text,
    support_level text,
    seo_title text,
    seo_description text,
    seo_keywords text,
    canonical_url text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT content_items_body_markdown_has_length CHECK ((length(body_markdown) <= 200000)),
    CONSTRAINT content_items_canonical_url_has_length CHECK ((length(canonical_url) <= 2000)),
    CONSTRAINT content_items_canonical_url_is_address CHECK ((canonical_url ~ '(^https://[A-Za-z0-9\u0401\u0410-\u044F\u0451]([A-Za-z0-9\u0401\u0410-\u044F\u0451-]*[A-Za-z0-9\u0401\u0410-\u044F\u0451])?(\.[A-Za-z0-9\u0401\u0410-\u044F\u0451]([A-Za-z0-9\u0401\u0410-\u044F\u0451-]*[A-Za-z0-9\u0401\u0410-\u044F\u0451])?)*(:[0-9]{1,5})?([/?#][^\x01-\x20\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u17B4\u17B5\u180B-\u180F\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF\\\"<>^`{|}]*)?$|^/((?!/)[^\x01-\x20\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u17B4\u17B5\u180B-\u180F\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF\\\"<>^`{|}]+)?$)'::text)),
    CONSTRAINT content_items_content_type_in_set CHECK ((content_type = ANY (ARRAY['article'::text, 'note'::text, 'resource'::text, 'landing'::text, 'page'::text]))),
    CONSTRAINT content_items_excerpt_has_length CHECK ((length(excerpt) <= 2000)),
    CONSTRAINT content_items_format_in_set CHECK ((format = ANY (ARRAY['article'::text, 'note'::text, 'resource'::text, 'audio'::text, 'checklist'::text]))),
    CONSTRAINT content_items_published_has_date CHECK (((NOT (status = 'published'::text)) OR (published_at IS NOT NULL))),
    CONSTRAINT content_items_seo_description_has_length CHECK ((length(seo_description) <= 2000)),
    CONSTRAINT content_items_seo_keywords_has_length CHECK ((length(seo_keywords) <= 2000)),
    CONSTRAINT content_items_seo_title_has_length CHECK ((length(seo_title) <= 200)),
    CONSTRAINT content_items_seo_title_not_blank CHECK (public.is_visible(seo_title)),
    CONSTRAINT content_items_slug_has_length CHECK ((length(slug) <= 120)),
    CONSTRAINT content_items_slug_is_slug CHECK ((slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text)),
    CONSTRAINT content_items_status_in_set CHECK ((status = ANY (ARRAY['draft'::text, 'review'::text, 'published'::text, 'archived'::text]))),
    CONSTRAINT content_items_support_level_in_set CHECK ((support_level = ANY (ARRAY['self_help'::text, 'micro_support'::text, 'consultation'::text]))),
    CONSTRAINT content_items_time_to_benefit_in_set CHECK ((time_to_benefit = ANY (ARRAY['1_3_min'::text, '7_10_min'::text, '20_30_min'::text, 'series'::text]))),
    CONSTRAINT content_items_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(updated_at) AND public.is_finite(published_at))),
    CONSTRAINT content_items_title_has_length CHECK ((length(title) <= 200)),
    CONSTRAINT content_items_title_not_blank CHECK (public.is_visible(title))
);


--
-- Name: TABLE content_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.content_items IS 'Articles, notes, resources, landings, pages';


--
-- Name: COLUMN content_items.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN content_items.content_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.content_type IS 'P0 · kind of content';


--
-- Name: COLUMN content_items.slug; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.slug IS 'P0 · slug in addresses, unique per kind';


--
-- Name: COLUMN content_items.title; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.title IS 'P0 · title';


--
-- Name: COLUMN content_items.excerpt; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.excerpt IS 'P0 · short summary';


--
-- Name: COLUMN content_items.body_markdown; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.body_markdown IS 'P0 · text, Markdown';


--
-- Name: COLUMN content_items.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.status IS 'P0 · editorial state';


--
-- Name: COLUMN content_items.published_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.published_at IS 'P0 · when published, UTC';


--
-- Name: COLUMN content_items.author_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.author_user_id IS 'P0 · who wrote it';


--
-- Name: COLUMN content_items.time_to_benefit; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.time_to_benefit IS 'P0 · time until it helps';


--
-- Name: COLUMN content_items.format; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.format IS 'P0 · form of the material';


--
-- Name: COLUMN content_items.support_level; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.support_level IS 'P0 · how much support it offers';


--
-- Name: COLUMN content_items.seo_title; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.seo_title IS 'P0 · title for search engines';


--
-- Name: COLUMN content_items.seo_description; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.seo_description IS 'P0 · text for search engines';


--
-- Name: COLUMN content_items.seo_keywords; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.seo_keywords IS 'P0 · keywords for search engines';


--
-- Name: COLUMN content_items.canonical_url; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.canonical_url IS 'P0 · canonical address';


--
-- Name: COLUMN content_items.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN content_items.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_items.updated_at IS 'P0 · when the row was last written, UTC; kept by the database';


--
-- Name: content_media; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.content_media (
    id uuid DEFAULT public.uuid7() NOT NULL,
    content_item_id uuid NOT NULL,
    media_asset_id uuid NOT NULL,
    usage text NOT NULL,
    CONSTRAINT content_media_usage_in_set CHECK ((usage = ANY (ARRAY['cover'::text, 'inline'::text, 'attachment'::text, 'audio'::text])))
);


--
-- Name: TABLE content_media; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.content_media IS 'Files used in content';


--
-- Name: COLUMN content_media.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_media.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN content_media.content_item_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_media.content_item_id IS 'P0 · item';


--
-- Name: COLUMN content_media.media_asset_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_media.media_asset_id IS 'P0 · file';


--
-- Name: COLUMN content_media.usage; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_media.usage IS 'P0 · how it is used';


--
-- Name: content_revisions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.content_revisions (
    id uuid DEFAULT public.uuid7() NOT NULL,
    content_item_id uuid NOT NULL,
    revision integer NOT NULL,
    title text NOT NULL,
    excerpt text,
    body_markdown text NOT NULL,
    meta jsonb,
    changed_by_user_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT content_revisions_body_markdown_has_length CHECK ((length(body_markdown) <= 200000)),
    CONSTRAINT content_revisions_excerpt_has_length CHECK ((length(excerpt) <= 2000)),
    CONSTRAINT content_revisions_meta_has_length CHECK (public.json_has_length(meta, 20000)),
    CONSTRAINT content_revisions_meta_is_object CHECK (public.is_json_object(meta)),
    CONSTRAINT content_revisions_revision_in_range CHECK ((revision >= 1)),
    CONSTRAINT content_revisions_times_finite CHECK (public.is_finite(created_at)),
    CONSTRAINT content_revisions_title_has_length CHECK ((length(title) <= 200)),
    CONSTRAINT content_revisions_title_not_blank CHECK (public.is_visible(title))
);


--
-- Name: TABLE content_revisions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.content_revisions IS 'Earlier texts of content; immutable';


--
-- Name: COLUMN content_revisions.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_revisions.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN content_revisions.content_item_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_revisions.content_item_id IS 'P0 · item it belongs to';


--
-- Name: COLUMN content_revisions.revision; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_revisions.revision IS 'P0 · number, from 1, per item';


--
-- Name: COLUMN content_revisions.title; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_revisions.title IS 'P0 · title then';


--
-- Name: COLUMN content_revisions.excerpt; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_revisions.excerpt IS 'P0 · summary then';


--
-- Name: COLUMN content_revisions.body_markdown; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_revisions.body_markdown IS 'P0 · text then, Markdown';


--
-- Name: COLUMN content_revisions.meta; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_revisions.meta IS 'P0 · other fields then, an object';


--
-- Name: COLUMN content_revisions.changed_by_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_revisions.changed_by_user_id IS 'P0 · who saved it';


--
-- Name: COLUMN content_revisions.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.content_revisions.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: curated_collections; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.curated_collections (
    id uuid DEFAULT public.uuid7() NOT NULL,
    slug text NOT NULL,
    title text NOT NULL,
    collection_type text NOT NULL,
    status text DEFAULT 'draft'::text NOT NULL,
    topic_code text,
    published_at timestamp with time zone,
    CONSTRAINT curated_collections_collection_type_in_set CHECK ((collection_type = ANY (ARRAY['problem'::text, 'format'::text, 'goal'::text, 'context'::text]))),
    CONSTRAINT curated_collections_published_has_date CHECK (((NOT (status = 'published'::text)) OR (published_at IS NOT NULL))),
    CONSTRAINT curated_collections_slug_has_length CHECK ((length(slug) <= 120)),
    CONSTRAINT curated_collections_slug_is_slug CHECK ((slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text)),
    CONSTRAINT curated_collections_status_in_set CHECK ((status = ANY (ARRAY['draft'::text, 'published'::text, 'archived'::text]))),
    CONSTRAINT curated_collections_times_finite CHECK (public.is_finite(published_at)),
    CONSTRAINT curated_collections_title_has_length CHECK ((length(title) <= 200)),
    CONSTRAINT curated_collections_title_not_blank CHECK (public.is_visible(title))
);


--
-- Name: TABLE curated_collections; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.curated_collections IS 'Hand-picked lists';


--
-- Name: COLUMN curated_collections.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_collections.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN curated_collections.slug; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_collections.slug IS 'P0 · slug in addresses';


--
-- Name: COLUMN curated_collections.title; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_collections.title IS 'P0 · title';


--
-- Name: COLUMN curated_collections.collection_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_collections.collection_type IS 'P0 · what the list is picked by';


--
-- Name: COLUMN curated_collections.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_collections.status IS 'P0 · life cycle';


--
-- Name: COLUMN curated_collections.topic_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_collections.topic_code IS 'P0 · topic, if one';


--
-- Name: COLUMN curated_collections.published_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_collections.published_at IS 'P0 · when published, UTC';


--
-- Name: curated_items; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.curated_items (
    id uuid DEFAULT public.uuid7() NOT NULL,
    collection_id uuid NOT NULL,
    item_type text NOT NULL,
    content_item_id uuid,
    interactive_definition_id uuid,
    "position" integer NOT NULL,
    note text,
    CONSTRAINT curated_items_exactly_one_target CHECK ((((content_item_id IS NOT NULL) AND (interactive_definition_id IS NULL) AND (item_type = 'content'::text)) OR ((content_item_id IS NULL) AND (interactive_definition_id IS NOT NULL) AND (item_type = 'interactive'::text)))),
    CONSTRAINT curated_items_item_type_in_set CHECK ((item_type = ANY (ARRAY['content'::text, 'interactive'::text]))),
    CONSTRAINT curated_items_note_has_length CHECK ((length(note) <= 2000)),
    CONSTRAINT curated_items_position_in_range CHECK (("position" >= 0))
);


--
-- Name: TABLE curated_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.curated_items IS 'Places in collections';


--
-- Name: COLUMN curated_items.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_items.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN curated_items.collection_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_items.collection_id IS 'P0 · collection';


--
-- Name: COLUMN curated_items.item_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_items.item_type IS 'P0 · which target is set';


--
-- Name: COLUMN curated_items.content_item_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_items.content_item_id IS 'P0 · content';


--
-- Name: COLUMN curated_items.interactive_definition_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_items.interactive_definition_id IS 'P0 · interactive';


--
-- Name: COLUMN curated_items."position"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_items."position" IS 'P0 · order, from 0';


--
-- Name: COLUMN curated_items.note; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curated_items.note IS 'P0 · why it is here';


--
-- Name: data_export_requests; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.data_export_requests (
    id uuid DEFAULT public.uuid7() NOT NULL,
    user_id uuid NOT NULL,
    export_type text NOT NULL,
    status text DEFAULT 'requested'::text NOT NULL,
    file_url text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    expires_at timestamp with time zone,
    CONSTRAINT data_export_requests_completed_when_over CHECK ((((status = ANY (ARRAY['ready'::text, 'failed'::text])) AND (completed_at IS NOT NULL)) OR ((NOT (status = ANY (ARRAY['ready'::text, 'failed'::text]))) AND (completed_at IS NULL)))),
    CONSTRAINT data_export_requests_export_type_in_set CHECK ((export_type = ANY (ARRAY['user_data'::text, 'diary_pdf'::text]))),
    CONSTRAINT data_export_requests_file_url_has_length CHECK ((length(file_url) <= 500)),
    CONSTRAINT data_export_requests_file_url_is_object_key CHECK ((file_url ~ '^[a-z0-9]+([/_.-][a-z0-9]+)*$'::text)),
    CONSTRAINT data_export_requests_file_when_ready CHECK ((((status = 'ready'::text) AND (expires_at IS NOT NULL) AND (file_url IS NOT NULL)) OR ((NOT (status = 'ready'::text)) AND (expires_at IS NULL) AND (file_url IS NULL)))),
    CONSTRAINT data_export_requests_status_in_set CHECK ((status = ANY (ARRAY['requested'::text, 'processing'::text, 'ready'::text, 'failed'::text]))),
    CONSTRAINT data_export_requests_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(completed_at) AND public.is_finite(expires_at)))
);
ALTER TABLE ONLY public.data_export_requests ALTER COLUMN file_url SET STATISTICS 0;


--
-- Name: TABLE data_export_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.data_export_requests IS 'Requests for a copy of one''s data';


--
-- Name: COLUMN data_export_requests.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_export_requests.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN data_export_requests.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_export_requests.user_id IS 'P0 · whose data';


--
-- Name: COLUMN data_export_requests.export_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_export_requests.export_type IS 'P0 · what is exported';


--
-- Name: COLUMN data_export_requests.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_export_requests.status IS 'P0 · progress';


--
-- Name: COLUMN data_export_requests.file_url; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_export_requests.file_url IS 'P1 · key of the finished file in the export store';


--
-- Name: COLUMN data_export_requests.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_export_requests.created_at IS 'P0 · when requested, UTC';


--
-- Name: COLUMN data_export_requests.completed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_export_requests.completed_at IS 'P0 · when finished or failed, UTC';


--
-- Name: COLUMN data_export_requests.expires_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_export_requests.expires_at IS 'P0 · when the file is removed, UTC';


--
-- Name: deep_links; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.deep_links (
    deep_link_id text NOT NULL,
    flow text NOT NULL,
    tg_target text DEFAULT 'bot'::text NOT NULL,
    topic_code text,
    entity_ref text,
    source_page text,
    anonymous_id text,
    lead_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT deep_links_anonymous_id_has_length CHECK ((length(anonymous_id) <= 64)),
    CONSTRAINT deep_links_anonymous_id_is_opaque CHECK ((anonymous_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$'::text)),
    CONSTRAINT deep_links_deep_link_id_has_length CHECK ((length(deep_link_id) <= 64)),
    CONSTRAINT deep_links_deep_link_id_is_opaque CHECK ((deep_link_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$'::text)),
    CONSTRAINT deep_links_entity_ref_has_length CHECK ((length(entity_ref) <= 120)),
    CONSTRAINT deep_links_entity_ref_is_code_or_slug CHECK ((entity_ref ~ '^(?!.*[0-9]{7})([a-z0-9]+([_-][a-z0-9]+)*|[a-z][a-z0-9_]*)$'::text)),
    CONSTRAINT deep_links_expire_within_30_days CHECK (public.is_link_lifetime(created_at, expires_at)),
    CONSTRAINT deep_links_flow_in_set CHECK ((flow = ANY (ARRAY['plan_7d'::text, 'save_resource'::text, 'challenge_7d'::text, 'concierge'::text, 'question'::text, 'prep'::text, 'ritual'::text, 'boundaries'::text, 'favorites'::text]))),
    CONSTRAINT deep_links_source_page_has_length CHECK ((length(source_page) <= 120)),
    CONSTRAINT deep_links_source_page_is_code_or_slug CHECK ((source_page ~ '^(?!.*[0-9]{7})([a-z0-9]+([_-][a-z0-9]+)*|[a-z][a-z0-9_]*)$'::text)),
    CONSTRAINT deep_links_tg_target_in_set CHECK ((tg_target = ANY (ARRAY['bot'::text, 'channel'::text]))),
    CONSTRAINT deep_links_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(expires_at)))
);


--
-- Name: TABLE deep_links; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.deep_links IS 'Links into Telegram';


--
-- Name: COLUMN deep_links.deep_link_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.deep_links.deep_link_id IS 'P0 · identifier in the link';


--
-- Name: COLUMN deep_links.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.deep_links.flow IS 'P0 · what the bot is to do';


--
-- Name: COLUMN deep_links.tg_target; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.deep_links.tg_target IS 'P0 · bot or channel';


--
-- Name: COLUMN deep_links.topic_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.deep_links.topic_code IS 'P0 · topic, if one';


--
-- Name: COLUMN deep_links.entity_ref; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.deep_links.entity_ref IS 'P0 · what it is about: code or slug';


--
-- Name: COLUMN deep_links.source_page; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.deep_links.source_page IS 'P0 · page that showed the link: code or slug';


--
-- Name: COLUMN deep_links.anonymous_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.deep_links.anonymous_id IS 'P0 · browser identifier';


--
-- Name: COLUMN deep_links.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.deep_links.lead_id IS 'P0 · lead, if known';


--
-- Name: COLUMN deep_links.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.deep_links.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN deep_links.expires_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.deep_links.expires_at IS 'P0 · end of validity, UTC; at most 30 days after created_at';


--
-- Name: diary_entries; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.diary_entries (
    id uuid DEFAULT public.uuid7() NOT NULL,
    user_id uuid NOT NULL,
    diary_type text NOT NULL,
    entry_date date NOT NULL,
    payload_encrypted text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT diary_entries_deleted_means_gone CHECK ((((deleted_at IS NULL) AND (payload_encrypted IS NOT NULL)) OR ((deleted_at IS NOT NULL) AND (payload_encrypted IS NULL)))),
    CONSTRAINT diary_entries_diary_type_in_set CHECK ((diary_type = ANY (ARRAY['emotions'::text, 'abc'::text, 'sleep_energy'::text, 'gratitude'::text]))),
    CONSTRAINT diary_entries_entry_date_since_2000 CHECK ((entry_date >= '2000-01-01'::date)),
    CONSTRAINT diary_entries_payload_encrypted_has_length CHECK ((length(payload_encrypted) <= 400000)),
    CONSTRAINT diary_entries_payload_encrypted_is_sealed CHECK (public.is_sealed(payload_encrypted)),
    CONSTRAINT diary_entries_times_finite CHECK ((public.is_finite(entry_date) AND public.is_finite(created_at) AND public.is_finite(deleted_at)))
);
ALTER TABLE ONLY public.diary_entries ALTER COLUMN diary_type SET STATISTICS 0;
ALTER TABLE ONLY public.diary_entries ALTER COLUMN payload_encrypted SET STATISTICS 0;


--
-- Name: TABLE diary_entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.diary_entries IS 'Diaries of clients, sealed';


--
-- Name: COLUMN diary_entries.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.diary_entries.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN diary_entries.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.diary_entries.user_id IS 'P1 · whose diary';


--
-- Name: COLUMN diary_entries.diary_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.diary_entries.diary_type IS 'P1 · kind of diary';


--
-- Name: COLUMN diary_entries.entry_date; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.diary_entries.entry_date IS 'P1 · day it is about';


--
-- Name: COLUMN diary_entries.payload_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.diary_entries.payload_encrypted IS 'P2 · entry, sealed JSON; empty exactly when deleted';


--
-- Name: COLUMN diary_entries.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.diary_entries.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN diary_entries.deleted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.diary_entries.deleted_at IS 'P0 · when deleted, UTC';


--
-- Name: django_admin_log; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.django_admin_log (
    id integer NOT NULL,
    action_time timestamp with time zone NOT NULL,
    object_id text,
    object_repr character varying(200) NOT NULL,
    action_flag smallint NOT NULL,
    change_message text NOT NULL,
    content_type_id integer,
    user_id uuid NOT NULL,
    CONSTRAINT django_admin_log_action_flag_check CHECK ((action_flag >= 0))
);


--
-- Name: TABLE django_admin_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.django_admin_log IS 'Actions in admin: keys and names of fields, never names or values';


--
-- Name: COLUMN django_admin_log.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_admin_log.id IS 'P0 · key';


--
-- Name: COLUMN django_admin_log.action_time; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_admin_log.action_time IS 'P0 · when, UTC';


--
-- Name: COLUMN django_admin_log.object_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_admin_log.object_id IS 'P0 · key of the row';


--
-- Name: COLUMN django_admin_log.object_repr; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_admin_log.object_repr IS 'P0 · key of the row once more, never its text';


--
-- Name: COLUMN django_admin_log.action_flag; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_admin_log.action_flag IS 'P0 · 1 added, 2 changed, 3 deleted';


--
-- Name: COLUMN django_admin_log.change_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_admin_log.change_message IS 'P0 · names of the changed fields, JSON';


--
-- Name: COLUMN django_admin_log.content_type_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_admin_log.content_type_id IS 'P0 · model of the row';


--
-- Name: COLUMN django_admin_log.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_admin_log.user_id IS 'P0 · who';


--
-- Name: django_admin_log_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.django_admin_log ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_admin_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: django_content_type; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.django_content_type (
    id integer NOT NULL,
    app_label character varying(100) NOT NULL,
    model character varying(100) NOT NULL
);


--
-- Name: TABLE django_content_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.django_content_type IS 'Names of models';


--
-- Name: COLUMN django_content_type.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_content_type.id IS 'P0 · key';


--
-- Name: COLUMN django_content_type.app_label; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_content_type.app_label IS 'P0 · app';


--
-- Name: COLUMN django_content_type.model; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_content_type.model IS 'P0 · model';


--
-- Name: django_content_type_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.django_content_type ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_content_type_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: django_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.django_migrations (
    id bigint NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied timestamp with time zone NOT NULL
);


--
-- Name: TABLE django_migrations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.django_migrations IS 'Applied migrations';


--
-- Name: COLUMN django_migrations.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_migrations.id IS 'P0 · key';


--
-- Name: COLUMN django_migrations.app; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_migrations.app IS 'P0 · app';


--
-- Name: COLUMN django_migrations.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_migrations.name IS 'P0 · migration';


--
-- Name: COLUMN django_migrations.applied; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_migrations.applied IS 'P0 · when, UTC';


--
-- Name: django_migrations_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.django_migrations ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_migrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: django_session; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.django_session (
    session_key character varying(40) NOT NULL,
    session_data text NOT NULL,
    expire_date timestamp with time zone NOT NULL
);
ALTER TABLE ONLY public.django_session ALTER COLUMN session_key SET STATISTICS 0;
ALTER TABLE ONLY public.django_session ALTER COLUMN session_data SET STATISTICS 0;


--
-- Name: TABLE django_session; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.django_session IS 'Sessions of admin';


--
-- Name: COLUMN django_session.session_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_session.session_key IS 'P1 · secret that identifies a browser';


--
-- Name: COLUMN django_session.session_data; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_session.session_data IS 'P1 · who is signed in, signed';


--
-- Name: COLUMN django_session.expire_date; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.django_session.expire_date IS 'P0 · end of validity, UTC';


--
-- Name: erasure_ledger; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.erasure_ledger (
    id uuid DEFAULT public.uuid7() NOT NULL,
    subject_id uuid NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    completed_at timestamp with time zone DEFAULT now() NOT NULL,
    method text NOT NULL,
    counts jsonb NOT NULL,
    CONSTRAINT erasure_ledger_completed_after_requested CHECK ((completed_at >= requested_at)),
    CONSTRAINT erasure_ledger_counts_are_numbers CHECK (public.is_row_counts(counts)),
    CONSTRAINT erasure_ledger_counts_has_length CHECK (public.json_has_length(counts, 20000)),
    CONSTRAINT erasure_ledger_method_in_set CHECK ((method = ANY (ARRAY['self_service'::text, 'admin'::text, 'retention'::text]))),
    CONSTRAINT erasure_ledger_times_finite CHECK ((public.is_finite(requested_at) AND public.is_finite(completed_at)))
);


--
-- Name: TABLE erasure_ledger; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.erasure_ledger IS 'Append-only list of erasures';


--
-- Name: COLUMN erasure_ledger.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_ledger.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN erasure_ledger.subject_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_ledger.subject_id IS 'P0 · id of the erased person; names nobody any more';


--
-- Name: COLUMN erasure_ledger.requested_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_ledger.requested_at IS 'P0 · when erasure was asked for, UTC';


--
-- Name: COLUMN erasure_ledger.completed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_ledger.completed_at IS 'P0 · when it was done, UTC';


--
-- Name: COLUMN erasure_ledger.method; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_ledger.method IS 'P0 · who started it';


--
-- Name: COLUMN erasure_ledger.counts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_ledger.counts IS 'P0 · rows erased per table, {table: number}';


--
-- Name: erasure_requests; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.erasure_requests (
    id uuid DEFAULT public.uuid7() NOT NULL,
    status text DEFAULT 'requested'::text NOT NULL,
    cancels_appointments boolean DEFAULT false NOT NULL,
    refused_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    requested_by_user_id uuid NOT NULL,
    user_id uuid NOT NULL,
    CONSTRAINT erasure_requests_completed_when_over CHECK ((((status = ANY (ARRAY['done'::text, 'refused'::text])) AND (completed_at IS NOT NULL)) OR ((NOT (status = ANY (ARRAY['done'::text, 'refused'::text]))) AND (completed_at IS NULL)))),
    CONSTRAINT erasure_requests_reason_when_refused CHECK ((((status = 'refused'::text) AND (refused_reason IS NOT NULL)) OR ((NOT (status = 'refused'::text)) AND (refused_reason IS NULL)))),
    CONSTRAINT erasure_requests_refused_reason_in_set CHECK ((refused_reason = ANY (ARRAY['last_owner'::text, 'upcoming_appointments'::text, 'not_permitted'::text]))),
    CONSTRAINT erasure_requests_status_in_set CHECK ((status = ANY (ARRAY['requested'::text, 'done'::text, 'refused'::text]))),
    CONSTRAINT erasure_requests_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(completed_at)))
);


--
-- Name: TABLE erasure_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.erasure_requests IS 'Requests to erase a person';


--
-- Name: COLUMN erasure_requests.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_requests.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN erasure_requests.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_requests.status IS 'P0 · progress';


--
-- Name: COLUMN erasure_requests.cancels_appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_requests.cancels_appointments IS 'P0 · sessions ahead are canceled as by the client; else they stop the erasure';


--
-- Name: COLUMN erasure_requests.refused_reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_requests.refused_reason IS 'P0 · why it was refused';


--
-- Name: COLUMN erasure_requests.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_requests.created_at IS 'P0 · when requested, UTC';


--
-- Name: COLUMN erasure_requests.completed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_requests.completed_at IS 'P0 · when done or refused, UTC';


--
-- Name: COLUMN erasure_requests.requested_by_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_requests.requested_by_user_id IS 'P0 · who asked: staff, or the person';


--
-- Name: COLUMN erasure_requests.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.erasure_requests.user_id IS 'P0 · whom to erase';


--
-- Name: glossary_term_links; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.glossary_term_links (
    id uuid DEFAULT public.uuid7() NOT NULL,
    term_id uuid NOT NULL,
    content_item_id uuid NOT NULL,
    link_type text NOT NULL,
    CONSTRAINT glossary_term_links_link_type_in_set CHECK ((link_type = ANY (ARRAY['mentioned_in'::text, 'recommended'::text])))
);


--
-- Name: TABLE glossary_term_links; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.glossary_term_links IS 'Links between glossary and content';


--
-- Name: COLUMN glossary_term_links.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_term_links.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN glossary_term_links.term_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_term_links.term_id IS 'P0 · term';


--
-- Name: COLUMN glossary_term_links.content_item_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_term_links.content_item_id IS 'P0 · item';


--
-- Name: COLUMN glossary_term_links.link_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_term_links.link_type IS 'P0 · how they belong together';


--
-- Name: glossary_term_synonyms; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.glossary_term_synonyms (
    id uuid DEFAULT public.uuid7() NOT NULL,
    term_id uuid NOT NULL,
    synonym text NOT NULL,
    CONSTRAINT glossary_term_synonyms_synonym_has_length CHECK ((length(synonym) <= 200)),
    CONSTRAINT glossary_term_synonyms_synonym_not_blank CHECK (public.is_visible(synonym))
);


--
-- Name: TABLE glossary_term_synonyms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.glossary_term_synonyms IS 'Synonyms of glossary terms';


--
-- Name: COLUMN glossary_term_synonyms.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_term_synonyms.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN glossary_term_synonyms.term_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_term_synonyms.term_id IS 'P0 · term';


--
-- Name: COLUMN glossary_term_synonyms.synonym; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_term_synonyms.synonym IS 'P0 · the other word';


--
-- Name: glossary_terms; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.glossary_terms (
    id uuid DEFAULT public.uuid7() NOT NULL,
    slug text NOT NULL,
    title text NOT NULL,
    category text NOT NULL,
    short_definition text NOT NULL,
    body_markdown text NOT NULL,
    status text DEFAULT 'draft'::text NOT NULL,
    published_at timestamp with time zone,
    meta_description text,
    keywords text,
    CONSTRAINT glossary_terms_body_markdown_has_length CHECK ((length(body_markdown) <= 200000)),
    CONSTRAINT glossary_terms_category_in_set CHECK ((category = ANY (ARRAY['approach'::text, 'state'::text, 'concept'::text]))),
    CONSTRAINT glossary_terms_keywords_has_length CHECK ((length(keywords) <= 2000)),
    CONSTRAINT glossary_terms_meta_description_has_length CHECK ((length(meta_description) <= 2000)),
    CONSTRAINT glossary_terms_published_has_date CHECK (((NOT (status = 'published'::text)) OR (published_at IS NOT NULL))),
    CONSTRAINT glossary_terms_short_definition_has_length CHECK ((length(short_definition) <= 2000)),
    CONSTRAINT glossary_terms_slug_has_length CHECK ((length(slug) <= 120)),
    CONSTRAINT glossary_terms_slug_is_slug CHECK ((slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text)),
    CONSTRAINT glossary_terms_status_in_set CHECK ((status = ANY (ARRAY['draft'::text, 'published'::text, 'archived'::text]))),
    CONSTRAINT glossary_terms_times_finite CHECK (public.is_finite(published_at)),
    CONSTRAINT glossary_terms_title_has_length CHECK ((length(title) <= 200)),
    CONSTRAINT glossary_terms_title_not_blank CHECK (public.is_visible(title))
);


--
-- Name: TABLE glossary_terms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.glossary_terms IS 'The glossary';


--
-- Name: COLUMN glossary_terms.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_terms.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN glossary_terms.slug; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_terms.slug IS 'P0 · slug in addresses';


--
-- Name: COLUMN glossary_terms.title; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_terms.title IS 'P0 · the term';


--
-- Name: COLUMN glossary_terms.category; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_terms.category IS 'P0 · kind of term';


--
-- Name: COLUMN glossary_terms.short_definition; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_terms.short_definition IS 'P0 · definition in a sentence';


--
-- Name: COLUMN glossary_terms.body_markdown; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_terms.body_markdown IS 'P0 · text, Markdown';


--
-- Name: COLUMN glossary_terms.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_terms.status IS 'P0 · life cycle';


--
-- Name: COLUMN glossary_terms.published_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_terms.published_at IS 'P0 · when published, UTC';


--
-- Name: COLUMN glossary_terms.meta_description; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_terms.meta_description IS 'P0 · text for search engines';


--
-- Name: COLUMN glossary_terms.keywords; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.glossary_terms.keywords IS 'P0 · keywords for search engines';


--
-- Name: intake_forms; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.intake_forms (
    id uuid DEFAULT public.uuid7() NOT NULL,
    appointment_id uuid NOT NULL,
    status text DEFAULT 'draft'::text NOT NULL,
    payload_encrypted text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    submitted_at timestamp with time zone,
    CONSTRAINT intake_forms_payload_encrypted_has_length CHECK ((length(payload_encrypted) <= 400000)),
    CONSTRAINT intake_forms_payload_encrypted_is_sealed CHECK (public.is_sealed(payload_encrypted)),
    CONSTRAINT intake_forms_status_in_set CHECK ((status = ANY (ARRAY['draft'::text, 'submitted'::text]))),
    CONSTRAINT intake_forms_submitted_at_with_status CHECK ((((status = 'submitted'::text) AND (submitted_at IS NOT NULL)) OR ((NOT (status = 'submitted'::text)) AND (submitted_at IS NULL)))),
    CONSTRAINT intake_forms_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(submitted_at)))
);
ALTER TABLE ONLY public.intake_forms ALTER COLUMN payload_encrypted SET STATISTICS 0;


--
-- Name: TABLE intake_forms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.intake_forms IS 'Intake forms, sealed';


--
-- Name: COLUMN intake_forms.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.intake_forms.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN intake_forms.appointment_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.intake_forms.appointment_id IS 'P0 · for which session';


--
-- Name: COLUMN intake_forms.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.intake_forms.status IS 'P0 · life cycle';


--
-- Name: COLUMN intake_forms.payload_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.intake_forms.payload_encrypted IS 'P2 · answers, sealed JSON';


--
-- Name: COLUMN intake_forms.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.intake_forms.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN intake_forms.submitted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.intake_forms.submitted_at IS 'P0 · when submitted, UTC';


--
-- Name: interactive_definitions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.interactive_definitions (
    id uuid DEFAULT public.uuid7() NOT NULL,
    interactive_type text NOT NULL,
    slug text NOT NULL,
    title text NOT NULL,
    topic_code text,
    status text DEFAULT 'draft'::text NOT NULL,
    published_at timestamp with time zone,
    published_version integer,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT interactive_definitions_interactive_type_in_set CHECK ((interactive_type = ANY (ARRAY['quiz'::text, 'navigator'::text, 'thermometer'::text, 'boundaries'::text, 'prep'::text, 'ritual'::text]))),
    CONSTRAINT interactive_definitions_published_is_complete CHECK (((NOT (status = 'published'::text)) OR ((published_at IS NOT NULL) AND (published_version IS NOT NULL)))),
    CONSTRAINT interactive_definitions_slug_has_length CHECK ((length(slug) <= 120)),
    CONSTRAINT interactive_definitions_slug_is_slug CHECK ((slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text)),
    CONSTRAINT interactive_definitions_status_in_set CHECK ((status = ANY (ARRAY['draft'::text, 'published'::text, 'archived'::text]))),
    CONSTRAINT interactive_definitions_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(updated_at) AND public.is_finite(published_at))),
    CONSTRAINT interactive_definitions_title_has_length CHECK ((length(title) <= 200)),
    CONSTRAINT interactive_definitions_title_not_blank CHECK (public.is_visible(title))
);


--
-- Name: TABLE interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.interactive_definitions IS 'Interactives';


--
-- Name: COLUMN interactive_definitions.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_definitions.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN interactive_definitions.interactive_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_definitions.interactive_type IS 'P0 · kind of interactive';


--
-- Name: COLUMN interactive_definitions.slug; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_definitions.slug IS 'P0 · slug in addresses, unique per kind';


--
-- Name: COLUMN interactive_definitions.title; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_definitions.title IS 'P0 · title';


--
-- Name: COLUMN interactive_definitions.topic_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_definitions.topic_code IS 'P0 · topic, if one';


--
-- Name: COLUMN interactive_definitions.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_definitions.status IS 'P0 · life cycle';


--
-- Name: COLUMN interactive_definitions.published_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_definitions.published_at IS 'P0 · when published, UTC';


--
-- Name: COLUMN interactive_definitions.published_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_definitions.published_version IS 'P0 · version that people see';


--
-- Name: COLUMN interactive_definitions.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_definitions.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN interactive_definitions.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_definitions.updated_at IS 'P0 · when the row was last written, UTC; kept by the database';


--
-- Name: interactive_run_totals; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.interactive_run_totals (
    id uuid DEFAULT public.uuid7() NOT NULL,
    day date NOT NULL,
    interactive_definition_id uuid NOT NULL,
    status text NOT NULL,
    result_level text,
    result_profile text,
    entry_point text,
    crisis_triggered boolean NOT NULL,
    runs bigint NOT NULL,
    timed_runs bigint NOT NULL,
    duration_ms bigint NOT NULL,
    cta_runs bigint DEFAULT 0 NOT NULL,
    CONSTRAINT interactive_run_totals_cta_runs_within_runs CHECK (((cta_runs >= 0) AND (cta_runs <= runs))),
    CONSTRAINT interactive_run_totals_duration_ms_in_range CHECK ((duration_ms >= 0)),
    CONSTRAINT interactive_run_totals_entry_point_in_set CHECK ((entry_point = ANY (ARRAY['seo'::text, 'telegram'::text, 'direct'::text, 'referral'::text, 'ads'::text, 'internal'::text]))),
    CONSTRAINT interactive_run_totals_result_level_in_set CHECK ((result_level = ANY (ARRAY['low'::text, 'moderate'::text, 'high'::text]))),
    CONSTRAINT interactive_run_totals_result_profile_in_set CHECK ((result_profile = ANY (ARRAY['stabilize_now'::text, 'restore_energy'::text, 'boundaries'::text, 'clarify'::text, 'support_contact'::text, 'other'::text]))),
    CONSTRAINT interactive_run_totals_runs_in_range CHECK ((runs >= 1)),
    CONSTRAINT interactive_run_totals_status_in_set CHECK ((status = ANY (ARRAY['in_progress'::text, 'completed'::text, 'abandoned'::text]))),
    CONSTRAINT interactive_run_totals_timed_runs_in_range CHECK ((timed_runs >= 0)),
    CONSTRAINT interactive_run_totals_times_finite CHECK (public.is_finite(day))
);


--
-- Name: TABLE interactive_run_totals; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.interactive_run_totals IS 'Daily totals of deleted runs';


--
-- Name: COLUMN interactive_run_totals.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN interactive_run_totals.day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.day IS 'P0 · day of the start, Europe/Moscow';


--
-- Name: COLUMN interactive_run_totals.interactive_definition_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.interactive_definition_id IS 'P0 · interactive';


--
-- Name: COLUMN interactive_run_totals.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.status IS 'P0 · life cycle of the runs';


--
-- Name: COLUMN interactive_run_totals.result_level; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.result_level IS 'P0 · level reached';


--
-- Name: COLUMN interactive_run_totals.result_profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.result_profile IS 'P0 · profile a navigator arrived at';


--
-- Name: COLUMN interactive_run_totals.entry_point; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.entry_point IS 'P0 · where from';


--
-- Name: COLUMN interactive_run_totals.crisis_triggered; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.crisis_triggered IS 'P0 · whether the crisis block was shown';


--
-- Name: COLUMN interactive_run_totals.runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.runs IS 'P0 · number of runs';


--
-- Name: COLUMN interactive_run_totals.timed_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.timed_runs IS 'P0 · number of runs whose duration is known';


--
-- Name: COLUMN interactive_run_totals.duration_ms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.duration_ms IS 'P0 · their durations added up, ms';


--
-- Name: COLUMN interactive_run_totals.cta_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_run_totals.cta_runs IS 'P0 · number of completed runs that a cta_click of their visit follows';


--
-- Name: interactive_runs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.interactive_runs (
    id uuid DEFAULT public.uuid7() NOT NULL,
    interactive_definition_id uuid NOT NULL,
    definition_version integer,
    user_id uuid,
    anonymous_id text,
    status text DEFAULT 'in_progress'::text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    result_level text,
    result_profile text,
    duration_ms integer,
    deep_link_id text,
    crisis_triggered boolean DEFAULT false NOT NULL,
    crisis_trigger_type text,
    entry_point text,
    session_id uuid,
    CONSTRAINT interactive_runs_anonymous_id_has_length CHECK ((length(anonymous_id) <= 64)),
    CONSTRAINT interactive_runs_anonymous_id_is_opaque CHECK ((anonymous_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$'::text)),
    CONSTRAINT interactive_runs_completed_after_start CHECK (((completed_at IS NULL) OR (completed_at >= started_at))),
    CONSTRAINT interactive_runs_completed_at_with_status CHECK ((((status = 'completed'::text) AND (completed_at IS NOT NULL)) OR ((NOT (status = 'completed'::text)) AND (completed_at IS NULL)))),
    CONSTRAINT interactive_runs_crisis_trigger_type_in_set CHECK ((crisis_trigger_type = ANY (ARRAY['self_harm'::text, 'suicidal_ideation'::text, 'violence'::text, 'minor_risk'::text, 'panic_like'::text]))),
    CONSTRAINT interactive_runs_deep_link_id_has_length CHECK ((length(deep_link_id) <= 64)),
    CONSTRAINT interactive_runs_deep_link_id_is_opaque CHECK ((deep_link_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$'::text)),
    CONSTRAINT interactive_runs_definition_version_in_range CHECK ((definition_version >= 1)),
    CONSTRAINT interactive_runs_duration_ms_in_range CHECK (((duration_ms >= 0) AND (duration_ms <= 86400000))),
    CONSTRAINT interactive_runs_entry_point_in_set CHECK ((entry_point = ANY (ARRAY['seo'::text, 'telegram'::text, 'direct'::text, 'referral'::text, 'ads'::text, 'internal'::text]))),
    CONSTRAINT interactive_runs_result_level_in_set CHECK ((result_level = ANY (ARRAY['low'::text, 'moderate'::text, 'high'::text]))),
    CONSTRAINT interactive_runs_result_profile_in_set CHECK ((result_profile = ANY (ARRAY['stabilize_now'::text, 'restore_energy'::text, 'boundaries'::text, 'clarify'::text, 'support_contact'::text, 'other'::text]))),
    CONSTRAINT interactive_runs_result_when_completed CHECK (((status = 'completed'::text) OR ((result_level IS NULL) AND (result_profile IS NULL)))),
    CONSTRAINT interactive_runs_status_in_set CHECK ((status = ANY (ARRAY['in_progress'::text, 'completed'::text, 'abandoned'::text]))),
    CONSTRAINT interactive_runs_subject_present CHECK (((user_id IS NOT NULL) OR (anonymous_id IS NOT NULL))),
    CONSTRAINT interactive_runs_times_finite CHECK ((public.is_finite(started_at) AND public.is_finite(completed_at))),
    CONSTRAINT interactive_runs_trigger_type_with_flag CHECK (((crisis_triggered AND (crisis_trigger_type IS NOT NULL)) OR ((NOT crisis_triggered) AND (crisis_trigger_type IS NULL))))
);


--
-- Name: TABLE interactive_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.interactive_runs IS 'Runs of interactives: aggregates only';


--
-- Name: COLUMN interactive_runs.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN interactive_runs.interactive_definition_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.interactive_definition_id IS 'P0 · interactive';


--
-- Name: COLUMN interactive_runs.definition_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.definition_version IS 'P0 · version that was shown';


--
-- Name: COLUMN interactive_runs.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.user_id IS 'P1 · who ran it, if logged in';


--
-- Name: COLUMN interactive_runs.anonymous_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.anonymous_id IS 'P0 · browser or bot identifier';


--
-- Name: COLUMN interactive_runs.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.status IS 'P0 · life cycle';


--
-- Name: COLUMN interactive_runs.started_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.started_at IS 'P0 · start, UTC';


--
-- Name: COLUMN interactive_runs.completed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.completed_at IS 'P0 · end, UTC';


--
-- Name: COLUMN interactive_runs.result_level; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.result_level IS 'P0 · level reached';


--
-- Name: COLUMN interactive_runs.result_profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.result_profile IS 'P0 · profile a navigator arrived at';


--
-- Name: COLUMN interactive_runs.duration_ms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.duration_ms IS 'P0 · duration, ms';


--
-- Name: COLUMN interactive_runs.deep_link_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.deep_link_id IS 'P0 · deep link that led here; no key, links expire first';


--
-- Name: COLUMN interactive_runs.crisis_triggered; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.crisis_triggered IS 'P0 · whether the crisis block was shown';


--
-- Name: COLUMN interactive_runs.crisis_trigger_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.crisis_trigger_type IS 'P0 · category of the trigger, no details';


--
-- Name: COLUMN interactive_runs.entry_point; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.entry_point IS 'P0 · where from';


--
-- Name: COLUMN interactive_runs.session_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_runs.session_id IS 'P0 · visit, as in analytics_events';


--
-- Name: interactive_versions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.interactive_versions (
    id uuid DEFAULT public.uuid7() NOT NULL,
    interactive_definition_id uuid NOT NULL,
    version integer NOT NULL,
    config jsonb NOT NULL,
    created_by_user_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT interactive_versions_config_has_length CHECK (public.json_has_length(config, 200000)),
    CONSTRAINT interactive_versions_config_is_object CHECK (public.is_json_object(config)),
    CONSTRAINT interactive_versions_times_finite CHECK (public.is_finite(created_at)),
    CONSTRAINT interactive_versions_version_in_range CHECK ((version >= 1))
);


--
-- Name: TABLE interactive_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.interactive_versions IS 'Configurations of interactives; immutable';


--
-- Name: COLUMN interactive_versions.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_versions.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN interactive_versions.interactive_definition_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_versions.interactive_definition_id IS 'P0 · interactive';


--
-- Name: COLUMN interactive_versions.version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_versions.version IS 'P0 · number, from 1, per interactive';


--
-- Name: COLUMN interactive_versions.config; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_versions.config IS 'P0 · questions, steps, thresholds; a JSON object';


--
-- Name: COLUMN interactive_versions.created_by_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_versions.created_by_user_id IS 'P0 · who made it';


--
-- Name: COLUMN interactive_versions.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.interactive_versions.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: lead_identities; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lead_identities (
    id uuid DEFAULT public.uuid7() NOT NULL,
    lead_id uuid NOT NULL,
    user_id uuid,
    anonymous_id text,
    email_encrypted text,
    email_bidx text,
    phone_encrypted text,
    phone_bidx text,
    telegram_user_id text,
    is_primary boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT lead_identities_anonymous_id_has_length CHECK ((length(anonymous_id) <= 64)),
    CONSTRAINT lead_identities_anonymous_id_is_opaque CHECK ((anonymous_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$'::text)),
    CONSTRAINT lead_identities_email_bidx_has_length CHECK ((length(email_bidx) <= 64)),
    CONSTRAINT lead_identities_email_bidx_is_blind_index CHECK ((email_bidx ~ '^v1\.[a-z0-9]{1,16}\.[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT lead_identities_email_encrypted_has_length CHECK ((length(email_encrypted) <= 400000)),
    CONSTRAINT lead_identities_email_encrypted_is_sealed CHECK (public.is_sealed(email_encrypted)),
    CONSTRAINT lead_identities_email_with_index CHECK ((((email_bidx IS NOT NULL) AND (email_encrypted IS NOT NULL)) OR ((email_bidx IS NULL) AND (email_encrypted IS NULL)))),
    CONSTRAINT lead_identities_identifier_present CHECK (((user_id IS NOT NULL) OR (anonymous_id IS NOT NULL) OR (email_encrypted IS NOT NULL) OR (phone_encrypted IS NOT NULL) OR (telegram_user_id IS NOT NULL))),
    CONSTRAINT lead_identities_phone_bidx_has_length CHECK ((length(phone_bidx) <= 64)),
    CONSTRAINT lead_identities_phone_bidx_is_blind_index CHECK ((phone_bidx ~ '^v1\.[a-z0-9]{1,16}\.[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT lead_identities_phone_encrypted_has_length CHECK ((length(phone_encrypted) <= 400000)),
    CONSTRAINT lead_identities_phone_encrypted_is_sealed CHECK (public.is_sealed(phone_encrypted)),
    CONSTRAINT lead_identities_phone_with_index CHECK ((((phone_bidx IS NOT NULL) AND (phone_encrypted IS NOT NULL)) OR ((phone_bidx IS NULL) AND (phone_encrypted IS NULL)))),
    CONSTRAINT lead_identities_telegram_user_id_has_length CHECK ((length(telegram_user_id) <= 20)),
    CONSTRAINT lead_identities_telegram_user_id_is_digits CHECK ((telegram_user_id ~ '^[0-9]+$'::text)),
    CONSTRAINT lead_identities_times_finite CHECK (public.is_finite(created_at))
);
ALTER TABLE ONLY public.lead_identities ALTER COLUMN email_encrypted SET STATISTICS 0;
ALTER TABLE ONLY public.lead_identities ALTER COLUMN email_bidx SET STATISTICS 0;
ALTER TABLE ONLY public.lead_identities ALTER COLUMN phone_encrypted SET STATISTICS 0;
ALTER TABLE ONLY public.lead_identities ALTER COLUMN phone_bidx SET STATISTICS 0;
ALTER TABLE ONLY public.lead_identities ALTER COLUMN telegram_user_id SET STATISTICS 0;


--
-- Name: TABLE lead_identities; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.lead_identities IS 'How leads are recognised; contacts sealed';


--
-- Name: COLUMN lead_identities.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_identities.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN lead_identities.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_identities.lead_id IS 'P0 · lead';


--
-- Name: COLUMN lead_identities.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_identities.user_id IS 'P0 · registered person';


--
-- Name: COLUMN lead_identities.anonymous_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_identities.anonymous_id IS 'P0 · browser or bot identifier';


--
-- Name: COLUMN lead_identities.email_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_identities.email_encrypted IS 'P1 · e-mail, sealed';


--
-- Name: COLUMN lead_identities.email_bidx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_identities.email_bidx IS 'P1 · blind index of the e-mail';


--
-- Name: COLUMN lead_identities.phone_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_identities.phone_encrypted IS 'P1 · phone, sealed';


--
-- Name: COLUMN lead_identities.phone_bidx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_identities.phone_bidx IS 'P1 · blind index of the phone';


--
-- Name: COLUMN lead_identities.telegram_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_identities.telegram_user_id IS 'P1 · Telegram id, digits';


--
-- Name: COLUMN lead_identities.is_primary; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_identities.is_primary IS 'P0 · the one to use; one per lead';


--
-- Name: COLUMN lead_identities.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_identities.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: lead_notes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lead_notes (
    id uuid DEFAULT public.uuid7() NOT NULL,
    lead_id uuid NOT NULL,
    author_user_id uuid NOT NULL,
    note_encrypted text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT lead_notes_note_encrypted_has_length CHECK ((length(note_encrypted) <= 400000)),
    CONSTRAINT lead_notes_note_encrypted_is_sealed CHECK (public.is_sealed(note_encrypted)),
    CONSTRAINT lead_notes_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(updated_at)))
);
ALTER TABLE ONLY public.lead_notes ALTER COLUMN note_encrypted SET STATISTICS 0;


--
-- Name: TABLE lead_notes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.lead_notes IS 'Internal notes about leads, sealed';


--
-- Name: COLUMN lead_notes.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_notes.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN lead_notes.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_notes.lead_id IS 'P0 · lead';


--
-- Name: COLUMN lead_notes.author_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_notes.author_user_id IS 'P0 · who wrote it';


--
-- Name: COLUMN lead_notes.note_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_notes.note_encrypted IS 'P2 · note, sealed';


--
-- Name: COLUMN lead_notes.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_notes.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN lead_notes.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_notes.updated_at IS 'P0 · when the row was last written, UTC; kept by the database';


--
-- Name: lead_timeline_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lead_timeline_events (
    id uuid DEFAULT public.uuid7() NOT NULL,
    lead_id uuid NOT NULL,
    event_id uuid NOT NULL,
    event_name text NOT NULL,
    source text NOT NULL,
    occurred_at timestamp with time zone DEFAULT now() NOT NULL,
    deep_link_id text,
    properties jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT lead_timeline_events_deep_link_id_has_length CHECK ((length(deep_link_id) <= 64)),
    CONSTRAINT lead_timeline_events_deep_link_id_is_opaque CHECK ((deep_link_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}$'::text)),
    CONSTRAINT lead_timeline_events_source_in_set CHECK ((source = ANY (ARRAY['web'::text, 'backend'::text, 'telegram'::text, 'admin'::text]))),
    CONSTRAINT lead_timeline_events_times_finite CHECK (public.is_finite(occurred_at))
);


--
-- Name: TABLE lead_timeline_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.lead_timeline_events IS 'Events of leads; P0 only';


--
-- Name: COLUMN lead_timeline_events.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_timeline_events.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN lead_timeline_events.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_timeline_events.lead_id IS 'P0 · lead';


--
-- Name: COLUMN lead_timeline_events.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_timeline_events.event_id IS 'P0 · id given by the sender; makes a repeat the same';


--
-- Name: COLUMN lead_timeline_events.event_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_timeline_events.event_name IS 'P0 · event of the tracking plan';


--
-- Name: COLUMN lead_timeline_events.source; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_timeline_events.source IS 'P0 · who sent it';


--
-- Name: COLUMN lead_timeline_events.occurred_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_timeline_events.occurred_at IS 'P0 · when, UTC';


--
-- Name: COLUMN lead_timeline_events.deep_link_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_timeline_events.deep_link_id IS 'P0 · deep link; no key, links expire first';


--
-- Name: COLUMN lead_timeline_events.properties; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.lead_timeline_events.properties IS 'P0 · parameters of the tracking plan';


--
-- Name: leads; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.leads (
    id uuid DEFAULT public.uuid7() NOT NULL,
    status text DEFAULT 'new'::text NOT NULL,
    source text NOT NULL,
    topic_code text,
    utm jsonb,
    merged_into_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT leads_merged_is_inactive CHECK (((merged_into_id IS NULL) OR (status = 'inactive'::text))),
    CONSTRAINT leads_merged_not_into_itself CHECK ((NOT ((merged_into_id = id) AND (merged_into_id IS NOT NULL)))),
    CONSTRAINT leads_source_in_set CHECK ((source = ANY (ARRAY['quiz'::text, 'telegram'::text, 'waitlist'::text, 'question'::text, 'booking'::text]))),
    CONSTRAINT leads_status_in_set CHECK ((status = ANY (ARRAY['new'::text, 'engaged'::text, 'booking_started'::text, 'booked_confirmed'::text, 'paid'::text, 'completed_session'::text, 'follow_up_needed'::text, 'inactive'::text]))),
    CONSTRAINT leads_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(updated_at))),
    CONSTRAINT leads_utm_is_p0 CHECK (public.is_utm(utm))
);


--
-- Name: TABLE leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.leads IS 'People who showed interest';


--
-- Name: COLUMN leads.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leads.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN leads.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leads.status IS 'P0 · stage in work with the lead';


--
-- Name: COLUMN leads.source; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leads.source IS 'P0 · first contact';


--
-- Name: COLUMN leads.topic_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leads.topic_code IS 'P0 · topic, if one';


--
-- Name: COLUMN leads.utm; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leads.utm IS 'P0 · utm_* of the first visit';


--
-- Name: COLUMN leads.merged_into_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leads.merged_into_id IS 'P0 · the lead that this one was merged into';


--
-- Name: COLUMN leads.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leads.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN leads.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leads.updated_at IS 'P0 · when the row was last written, UTC; kept by the database';


--
-- Name: leases; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.leases (
    id uuid DEFAULT public.uuid7() NOT NULL,
    name text NOT NULL,
    token uuid NOT NULL,
    holder text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT leases_holder_has_length CHECK ((length(holder) <= 64)),
    CONSTRAINT leases_holder_is_host_and_process CHECK ((holder ~ '^[a-z0-9.-]{1,53}:[0-9]{1,10}$'::text)),
    CONSTRAINT leases_name_has_length CHECK ((length(name) <= 200)),
    CONSTRAINT leases_name_names_a_lock CHECK ((name ~ '^[a-z][a-z_]{0,59}(:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$'::text)),
    CONSTRAINT leases_times_finite CHECK (public.is_finite(expires_at))
);


--
-- Name: TABLE leases; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.leases IS 'Locks that outlive a transaction';


--
-- Name: COLUMN leases.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leases.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN leases.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leases.name IS 'P0 · what is locked, a code, with the id of a row if any';


--
-- Name: COLUMN leases.token; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leases.token IS 'P0 · of this one taking of the lease';


--
-- Name: COLUMN leases.holder; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leases.holder IS 'P0 · host and process that hold it';


--
-- Name: COLUMN leases.expires_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leases.expires_at IS 'P0 · when it ends unless it is renewed, UTC';


--
-- Name: locks; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.locks (
    id uuid DEFAULT public.uuid7() NOT NULL,
    kind text NOT NULL,
    number integer DEFAULT 0 NOT NULL,
    CONSTRAINT locks_kind_in_set CHECK ((kind = ANY (ARRAY['audit_chain'::text, 'lead_identifier'::text]))),
    CONSTRAINT locks_number_in_range CHECK (((number >= 0) AND (number <= 9999)))
);


--
-- Name: TABLE locks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.locks IS 'Rows that writers lock; a role that only reads cannot';


--
-- Name: COLUMN locks.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.locks.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN locks.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.locks.kind IS 'P0 · what is locked';


--
-- Name: COLUMN locks.number; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.locks.number IS 'P0 · part of the lock; 0 if it has one part';


--
-- Name: login_limits; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.login_limits (
    id uuid DEFAULT public.uuid7() NOT NULL,
    kind text NOT NULL,
    key_hash text NOT NULL,
    attempts integer NOT NULL,
    locked_until timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT login_limits_attempts_in_range CHECK (((attempts >= 0) AND (attempts <= 1000000))),
    CONSTRAINT login_limits_key_hash_has_length CHECK ((length(key_hash) <= 64)),
    CONSTRAINT login_limits_key_is_hashed CHECK ((key_hash ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT login_limits_kind_in_set CHECK ((kind = ANY (ARRAY['account'::text, 'client'::text, 'browser'::text]))),
    CONSTRAINT login_limits_lock_before_expiry CHECK (((locked_until IS NULL) OR (expires_at >= locked_until))),
    CONSTRAINT login_limits_times_finite CHECK ((public.is_finite(locked_until) AND public.is_finite(expires_at)))
);


--
-- Name: TABLE login_limits; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.login_limits IS 'Failed attempts to log in that count together';


--
-- Name: COLUMN login_limits.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.login_limits.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN login_limits.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.login_limits.kind IS 'P0 · what the attempts have in common';


--
-- Name: COLUMN login_limits.key_hash; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.login_limits.key_hash IS 'P0 · keyed hash of the account, network or browser; names nobody';


--
-- Name: COLUMN login_limits.attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.login_limits.attempts IS 'P0 · failed attempts that count';


--
-- Name: COLUMN login_limits.locked_until; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.login_limits.locked_until IS 'P0 · no attempt is answered before, UTC';


--
-- Name: COLUMN login_limits.expires_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.login_limits.expires_at IS 'P0 · when the attempts stop to count, UTC';


--
-- Name: media_assets; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.media_assets (
    id uuid DEFAULT public.uuid7() NOT NULL,
    storage_provider text DEFAULT 'local_fs'::text NOT NULL,
    object_key text NOT NULL,
    public_url text NOT NULL,
    media_type text NOT NULL,
    mime_type text NOT NULL,
    size_bytes bigint NOT NULL,
    title text,
    alt_text text,
    is_decorative boolean DEFAULT false NOT NULL,
    uploaded_by_user_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT media_assets_alt_text_has_length CHECK ((length(alt_text) <= 2000)),
    CONSTRAINT media_assets_image_is_described CHECK (((NOT (media_type = 'image'::text)) OR is_decorative OR (public.is_visible(alt_text) AND (alt_text IS NOT NULL)))),
    CONSTRAINT media_assets_media_type_in_set CHECK ((media_type = ANY (ARRAY['image'::text, 'audio'::text, 'pdf'::text]))),
    CONSTRAINT media_assets_mime_agrees CHECK ((((media_type = 'image'::text) AND (mime_type ~~ 'image/%'::text)) OR ((media_type = 'audio'::text) AND (mime_type ~~ 'audio/%'::text)) OR ((media_type = 'pdf'::text) AND (mime_type = 'application/pdf'::text)))),
    CONSTRAINT media_assets_mime_type_has_length CHECK ((length(mime_type) <= 60)),
    CONSTRAINT media_assets_mime_type_is_known CHECK ((mime_type ~ '^(image/jpeg|image/png|image/webp|image/avif|image/gif|audio/mpeg|audio/mp4|audio/ogg|application/pdf)$'::text)),
    CONSTRAINT media_assets_object_key_agrees CHECK ((((mime_type = 'image/jpeg'::text) AND (object_key ~~ '%.jpg'::text)) OR ((mime_type = 'image/png'::text) AND (object_key ~~ '%.png'::text)) OR ((mime_type = 'image/webp'::text) AND (object_key ~~ '%.webp'::text)) OR ((mime_type = 'image/avif'::text) AND (object_key ~~ '%.avif'::text)) OR ((mime_type = 'image/gif'::text) AND (object_key ~~ '%.gif'::text)) OR ((mime_type = 'audio/mpeg'::text) AND (object_key ~~ '%.mp3'::text)) OR ((mime_type = 'audio/mp4'::text) AND (object_key ~~ '%.m4a'::text)) OR ((mime_type = 'audio/ogg'::text) AND (object_key ~~ '%.ogg'::text)) OR ((mime_type = 'application/pdf'::text) AND (object_key ~~ '%.pdf'::text)))),
    CONSTRAINT media_assets_object_key_has_length CHECK ((length(object_key) <= 500)),
    CONSTRAINT media_assets_object_key_is_object_key CHECK ((object_key ~ '^[a-z0-9]+([/_.-][a-z0-9]+)*$'::text)),
    CONSTRAINT media_assets_public_url_has_length CHECK ((length(public_url) <= 2000)),
    CONSTRAINT media_assets_public_url_is_address CHECK ((public_url ~ '(^https://[A-Za-z0-9\u0401\u0410-\u044F\u0451]([A-Za-z0-9\u0401\u0410-\u044F\u0451-]*[A-Za-z0-9\u0401\u0410-\u044F\u0451])?(\.[A-Za-z0-9\u0401\u0410-\u044F\u0451]([A-Za-z0-9\u0401\u0410-\u044F\u0451-]*[A-Za-z0-9\u0401\u0410-\u044F\u0451])?)*(:[0-9]{1,5})?([/?#][^\x01-\x20\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u17B4\u17B5\u180B-\u180F\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF\\\"<>^`{|}]*)?$|^/((?!/)[^\x01-\x20\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u17B4\u17B5\u180B-\u180F\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF\\\"<>^`{|}]+)?$)'::text)),
    CONSTRAINT media_assets_size_within_limit CHECK (((size_bytes > 0) AND (((media_type = 'image'::text) AND (size_bytes <= 10485760)) OR ((media_type = 'audio'::text) AND (size_bytes <= 52428800)) OR ((media_type = 'pdf'::text) AND (size_bytes <= 20971520))))),
    CONSTRAINT media_assets_storage_provider_in_set CHECK ((storage_provider = 'local_fs'::text)),
    CONSTRAINT media_assets_times_finite CHECK (public.is_finite(created_at)),
    CONSTRAINT media_assets_title_has_length CHECK ((length(title) <= 200)),
    CONSTRAINT media_assets_title_not_blank CHECK (public.is_visible(title))
);


--
-- Name: TABLE media_assets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.media_assets IS 'Uploaded files';


--
-- Name: COLUMN media_assets.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN media_assets.storage_provider; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.storage_provider IS 'P0 · where the bytes lie';


--
-- Name: COLUMN media_assets.object_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.object_key IS 'P0 · relative path in the storage';


--
-- Name: COLUMN media_assets.public_url; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.public_url IS 'P0 · address under which it is served';


--
-- Name: COLUMN media_assets.media_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.media_type IS 'P0 · kind of file';


--
-- Name: COLUMN media_assets.mime_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.mime_type IS 'P0 · MIME type, agrees with media_type';


--
-- Name: COLUMN media_assets.size_bytes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.size_bytes IS 'P0 · size, bytes';


--
-- Name: COLUMN media_assets.title; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.title IS 'P0 · title for editors';


--
-- Name: COLUMN media_assets.alt_text; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.alt_text IS 'P0 · text for those who do not see it';


--
-- Name: COLUMN media_assets.is_decorative; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.is_decorative IS 'P0 · an image that needs no alt text';


--
-- Name: COLUMN media_assets.uploaded_by_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.uploaded_by_user_id IS 'P0 · who uploaded it';


--
-- Name: COLUMN media_assets.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.media_assets.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: message_deliveries; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.message_deliveries (
    id uuid DEFAULT public.uuid7() NOT NULL,
    kind text NOT NULL,
    channel text NOT NULL,
    dedupe_key text NOT NULL,
    due_at timestamp with time zone NOT NULL,
    status text DEFAULT 'scheduled'::text NOT NULL,
    suppressed_reason text,
    claimed_until timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    provider_message_id text,
    sent_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    appointment_id uuid,
    lead_id uuid,
    template_version_id uuid,
    user_id uuid,
    CONSTRAINT message_deliveries_attempts_in_range CHECK ((attempts >= 0)),
    CONSTRAINT message_deliveries_channel_in_set CHECK ((channel = ANY (ARRAY['email'::text, 'telegram'::text]))),
    CONSTRAINT message_deliveries_claimed_until_with_status CHECK ((((status = 'sending'::text) AND (claimed_until IS NOT NULL)) OR ((NOT (status = 'sending'::text)) AND (claimed_until IS NULL)))),
    CONSTRAINT message_deliveries_dedupe_key_has_length CHECK ((length(dedupe_key) <= 200)),
    CONSTRAINT message_deliveries_dedupe_key_is_external_id CHECK ((dedupe_key ~ '^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$'::text)),
    CONSTRAINT message_deliveries_kind_in_set CHECK ((kind = ANY (ARRAY['booking_confirmation'::text, 'reminder_24h'::text, 'reminder_1h'::text, 'rescheduled'::text, 'canceled'::text, 'waitlist_offer'::text, 'answer_ready'::text, 'follow_up'::text]))),
    CONSTRAINT message_deliveries_last_error_has_length CHECK ((length(last_error) <= 60)),
    CONSTRAINT message_deliveries_last_error_is_code CHECK (public.is_code(last_error)),
    CONSTRAINT message_deliveries_provider_message_id_has_length CHECK ((length(provider_message_id) <= 200)),
    CONSTRAINT message_deliveries_provider_message_id_is_external_id CHECK ((provider_message_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$'::text)),
    CONSTRAINT message_deliveries_sent_at_with_status CHECK ((((status = 'sent'::text) AND (sent_at IS NOT NULL)) OR ((NOT (status = 'sent'::text)) AND (sent_at IS NULL)))),
    CONSTRAINT message_deliveries_sent_has_template CHECK (((NOT (status = 'sent'::text)) OR (template_version_id IS NOT NULL))),
    CONSTRAINT message_deliveries_status_in_set CHECK ((status = ANY (ARRAY['scheduled'::text, 'sending'::text, 'sent'::text, 'failed'::text, 'canceled'::text, 'suppressed'::text]))),
    CONSTRAINT message_deliveries_suppressed_reason_in_set CHECK ((suppressed_reason = ANY (ARRAY['no_consent'::text, 'no_contact'::text, 'erased'::text]))),
    CONSTRAINT message_deliveries_suppressed_with_reason CHECK ((((status = 'suppressed'::text) AND (suppressed_reason IS NOT NULL)) OR ((NOT (status = 'suppressed'::text)) AND (suppressed_reason IS NULL)))),
    CONSTRAINT message_deliveries_times_finite CHECK ((public.is_finite(due_at) AND public.is_finite(claimed_until) AND public.is_finite(sent_at) AND public.is_finite(created_at)))
);


--
-- Name: TABLE message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.message_deliveries IS 'Messages to people, each sent at most once; no address, no text';


--
-- Name: COLUMN message_deliveries.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN message_deliveries.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.kind IS 'P0 · occasion';


--
-- Name: COLUMN message_deliveries.channel; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.channel IS 'P0 · how it is sent';


--
-- Name: COLUMN message_deliveries.dedupe_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.dedupe_key IS 'P0 · at most one message has this key: kind and id of what it is about';


--
-- Name: COLUMN message_deliveries.due_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.due_at IS 'P0 · not sent before, UTC';


--
-- Name: COLUMN message_deliveries.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.status IS 'P0 · life cycle';


--
-- Name: COLUMN message_deliveries.suppressed_reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.suppressed_reason IS 'P0 · why it was not sent';


--
-- Name: COLUMN message_deliveries.claimed_until; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.claimed_until IS 'P0 · until when the sender reports, UTC';


--
-- Name: COLUMN message_deliveries.attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.attempts IS 'P0 · claims so far';


--
-- Name: COLUMN message_deliveries.last_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.last_error IS 'P0 · code of the last failure';


--
-- Name: COLUMN message_deliveries.provider_message_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.provider_message_id IS 'P0 · the provider''s id';


--
-- Name: COLUMN message_deliveries.sent_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.sent_at IS 'P0 · when sent, UTC';


--
-- Name: COLUMN message_deliveries.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN message_deliveries.appointment_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.appointment_id IS 'P0 · session it is about';


--
-- Name: COLUMN message_deliveries.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.lead_id IS 'P0 · lead to whom, if not registered';


--
-- Name: COLUMN message_deliveries.template_version_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.template_version_id IS 'P0 · text that was sent; set when it is claimed, and in every sent row';


--
-- Name: COLUMN message_deliveries.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_deliveries.user_id IS 'P0 · to whom, if registered';


--
-- Name: message_template_versions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.message_template_versions (
    id uuid DEFAULT public.uuid7() NOT NULL,
    template_id uuid NOT NULL,
    version integer NOT NULL,
    subject text,
    body_markdown text NOT NULL,
    updated_by_user_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT message_template_versions_body_markdown_has_length CHECK ((length(body_markdown) <= 200000)),
    CONSTRAINT message_template_versions_subject_has_length CHECK ((length(subject) <= 200)),
    CONSTRAINT message_template_versions_subject_not_blank CHECK (public.is_visible(subject)),
    CONSTRAINT message_template_versions_times_finite CHECK (public.is_finite(created_at)),
    CONSTRAINT message_template_versions_version_in_range CHECK ((version >= 1))
);


--
-- Name: TABLE message_template_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.message_template_versions IS 'Texts of messages; immutable';


--
-- Name: COLUMN message_template_versions.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_template_versions.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN message_template_versions.template_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_template_versions.template_id IS 'P0 · template';


--
-- Name: COLUMN message_template_versions.version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_template_versions.version IS 'P0 · number, from 1, per template';


--
-- Name: COLUMN message_template_versions.subject; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_template_versions.subject IS 'P0 · subject; exactly for e-mail';


--
-- Name: COLUMN message_template_versions.body_markdown; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_template_versions.body_markdown IS 'P0 · text, Markdown';


--
-- Name: COLUMN message_template_versions.updated_by_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_template_versions.updated_by_user_id IS 'P0 · who saved it';


--
-- Name: COLUMN message_template_versions.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_template_versions.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: message_templates; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.message_templates (
    id uuid DEFAULT public.uuid7() NOT NULL,
    channel text NOT NULL,
    category text NOT NULL,
    name text NOT NULL,
    status text DEFAULT 'draft'::text NOT NULL,
    language text DEFAULT 'ru'::text NOT NULL,
    active_version integer,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT message_templates_active_has_version CHECK (((NOT (status = 'active'::text)) OR (active_version IS NOT NULL))),
    CONSTRAINT message_templates_category_in_set CHECK ((category = ANY (ARRAY['booking'::text, 'waitlist'::text, 'event'::text, 'moderation'::text]))),
    CONSTRAINT message_templates_channel_in_set CHECK ((channel = ANY (ARRAY['email'::text, 'telegram'::text]))),
    CONSTRAINT message_templates_language_has_length CHECK ((length(language) <= 60)),
    CONSTRAINT message_templates_language_is_iso_639 CHECK ((language ~ '^[a-z]{2}$'::text)),
    CONSTRAINT message_templates_name_has_length CHECK ((length(name) <= 200)),
    CONSTRAINT message_templates_name_not_blank CHECK (public.is_visible(name)),
    CONSTRAINT message_templates_status_in_set CHECK ((status = ANY (ARRAY['draft'::text, 'active'::text, 'archived'::text]))),
    CONSTRAINT message_templates_times_finite CHECK (public.is_finite(created_at))
);


--
-- Name: TABLE message_templates; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.message_templates IS 'Messages to clients';


--
-- Name: COLUMN message_templates.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_templates.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN message_templates.channel; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_templates.channel IS 'P0 · how it is sent';


--
-- Name: COLUMN message_templates.category; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_templates.category IS 'P0 · occasion';


--
-- Name: COLUMN message_templates.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_templates.name IS 'P0 · name';


--
-- Name: COLUMN message_templates.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_templates.status IS 'P0 · life cycle';


--
-- Name: COLUMN message_templates.language; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_templates.language IS 'P0 · ISO 639-1';


--
-- Name: COLUMN message_templates.active_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_templates.active_version IS 'P0 · version in use';


--
-- Name: COLUMN message_templates.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.message_templates.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: system_settings; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.system_settings (
    key text NOT NULL,
    value jsonb NOT NULL,
    updated_by_user_id uuid,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT system_settings_key_has_length CHECK ((length(key) <= 60)),
    CONSTRAINT system_settings_key_is_code CHECK (public.is_code(key)),
    CONSTRAINT system_settings_key_names_no_secret CHECK ((NOT (key ~ '(^|_)(secret|token|password|key)s?(_|$)'::text))),
    CONSTRAINT system_settings_times_finite CHECK (public.is_finite(updated_at)),
    CONSTRAINT system_settings_value_has_length CHECK (public.json_has_length(value, 20000))
);


--
-- Name: TABLE system_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.system_settings IS 'Settings changed at run time; no secrets';


--
-- Name: COLUMN system_settings.key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.system_settings.key IS 'P0 · code of the setting';


--
-- Name: COLUMN system_settings.value; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.system_settings.value IS 'P0 · value, JSON';


--
-- Name: COLUMN system_settings.updated_by_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.system_settings.updated_by_user_id IS 'P0 · who changed it last';


--
-- Name: COLUMN system_settings.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.system_settings.updated_at IS 'P0 · when the row was last written, UTC; kept by the database';


--
-- Name: metric_periods; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_periods WITH (security_barrier='true') AS
 WITH practice AS (
         SELECT COALESCE(( SELECT (system_settings.value #>> '{}'::text[])
                   FROM public.system_settings
                  WHERE (system_settings.key = 'practice_timezone'::text)), 'Europe/Moscow'::text) AS zone,
            COALESCE(( SELECT (system_settings.value #>> '{}'::text[])
                   FROM public.system_settings
                  WHERE (system_settings.key = 'environment'::text)), 'dev'::text) AS environment
        ), days AS (
         SELECT practice.zone,
            practice.environment,
            ((now() AT TIME ZONE practice.zone))::date AS today
           FROM practice
        )
 SELECT p.period,
    p.first_day,
    p.last_day,
    d.zone,
    d.environment
   FROM (days d
     CROSS JOIN LATERAL ( VALUES ('today'::text,d.today,d.today), ('7d'::text,(d.today - 6),d.today), ('30d'::text,(d.today - 29),d.today)
        UNION ALL
         SELECT to_char(m.first_day, 'YYYY-MM'::text) AS to_char,
            (m.first_day)::date AS first_day,
            (((m.first_day + '1 mon'::interval) - '1 day'::interval))::date AS date
           FROM generate_series((date_trunc('month'::text, (d.today)::timestamp without time zone) - '1 year'::interval), date_trunc('month'::text, (d.today)::timestamp without time zone), '1 mon'::interval) m(first_day)) p(period, first_day, last_day));


--
-- Name: VIEW metric_periods; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.metric_periods IS 'Periods that the views of metrics show';


--
-- Name: COLUMN metric_periods.period; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_periods.period IS 'P0 · today, 7d, 30d, or month YYYY-MM';


--
-- Name: COLUMN metric_periods.first_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_periods.first_day IS 'P0 · first day of the period';


--
-- Name: COLUMN metric_periods.last_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_periods.last_day IS 'P0 · last day of the period';


--
-- Name: COLUMN metric_periods.zone; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_periods.zone IS 'P0 · zone of the practice''s days';


--
-- Name: COLUMN metric_periods.environment; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_periods.environment IS 'P0 · environment whose events count';


--
-- Name: payments; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.payments (
    id uuid DEFAULT public.uuid7() NOT NULL,
    appointment_id uuid NOT NULL,
    provider text DEFAULT 'yookassa'::text NOT NULL,
    provider_payment_id text,
    idempotency_key text NOT NULL,
    purpose text NOT NULL,
    amount integer NOT NULL,
    currency text DEFAULT 'RUB'::text NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    failure_category text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    confirmed_at timestamp with time zone,
    method text,
    receipt_status text,
    recorded_by_user_id uuid,
    CONSTRAINT payments_amount_in_range CHECK ((amount >= 1)),
    CONSTRAINT payments_confirmed_at_with_status CHECK ((((status = 'succeeded'::text) AND (confirmed_at IS NOT NULL)) OR ((NOT (status = 'succeeded'::text)) AND (confirmed_at IS NULL)))),
    CONSTRAINT payments_currency_in_set CHECK ((currency = 'RUB'::text)),
    CONSTRAINT payments_failure_category_in_set CHECK ((failure_category = ANY (ARRAY['canceled'::text, 'timeout'::text, 'provider_error'::text, 'insufficient_funds'::text, 'unknown'::text]))),
    CONSTRAINT payments_failure_category_when_over CHECK (((failure_category IS NULL) OR (status = ANY (ARRAY['failed'::text, 'canceled'::text])))),
    CONSTRAINT payments_idempotency_key_has_length CHECK ((length(idempotency_key) <= 64)),
    CONSTRAINT payments_idempotency_key_is_external_id CHECK ((idempotency_key ~ '^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$'::text)),
    CONSTRAINT payments_manual_has_method CHECK (((NOT (provider = 'manual'::text)) OR (method IS NOT NULL))),
    CONSTRAINT payments_method_in_set CHECK ((method = ANY (ARRAY['card'::text, 'sbp'::text, 'wallet'::text, 'transfer'::text, 'cash'::text]))),
    CONSTRAINT payments_provider_in_set CHECK ((provider = ANY (ARRAY['yookassa'::text, 'manual'::text]))),
    CONSTRAINT payments_provider_payment_id_has_length CHECK ((length(provider_payment_id) <= 64)),
    CONSTRAINT payments_provider_payment_id_is_external_id CHECK ((provider_payment_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$'::text)),
    CONSTRAINT payments_purpose_in_set CHECK ((purpose = ANY (ARRAY['deposit'::text, 'full'::text]))),
    CONSTRAINT payments_receipt_status_in_set CHECK ((receipt_status = ANY (ARRAY['pending'::text, 'canceled'::text, 'succeeded'::text]))),
    CONSTRAINT payments_recorder_with_manual CHECK ((((provider = 'manual'::text) AND (recorded_by_user_id IS NOT NULL)) OR ((NOT (provider = 'manual'::text)) AND (recorded_by_user_id IS NULL)))),
    CONSTRAINT payments_status_in_set CHECK ((status = ANY (ARRAY['pending'::text, 'succeeded'::text, 'canceled'::text, 'failed'::text]))),
    CONSTRAINT payments_succeeded_has_provider_id CHECK (((NOT ((provider = 'yookassa'::text) AND (status = 'succeeded'::text))) OR (provider_payment_id IS NOT NULL))),
    CONSTRAINT payments_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(confirmed_at)))
);


--
-- Name: TABLE payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.payments IS 'Payments, with the provider or taken by staff';


--
-- Name: COLUMN payments.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN payments.appointment_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.appointment_id IS 'P0 · what is paid for';


--
-- Name: COLUMN payments.provider; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.provider IS 'P0 · payment provider';


--
-- Name: COLUMN payments.provider_payment_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.provider_payment_id IS 'P0 · the provider''s id; empty until it has answered';


--
-- Name: COLUMN payments.idempotency_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.idempotency_key IS 'P0 · key under which the provider was asked';


--
-- Name: COLUMN payments.purpose; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.purpose IS 'P0 · deposit or full price';


--
-- Name: COLUMN payments.amount; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.amount IS 'P0 · amount, whole roubles; never changes';


--
-- Name: COLUMN payments.currency; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.currency IS 'P0 · currency';


--
-- Name: COLUMN payments.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.status IS 'P0 · life cycle';


--
-- Name: COLUMN payments.failure_category; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.failure_category IS 'P0 · why it failed';


--
-- Name: COLUMN payments.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN payments.confirmed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.confirmed_at IS 'P0 · when it succeeded, UTC';


--
-- Name: COLUMN payments.method; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.method IS 'P0 · how it was paid';


--
-- Name: COLUMN payments.receipt_status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.receipt_status IS 'P0 · tax receipt (54-ФЗ), as the provider reports it';


--
-- Name: COLUMN payments.recorded_by_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payments.recorded_by_user_id IS 'P0 · colleague who took the money';


--
-- Name: metric_booking_funnel; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_booking_funnel WITH (security_barrier='true') AS
 SELECT chosen.period,
    chosen.first_day,
    chosen.last_day,
    figures.dimension,
    figures.value,
    figures.started,
    figures.slot_selected,
    figures.paid,
    figures.confirmed
   FROM (public.metric_periods chosen
     CROSS JOIN LATERAL ( WITH RECURSIVE merged(lead_id, into_id) AS (
                 SELECT leads.id,
                    leads.merged_into_id
                   FROM public.leads
                  WHERE (leads.merged_into_id IS NOT NULL)
                UNION
                 SELECT m.lead_id,
                    l.merged_into_id
                   FROM (merged m
                     JOIN public.leads l ON ((l.id = m.into_id)))
                  WHERE (l.merged_into_id IS NOT NULL)
                ), current_leads(lead_id, current_id) AS MATERIALIZED (
                 SELECT m.lead_id,
                    m.into_id
                   FROM (merged m
                     JOIN public.leads l ON ((l.id = m.into_id)))
                  WHERE (l.merged_into_id IS NULL)
                ), identities(key, lead_id) AS (
                ( SELECT DISTINCT ON (lead_identities.user_id) ('user:'::text || lead_identities.user_id) AS "?column?",
                    lead_identities.lead_id
                   FROM public.lead_identities
                  WHERE (lead_identities.user_id IS NOT NULL)
                  ORDER BY lead_identities.user_id, lead_identities.created_at, lead_identities.id)
                UNION ALL
                ( SELECT DISTINCT ON ((lead_identities.anonymous_id COLLATE "C")) ('browser:'::text || lead_identities.anonymous_id),
                    lead_identities.lead_id
                   FROM public.lead_identities
                  WHERE (lead_identities.anonymous_id IS NOT NULL)
                  ORDER BY (lead_identities.anonymous_id COLLATE "C"), lead_identities.created_at, lead_identities.id)
                ), identifiers(key, subject) AS MATERIALIZED (
                 SELECT known.key,
                    min(known.subject) AS min
                   FROM ( SELECT ('lead:'::text || current_leads.lead_id) AS key,
                            ('lead:'::text || current_leads.current_id) AS subject
                           FROM current_leads
                        UNION ALL
                         SELECT i.key,
                            ('lead:'::text || COALESCE(c_1.current_id, i.lead_id))
                           FROM (identities i
                             LEFT JOIN current_leads c_1 USING (lead_id))) known
                  GROUP BY known.key
                ), events AS MATERIALIZED (
                 SELECT e.id,
                    (e.event_name = 'booking_start'::text) AS is_start,
                    (e.event_name = 'booking_slot_selected'::text) AS is_slot,
                    (e.event_name = 'booking_paid'::text) AS is_payment,
                    (e.event_name = 'booking_confirmed'::text) AS is_confirmation,
                    e.occurred_at,
                    e.entry_point,
                    e.topic,
                    e.format,
                    e.start_at,
                    COALESCE(e.service_slug, s_1.slug) AS service,
                    COALESCE(i.subject, e.key) AS subject
                   FROM ((( SELECT e_1.id,
                            e_1.event_name,
                            e_1.occurred_at,
                            COALESCE((e_1.properties ->> 'entry_point'::text), (e_1.acquisition ->> 'entry_point'::text)) AS entry_point,
                            (e_1.properties ->> 'topic'::text) AS topic,
                            (e_1.properties ->> 'format'::text) AS format,
                            (e_1.properties ->> 'service_slug'::text) AS service_slug,
                            lower((e_1.properties ->> 'service_id'::text)) AS service_id,
                            (e_1.properties ->> 'appointment_start_at'::text) AS start_at,
                            COALESCE(('lead:'::text || e_1.lead_id), ('user:'::text || e_1.user_id), ('browser:'::text || e_1.anonymous_id)) AS key
                           FROM public.analytics_events e_1
                          WHERE ((e_1.event_name = ANY (ARRAY['booking_start'::text, 'booking_slot_selected'::text, 'booking_paid'::text, 'booking_confirmed'::text])) AND (e_1.environment = chosen.environment) AND (e_1.occurred_at >= ((chosen.first_day)::timestamp without time zone AT TIME ZONE chosen.zone)) AND (e_1.occurred_at < ((((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone) + '168:00:00'::interval)))
                         OFFSET 0) e
                     LEFT JOIN public.services s_1 ON (((s_1.id)::text = e.service_id)))
                     LEFT JOIN identifiers i USING (key))
                ), started AS MATERIALIZED (
                 SELECT DISTINCT ON (events.subject) events.id,
                    events.is_start,
                    events.is_slot,
                    events.is_payment,
                    events.is_confirmation,
                    events.occurred_at,
                    events.entry_point,
                    events.topic,
                    events.format,
                    events.start_at,
                    events.service,
                    events.subject,
                    (events.occurred_at + '168:00:00'::interval) AS until
                   FROM events
                  WHERE (events.is_start AND (events.occurred_at < (((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone)) AND (events.subject IS NOT NULL))
                  ORDER BY events.subject, events.occurred_at, events.id
                ), selected AS MATERIALIZED (
                 SELECT DISTINCT ON (e.subject) e.id,
                    e.is_start,
                    e.is_slot,
                    e.is_payment,
                    e.is_confirmation,
                    e.occurred_at,
                    e.entry_point,
                    e.topic,
                    e.format,
                    e.start_at,
                    e.service,
                    e.subject,
                    s_1.until
                   FROM (started s_1
                     JOIN events e USING (subject))
                  WHERE (e.is_slot AND ((e.occurred_at >= s_1.occurred_at) AND (e.occurred_at <= s_1.until)))
                  ORDER BY e.subject, e.occurred_at, e.id
                ), confirmations AS MATERIALIZED (
                 SELECT e.id,
                    e.is_start,
                    e.is_slot,
                    e.is_payment,
                    e.is_confirmation,
                    e.occurred_at,
                    e.entry_point,
                    e.topic,
                    e.format,
                    e.start_at,
                    e.service,
                    e.subject
                   FROM (selected s_1
                     JOIN events e USING (subject))
                  WHERE (e.is_confirmation AND ((e.occurred_at >= s_1.occurred_at) AND (e.occurred_at <= s_1.until)))
                ), agreed AS MATERIALIZED (
                 SELECT DISTINCT ON (e.id) e.id AS event_id,
                    a.id,
                    a.price_amount
                   FROM (((confirmations e
                     JOIN public.appointments a ON ((a.start_at_utc = (e.start_at)::timestamp with time zone)))
                     JOIN public.services s_1 ON (((s_1.id = a.service_id) AND (s_1.slug = e.service))))
                     LEFT JOIN identifiers i ON ((i.key = COALESCE(('lead:'::text || a.lead_id), ('user:'::text || a.client_user_id)))))
                  WHERE (a.confirmed_at IS NOT NULL)
                  ORDER BY e.id, (COALESCE(i.subject, COALESCE(('lead:'::text || a.lead_id), ('user:'::text || a.client_user_id))) = e.subject) DESC NULLS LAST, a.id
                ), chains(event_id, id) AS (
                 SELECT agreed.event_id,
                    agreed.id
                   FROM agreed
                  WHERE (agreed.price_amount > 0)
                UNION
                 SELECT c_1.event_id,
                    a.rescheduled_from_id
                   FROM (chains c_1
                     JOIN public.appointments a USING (id))
                  WHERE (a.rescheduled_from_id IS NOT NULL)
                ), free(event_id) AS (
                 SELECT agreed.event_id
                   FROM agreed
                  WHERE (agreed.price_amount = 0)
                UNION
                 SELECT c_1.event_id
                   FROM (chains c_1
                     JOIN public.payments p_1 ON ((p_1.appointment_id = c_1.id)))
                  WHERE ((p_1.provider = 'manual'::text) AND (p_1.status = 'succeeded'::text))
                ), paid AS MATERIALIZED (
                 SELECT DISTINCT ON (e.subject) e.id,
                    e.is_start,
                    e.is_slot,
                    e.is_payment,
                    e.is_confirmation,
                    e.occurred_at,
                    e.entry_point,
                    e.topic,
                    e.format,
                    e.start_at,
                    e.service,
                    e.subject,
                    s_1.until
                   FROM (selected s_1
                     JOIN events e USING (subject))
                  WHERE ((e.is_payment OR (e.is_confirmation AND (e.id IN ( SELECT free.event_id
                           FROM free)))) AND ((e.occurred_at >= s_1.occurred_at) AND (e.occurred_at <= s_1.until)))
                  ORDER BY e.subject, e.occurred_at, e.id
                ), confirmed AS MATERIALIZED (
                 SELECT DISTINCT ON (e.subject) e.id,
                    e.is_start,
                    e.is_slot,
                    e.is_payment,
                    e.is_confirmation,
                    e.occurred_at,
                    e.entry_point,
                    e.topic,
                    e.format,
                    e.start_at,
                    e.service,
                    e.subject
                   FROM (paid p_1
                     JOIN events e USING (subject))
                  WHERE (e.is_confirmation AND ((e.occurred_at >= p_1.occurred_at) AND (e.occurred_at <= p_1.until)))
                  ORDER BY e.subject, e.occurred_at, e.id
                )
         SELECT v.dimension,
            v.value,
            count(*) AS started,
            count(s.id) AS slot_selected,
            count(p.id) AS paid,
            count(c.id) AS confirmed
           FROM ((((started b
             LEFT JOIN selected s USING (subject))
             LEFT JOIN paid p USING (subject))
             LEFT JOIN confirmed c USING (subject))
             CROSS JOIN LATERAL ( VALUES ('all'::text,NULL::text), ('entry_point'::text,COALESCE(b.entry_point, s.entry_point, p.entry_point, c.entry_point, 'none'::text)), ('topic'::text,COALESCE(b.topic, s.topic, p.topic, c.topic, 'none'::text)), ('service'::text,COALESCE(b.service, s.service, p.service, c.service, 'none'::text)), ('format'::text,COALESCE(b.format, s.format, p.format, c.format, 'none'::text))) v(dimension, value))
          GROUP BY v.dimension, v.value) figures);


--
-- Name: VIEW metric_booking_funnel; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.metric_booking_funnel IS 'Metric: booking funnel';


--
-- Name: COLUMN metric_booking_funnel.period; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_booking_funnel.period IS 'P0 · today, 7d, 30d, or month YYYY-MM';


--
-- Name: COLUMN metric_booking_funnel.first_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_booking_funnel.first_day IS 'P0 · first day of the period';


--
-- Name: COLUMN metric_booking_funnel.last_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_booking_funnel.last_day IS 'P0 · last day of the period';


--
-- Name: COLUMN metric_booking_funnel.dimension; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_booking_funnel.dimension IS 'P0 · all, entry_point, topic, service or format';


--
-- Name: COLUMN metric_booking_funnel.value; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_booking_funnel.value IS 'P0 · value in that dimension; empty: all';


--
-- Name: COLUMN metric_booking_funnel.started; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_booking_funnel.started IS 'P0 · people who began';


--
-- Name: COLUMN metric_booking_funnel.slot_selected; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_booking_funnel.slot_selected IS 'P0 · of them chose a time';


--
-- Name: COLUMN metric_booking_funnel.paid; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_booking_funnel.paid IS 'P0 · of them paid, or pass without payment';


--
-- Name: COLUMN metric_booking_funnel.confirmed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_booking_funnel.confirmed IS 'P0 · of them have a confirmed session';


--
-- Name: metric_interactives; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_interactives WITH (security_barrier='true') AS
 SELECT chosen.period,
    chosen.first_day,
    chosen.last_day,
    figures.type,
    figures.slug,
    figures.topic,
    figures.started,
    figures.completed,
    figures.low,
    figures.moderate,
    figures.high,
    figures.cta
   FROM (public.metric_periods chosen
     CROSS JOIN LATERAL ( WITH runs AS (
                 SELECT r_1.interactive_definition_id,
                    r_1.status,
                    r_1.result_level,
                    1 AS runs,
                    ((EXISTS ( SELECT
                           FROM public.analytics_events event
                          WHERE ((event.event_name = 'cta_click'::text) AND (event.session_id = r_1.session_id) AND (event.occurred_at >= r_1.completed_at) AND (event.environment = chosen.environment)))))::integer AS cta_runs
                   FROM public.interactive_runs r_1
                  WHERE ((r_1.started_at >= ((chosen.first_day)::timestamp without time zone AT TIME ZONE chosen.zone)) AND (r_1.started_at < (((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone)))
                UNION ALL
                 SELECT interactive_run_totals.interactive_definition_id,
                    interactive_run_totals.status,
                    interactive_run_totals.result_level,
                    interactive_run_totals.runs,
                    interactive_run_totals.cta_runs
                   FROM public.interactive_run_totals
                  WHERE ((interactive_run_totals.day >= chosen.first_day) AND (interactive_run_totals.day <= chosen.last_day))
                )
         SELECT d.interactive_type AS type,
            d.slug,
            d.topic_code AS topic,
            (sum(r.runs))::bigint AS started,
            (COALESCE(sum(r.runs) FILTER (WHERE (r.status = 'completed'::text)), (0)::numeric))::bigint AS completed,
            (COALESCE(sum(r.runs) FILTER (WHERE (r.result_level = 'low'::text)), (0)::numeric))::bigint AS low,
            (COALESCE(sum(r.runs) FILTER (WHERE (r.result_level = 'moderate'::text)), (0)::numeric))::bigint AS moderate,
            (COALESCE(sum(r.runs) FILTER (WHERE (r.result_level = 'high'::text)), (0)::numeric))::bigint AS high,
            (COALESCE(sum(r.cta_runs), (0)::numeric))::bigint AS cta
           FROM (runs r
             JOIN public.interactive_definitions d ON ((d.id = r.interactive_definition_id)))
          GROUP BY d.interactive_type, d.slug, d.topic_code
          ORDER BY d.interactive_type, d.slug) figures);


--
-- Name: VIEW metric_interactives; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.metric_interactives IS 'Metric: interactives';


--
-- Name: COLUMN metric_interactives.period; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.period IS 'P0 · today, 7d, 30d, or month YYYY-MM';


--
-- Name: COLUMN metric_interactives.first_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.first_day IS 'P0 · first day of the period';


--
-- Name: COLUMN metric_interactives.last_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.last_day IS 'P0 · last day of the period';


--
-- Name: COLUMN metric_interactives.type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.type IS 'P0 · kind of the interactive';


--
-- Name: COLUMN metric_interactives.slug; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.slug IS 'P0 · address of the interactive';


--
-- Name: COLUMN metric_interactives.topic; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.topic IS 'P0 · topic of the interactive';


--
-- Name: COLUMN metric_interactives.started; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.started IS 'P0 · runs started';


--
-- Name: COLUMN metric_interactives.completed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.completed IS 'P0 · of them completed';


--
-- Name: COLUMN metric_interactives.low; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.low IS 'P0 · of them with the result low';


--
-- Name: COLUMN metric_interactives.moderate; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.moderate IS 'P0 · of them with the result moderate';


--
-- Name: COLUMN metric_interactives.high; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.high IS 'P0 · of them with the result high';


--
-- Name: COLUMN metric_interactives.cta; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_interactives.cta IS 'P0 · completed runs followed by a call to action in the same visit';


--
-- Name: moderation_totals; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.moderation_totals (
    id uuid DEFAULT public.uuid7() NOT NULL,
    day date NOT NULL,
    decided bigint NOT NULL,
    rejected bigint NOT NULL,
    crisis bigint NOT NULL,
    within_due bigint NOT NULL,
    hours numeric[] NOT NULL,
    answered bigint NOT NULL,
    answer_hours numeric[] NOT NULL,
    CONSTRAINT moderation_totals_answer_hours_of_each CHECK (((
CASE
    WHEN (answer_hours IS NULL) THEN NULL::integer
    ELSE COALESCE(array_length(answer_hours, 1), 0)
END = answered) AND (array_position(answer_hours, NULL::numeric) IS NULL))),
    CONSTRAINT moderation_totals_answered_within_decided CHECK (((answered >= 0) AND (answered <= decided))),
    CONSTRAINT moderation_totals_crisis_within_decided CHECK (((crisis >= 0) AND (crisis <= decided))),
    CONSTRAINT moderation_totals_decided_in_range CHECK ((decided >= 1)),
    CONSTRAINT moderation_totals_hours_of_each CHECK (((
CASE
    WHEN (hours IS NULL) THEN NULL::integer
    ELSE COALESCE(array_length(hours, 1), 0)
END = decided) AND (array_position(hours, NULL::numeric) IS NULL))),
    CONSTRAINT moderation_totals_rejected_within_decided CHECK (((rejected >= 0) AND (rejected <= decided))),
    CONSTRAINT moderation_totals_times_finite CHECK (public.is_finite(day)),
    CONSTRAINT moderation_totals_within_due_within_decided CHECK (((within_due >= 0) AND (within_due <= decided)))
);


--
-- Name: TABLE moderation_totals; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.moderation_totals IS 'Daily totals of deleted questions';


--
-- Name: COLUMN moderation_totals.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.moderation_totals.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN moderation_totals.day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.moderation_totals.day IS 'P0 · day of the first decision, Europe/Moscow';


--
-- Name: COLUMN moderation_totals.decided; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.moderation_totals.decided IS 'P0 · number of questions';


--
-- Name: COLUMN moderation_totals.rejected; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.moderation_totals.rejected IS 'P0 · of these: rejected by the first decision';


--
-- Name: COLUMN moderation_totals.crisis; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.moderation_totals.crisis IS 'P0 · of these: with a crisis flag at the end';


--
-- Name: COLUMN moderation_totals.within_due; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.moderation_totals.within_due IS 'P0 · of these: first decided by the deadline of that time';


--
-- Name: COLUMN moderation_totals.hours; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.moderation_totals.hours IS 'P0 · hours from submission to the first decision, in no order';


--
-- Name: COLUMN moderation_totals.answered; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.moderation_totals.answered IS 'P0 · of these: answered';


--
-- Name: COLUMN moderation_totals.answer_hours; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.moderation_totals.answer_hours IS 'P0 · hours from submission to the answer, in no order';


--
-- Name: ugc_moderation_actions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ugc_moderation_actions (
    id uuid DEFAULT public.uuid7() NOT NULL,
    ugc_type text NOT NULL,
    ugc_id uuid NOT NULL,
    moderator_user_id uuid NOT NULL,
    action text NOT NULL,
    reason_category text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ugc_moderation_actions_action_in_set CHECK ((action = ANY (ARRAY['approve'::text, 'reject'::text, 'flag'::text, 'mask_pii'::text, 'publish'::text, 'unpublish'::text, 'escalate'::text]))),
    CONSTRAINT ugc_moderation_actions_reason_category_in_set CHECK ((reason_category = ANY (ARRAY['crisis'::text, 'medical'::text, 'out_of_scope'::text, 'therapy_request'::text, 'spam'::text, 'pii'::text, 'other'::text]))),
    CONSTRAINT ugc_moderation_actions_reject_has_reason CHECK (((NOT (action = 'reject'::text)) OR (reason_category IS NOT NULL))),
    CONSTRAINT ugc_moderation_actions_times_finite CHECK (public.is_finite(created_at)),
    CONSTRAINT ugc_moderation_actions_ugc_type_in_set CHECK ((ugc_type = ANY (ARRAY['anonymous_question'::text, 'review'::text, 'comment'::text])))
);


--
-- Name: TABLE ugc_moderation_actions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.ugc_moderation_actions IS 'Decisions of moderators; append-only';


--
-- Name: COLUMN ugc_moderation_actions.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ugc_moderation_actions.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN ugc_moderation_actions.ugc_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ugc_moderation_actions.ugc_type IS 'P0 · what ugc_id points at';


--
-- Name: COLUMN ugc_moderation_actions.ugc_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ugc_moderation_actions.ugc_id IS 'P0 · id of the question or review';


--
-- Name: COLUMN ugc_moderation_actions.moderator_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ugc_moderation_actions.moderator_user_id IS 'P0 · who decided';


--
-- Name: COLUMN ugc_moderation_actions.action; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ugc_moderation_actions.action IS 'P0 · what was done';


--
-- Name: COLUMN ugc_moderation_actions.reason_category; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ugc_moderation_actions.reason_category IS 'P0 · category of the reason; required to reject';


--
-- Name: COLUMN ugc_moderation_actions.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ugc_moderation_actions.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: metric_moderation; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_moderation WITH (security_barrier='true') AS
 SELECT chosen.period,
    chosen.first_day,
    chosen.last_day,
    figures.queue,
    figures.overdue,
    figures.oldest_hours,
    figures.decided,
    figures.mean_hours,
    figures.p90_hours,
    figures.within_due,
    figures.rejected,
    figures.crisis,
    figures.answer_mean_hours
   FROM (public.metric_periods chosen
     CROSS JOIN LATERAL ( WITH questions AS MATERIALIZED (
                 SELECT round((EXTRACT(epoch FROM (q.moderated_at - q.submitted_at)) / (3600)::numeric), 15) AS hours,
                    round((EXTRACT(epoch FROM (q.answered_at - q.submitted_at)) / (3600)::numeric), 15) AS answer_hours,
                    (q.moderated_at <= COALESCE(q.moderated_due_at, q.due_at)) AS is_within_due,
                    COALESCE(( SELECT (ugc_moderation_actions.action = 'reject'::text)
                           FROM public.ugc_moderation_actions
                          WHERE ((ugc_moderation_actions.ugc_type = 'anonymous_question'::text) AND (ugc_moderation_actions.ugc_id = q.id) AND (ugc_moderation_actions.action = ANY (ARRAY['approve'::text, 'reject'::text])))
                          ORDER BY ugc_moderation_actions.created_at, ugc_moderation_actions.id
                         LIMIT 1), (q.status = 'rejected'::text)) AS is_rejected,
                    ('crisis'::text = ANY (q.trigger_flags)) AS is_crisis
                   FROM public.anonymous_questions q
                  WHERE ((q.moderated_at >= ((chosen.first_day)::timestamp without time zone AT TIME ZONE chosen.zone)) AND (q.moderated_at < (((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone)))
                ), totals AS (
                 SELECT moderation_totals.id,
                    moderation_totals.day,
                    moderation_totals.decided,
                    moderation_totals.rejected,
                    moderation_totals.crisis,
                    moderation_totals.within_due,
                    moderation_totals.hours,
                    moderation_totals.answered,
                    moderation_totals.answer_hours
                   FROM public.moderation_totals
                  WHERE ((moderation_totals.day >= chosen.first_day) AND (moderation_totals.day <= chosen.last_day))
                ), decided AS (
                 SELECT count(*) AS decided,
                    count(*) FILTER (WHERE questions.is_within_due) AS within_due,
                    count(*) FILTER (WHERE questions.is_rejected) AS rejected,
                    count(*) FILTER (WHERE questions.is_crisis) AS crisis
                   FROM questions
                UNION ALL
                 SELECT totals.decided,
                    totals.within_due,
                    totals.rejected,
                    totals.crisis
                   FROM totals
                ), decisions(hours) AS (
                 SELECT questions.hours
                   FROM questions
                UNION ALL
                 SELECT unnest(totals.hours) AS unnest
                   FROM totals
                ), answers(hours) AS (
                 SELECT questions.answer_hours
                   FROM questions
                  WHERE (questions.answer_hours IS NOT NULL)
                UNION ALL
                 SELECT unnest(totals.answer_hours) AS unnest
                   FROM totals
                ), queue AS (
                 SELECT count(*) AS queue,
                    count(*) FILTER (WHERE (anonymous_questions.due_at < now())) AS overdue,
                    round((EXTRACT(epoch FROM (now() - min(anonymous_questions.submitted_at))) / (3600)::numeric), 1) AS oldest_hours
                   FROM public.anonymous_questions
                  WHERE (anonymous_questions.status = ANY (ARRAY['pending'::text, 'flagged'::text]))
                )
         SELECT queue.queue,
            queue.overdue,
            queue.oldest_hours,
            (sum(decided.decided))::bigint AS decided,
            ( SELECT round(round(avg(decisions.hours), 12), 1) AS round
                   FROM decisions) AS mean_hours,
            ( SELECT round(round((percentile_cont((0.9)::double precision) WITHIN GROUP (ORDER BY ((decisions.hours)::double precision)))::numeric, 12), 1) AS round
                   FROM decisions) AS p90_hours,
            (sum(decided.within_due))::bigint AS within_due,
            (sum(decided.rejected))::bigint AS rejected,
            (sum(decided.crisis))::bigint AS crisis,
            ( SELECT round(round(avg(answers.hours), 12), 1) AS round
                   FROM answers) AS answer_mean_hours
           FROM (queue
             CROSS JOIN decided)
          GROUP BY queue.queue, queue.overdue, queue.oldest_hours) figures);


--
-- Name: VIEW metric_moderation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.metric_moderation IS 'Metric: moderation of questions';


--
-- Name: COLUMN metric_moderation.period; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.period IS 'P0 · today, 7d, 30d, or month YYYY-MM';


--
-- Name: COLUMN metric_moderation.first_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.first_day IS 'P0 · first day of the period';


--
-- Name: COLUMN metric_moderation.last_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.last_day IS 'P0 · last day of the period';


--
-- Name: COLUMN metric_moderation.queue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.queue IS 'P0 · questions that wait now';


--
-- Name: COLUMN metric_moderation.overdue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.overdue IS 'P0 · of them overdue';


--
-- Name: COLUMN metric_moderation.oldest_hours; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.oldest_hours IS 'P0 · age of the oldest, hours';


--
-- Name: COLUMN metric_moderation.decided; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.decided IS 'P0 · questions first decided in the period';


--
-- Name: COLUMN metric_moderation.mean_hours; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.mean_hours IS 'P0 · mean until the first decision, hours';


--
-- Name: COLUMN metric_moderation.p90_hours; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.p90_hours IS 'P0 · 90th percentile until the first decision, hours';


--
-- Name: COLUMN metric_moderation.within_due; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.within_due IS 'P0 · decided in time';


--
-- Name: COLUMN metric_moderation.rejected; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.rejected IS 'P0 · first decision: rejected';


--
-- Name: COLUMN metric_moderation.crisis; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.crisis IS 'P0 · with the flag crisis';


--
-- Name: COLUMN metric_moderation.answer_mean_hours; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_moderation.answer_mean_hours IS 'P0 · mean until the answer, hours';


--
-- Name: metric_no_show; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_no_show WITH (security_barrier='true') AS
 SELECT chosen.period,
    chosen.first_day,
    chosen.last_day,
    figures.attended,
    figures.no_show,
    figures.unrecorded
   FROM (public.metric_periods chosen
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE (appointments.outcome = 'attended'::text)) AS attended,
            count(*) FILTER (WHERE (appointments.outcome = 'no_show'::text)) AS no_show,
            count(*) FILTER (WHERE ((appointments.status = 'confirmed'::text) AND (appointments.outcome IS NULL) AND (appointments.end_at_utc <= now()))) AS unrecorded
           FROM public.appointments
          WHERE ((appointments.start_at_utc >= ((chosen.first_day)::timestamp without time zone AT TIME ZONE chosen.zone)) AND (appointments.start_at_utc < (((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone)))) figures);


--
-- Name: VIEW metric_no_show; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.metric_no_show IS 'Metric: missed sessions';


--
-- Name: COLUMN metric_no_show.period; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_show.period IS 'P0 · today, 7d, 30d, or month YYYY-MM';


--
-- Name: COLUMN metric_no_show.first_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_show.first_day IS 'P0 · first day of the period';


--
-- Name: COLUMN metric_no_show.last_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_show.last_day IS 'P0 · last day of the period';


--
-- Name: COLUMN metric_no_show.attended; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_show.attended IS 'P0 · sessions attended';


--
-- Name: COLUMN metric_no_show.no_show; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_show.no_show IS 'P0 · sessions missed';


--
-- Name: COLUMN metric_no_show.unrecorded; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_show.unrecorded IS 'P0 · sessions over without an outcome';


--
-- Name: metric_no_slots; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_no_slots WITH (security_barrier='true') AS
 SELECT chosen.period,
    chosen.first_day,
    chosen.last_day,
    figures.starts,
    figures.no_slots,
    figures.waitlist
   FROM (public.metric_periods chosen
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE (analytics_events.event_name = 'booking_start'::text)) AS starts,
            count(*) FILTER (WHERE (analytics_events.event_name = 'show_no_slots'::text)) AS no_slots,
            count(*) FILTER (WHERE (analytics_events.event_name = 'waitlist_submitted'::text)) AS waitlist
           FROM public.analytics_events
          WHERE ((analytics_events.event_name = ANY (ARRAY['booking_start'::text, 'show_no_slots'::text, 'waitlist_submitted'::text])) AND (analytics_events.environment = chosen.environment) AND (analytics_events.occurred_at >= ((chosen.first_day)::timestamp without time zone AT TIME ZONE chosen.zone)) AND (analytics_events.occurred_at < (((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone)))) figures);


--
-- Name: VIEW metric_no_slots; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.metric_no_slots IS 'Metric: no free times';


--
-- Name: COLUMN metric_no_slots.period; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_slots.period IS 'P0 · today, 7d, 30d, or month YYYY-MM';


--
-- Name: COLUMN metric_no_slots.first_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_slots.first_day IS 'P0 · first day of the period';


--
-- Name: COLUMN metric_no_slots.last_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_slots.last_day IS 'P0 · last day of the period';


--
-- Name: COLUMN metric_no_slots.starts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_slots.starts IS 'P0 · bookings begun';


--
-- Name: COLUMN metric_no_slots.no_slots; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_slots.no_slots IS 'P0 · times that no free time was shown';


--
-- Name: COLUMN metric_no_slots.waitlist; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_no_slots.waitlist IS 'P0 · requests for the waitlist';


--
-- Name: metric_payments; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_payments WITH (security_barrier='true') AS
 SELECT chosen.period,
    chosen.first_day,
    chosen.last_day,
    figures.category,
    figures.payments
   FROM (public.metric_periods chosen
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN (p.status = ANY (ARRAY['failed'::text, 'canceled'::text])) THEN COALESCE(p.failure_category, 'unknown'::text)
                    WHEN ((p.status = 'pending'::text) AND (a.hold_expires_at < (now() - '24:00:00'::interval))) THEN 'timeout'::text
                    ELSE NULL::text
                END AS category,
            count(*) AS payments
           FROM (public.payments p
             JOIN public.appointments a ON ((a.id = p.appointment_id)))
          WHERE ((p.provider = 'yookassa'::text) AND (p.created_at >= ((chosen.first_day)::timestamp without time zone AT TIME ZONE chosen.zone)) AND (p.created_at < (((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone)))
          GROUP BY
                CASE
                    WHEN (p.status = ANY (ARRAY['failed'::text, 'canceled'::text])) THEN COALESCE(p.failure_category, 'unknown'::text)
                    WHEN ((p.status = 'pending'::text) AND (a.hold_expires_at < (now() - '24:00:00'::interval))) THEN 'timeout'::text
                    ELSE NULL::text
                END) figures);


--
-- Name: VIEW metric_payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.metric_payments IS 'Metric: failed payments';


--
-- Name: COLUMN metric_payments.period; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_payments.period IS 'P0 · today, 7d, 30d, or month YYYY-MM';


--
-- Name: COLUMN metric_payments.first_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_payments.first_day IS 'P0 · first day of the period';


--
-- Name: COLUMN metric_payments.last_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_payments.last_day IS 'P0 · last day of the period';


--
-- Name: COLUMN metric_payments.category; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_payments.category IS 'P0 · category of failure; empty: none';


--
-- Name: COLUMN metric_payments.payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_payments.payments IS 'P0 · payments';


--
-- Name: metric_retention; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_retention WITH (security_barrier='true') AS
 SELECT chosen.period,
    chosen.first_day,
    chosen.last_day,
    figures.month,
    figures.size,
    figures.active
   FROM (public.metric_periods chosen
     CROSS JOIN LATERAL ( WITH RECURSIVE merged(lead_id, into_id) AS (
                 SELECT leads.id,
                    leads.merged_into_id
                   FROM public.leads
                  WHERE (leads.merged_into_id IS NOT NULL)
                UNION
                 SELECT m.lead_id,
                    l.merged_into_id
                   FROM (merged m
                     JOIN public.leads l ON ((l.id = m.into_id)))
                  WHERE (l.merged_into_id IS NOT NULL)
                ), current_leads(lead_id, current_id) AS MATERIALIZED (
                 SELECT m.lead_id,
                    m.into_id
                   FROM (merged m
                     JOIN public.leads l ON ((l.id = m.into_id)))
                  WHERE (l.merged_into_id IS NULL)
                ), identities(key, lead_id) AS (
                ( SELECT DISTINCT ON (lead_identities.user_id) ('user:'::text || lead_identities.user_id) AS "?column?",
                    lead_identities.lead_id
                   FROM public.lead_identities
                  WHERE (lead_identities.user_id IS NOT NULL)
                  ORDER BY lead_identities.user_id, lead_identities.created_at, lead_identities.id)
                UNION ALL
                ( SELECT DISTINCT ON ((lead_identities.anonymous_id COLLATE "C")) ('browser:'::text || lead_identities.anonymous_id),
                    lead_identities.lead_id
                   FROM public.lead_identities
                  WHERE (lead_identities.anonymous_id IS NOT NULL)
                  ORDER BY (lead_identities.anonymous_id COLLATE "C"), lead_identities.created_at, lead_identities.id)
                ), identifiers(key, subject) AS MATERIALIZED (
                 SELECT known.key,
                    min(known.subject) AS min
                   FROM ( SELECT ('lead:'::text || current_leads.lead_id) AS key,
                            ('lead:'::text || current_leads.current_id) AS subject
                           FROM current_leads
                        UNION ALL
                         SELECT i.key,
                            ('lead:'::text || COALESCE(c_1.current_id, i.lead_id))
                           FROM (identities i
                             LEFT JOIN current_leads c_1 USING (lead_id))) known
                  GROUP BY known.key
                ), sessions AS MATERIALIZED (
                 SELECT COALESCE(i.subject, COALESCE(('lead:'::text || a.lead_id), ('user:'::text || a.client_user_id))) AS subject,
                    a.confirmed_at,
                    a.outcome,
                    (date_trunc('month'::text, (a.start_at_utc AT TIME ZONE chosen.zone)))::date AS month
                   FROM (public.appointments a
                     LEFT JOIN identifiers i ON ((i.key = COALESCE(('lead:'::text || a.lead_id), ('user:'::text || a.client_user_id)))))
                  WHERE (a.confirmed_at IS NOT NULL)
                ), people AS MATERIALIZED (
                 SELECT sessions.subject,
                    (date_trunc('month'::text, (min(sessions.confirmed_at) AT TIME ZONE chosen.zone)))::date AS cohort
                   FROM sessions
                  GROUP BY sessions.subject
                ), cohorts AS MATERIALIZED (
                 SELECT people.cohort,
                    count(*) AS size
                   FROM people
                  WHERE (((people.cohort >= chosen.first_day) AND (people.cohort <= chosen.last_day)) AND (people.cohort < date_trunc('month'::text, (now() AT TIME ZONE chosen.zone))))
                  GROUP BY people.cohort
                ), activity AS MATERIALIZED (
                 SELECT sessions.subject,
                    sessions.month
                   FROM sessions
                  WHERE (sessions.outcome = 'attended'::text)
                UNION
                 SELECT COALESCE(i.subject, COALESCE(('lead:'::text || e.lead_id), ('user:'::text || e.user_id), ('browser:'::text || e.anonymous_id))) AS "coalesce",
                    (date_trunc('month'::text, (e.occurred_at AT TIME ZONE chosen.zone)))::date AS date_trunc
                   FROM (public.analytics_events e
                     LEFT JOIN identifiers i ON ((i.key = COALESCE(('lead:'::text || e.lead_id), ('user:'::text || e.user_id), ('browser:'::text || e.anonymous_id)))))
                  WHERE ((e.event_name = 'lk_opened'::text) AND (e.environment = chosen.environment))
                ), active AS MATERIALIZED (
                 SELECT people.cohort,
                    activity.month,
                    count(*) AS people
                   FROM (people
                     JOIN activity USING (subject))
                  GROUP BY people.cohort, activity.month
                )
         SELECT to_char((c.cohort)::timestamp with time zone, 'YYYY-MM'::text) AS month,
            c.size,
            ARRAY( SELECT COALESCE(a.people, (0)::bigint) AS "coalesce"
                   FROM (generate_series((c.cohort + '1 mon'::interval), (date_trunc('month'::text, (now() AT TIME ZONE chosen.zone)) - '1 mon'::interval), '1 mon'::interval) later(month)
                     LEFT JOIN active a ON (((a.cohort = c.cohort) AND (a.month = (later.month)::date))))
                  ORDER BY later.month) AS active
           FROM cohorts c
          ORDER BY c.cohort) figures);


--
-- Name: VIEW metric_retention; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.metric_retention IS 'Metric: retention';


--
-- Name: COLUMN metric_retention.period; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_retention.period IS 'P0 · today, 7d, 30d, or month YYYY-MM';


--
-- Name: COLUMN metric_retention.first_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_retention.first_day IS 'P0 · first day of the period';


--
-- Name: COLUMN metric_retention.last_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_retention.last_day IS 'P0 · last day of the period';


--
-- Name: COLUMN metric_retention.month; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_retention.month IS 'P0 · month of the first confirmed session, YYYY-MM';


--
-- Name: COLUMN metric_retention.size; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_retention.size IS 'P0 · people';


--
-- Name: COLUMN metric_retention.active; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_retention.active IS 'P0 · of them active in each later month';


--
-- Name: refunds; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.refunds (
    id uuid DEFAULT public.uuid7() NOT NULL,
    payment_id uuid NOT NULL,
    amount integer NOT NULL,
    reason text NOT NULL,
    status text DEFAULT 'due'::text NOT NULL,
    provider_refund_id text,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    sent_at timestamp with time zone,
    succeeded_at timestamp with time zone,
    recorded_by_user_id uuid,
    CONSTRAINT refunds_amount_in_range CHECK ((amount >= 1)),
    CONSTRAINT refunds_provider_refund_id_has_length CHECK ((length(provider_refund_id) <= 64)),
    CONSTRAINT refunds_provider_refund_id_is_external_id CHECK ((provider_refund_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$'::text)),
    CONSTRAINT refunds_reason_in_set CHECK ((reason = ANY (ARRAY['canceled'::text, 'time_gone'::text, 'overpaid'::text, 'duplicate'::text, 'already_over'::text, 'by_hand'::text]))),
    CONSTRAINT refunds_sent_has_time CHECK (((NOT (status = 'sent'::text)) OR (sent_at IS NOT NULL))),
    CONSTRAINT refunds_status_in_set CHECK ((status = ANY (ARRAY['due'::text, 'sent'::text, 'succeeded'::text, 'failed'::text]))),
    CONSTRAINT refunds_succeeded_at_with_status CHECK ((((status = 'succeeded'::text) AND (succeeded_at IS NOT NULL)) OR ((NOT (status = 'succeeded'::text)) AND (succeeded_at IS NULL)))),
    CONSTRAINT refunds_times_finite CHECK ((public.is_finite(requested_at) AND public.is_finite(sent_at) AND public.is_finite(succeeded_at)))
);


--
-- Name: TABLE refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.refunds IS 'Money that is owed or was given back';


--
-- Name: COLUMN refunds.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN refunds.payment_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.payment_id IS 'P0 · payment it is part of';


--
-- Name: COLUMN refunds.amount; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.amount IS 'P0 · amount, whole roubles; never changes';


--
-- Name: COLUMN refunds.reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.reason IS 'P0 · why it is due';


--
-- Name: COLUMN refunds.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.status IS 'P0 · life cycle';


--
-- Name: COLUMN refunds.provider_refund_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.provider_refund_id IS 'P0 · the provider''s id; empty until it is known';


--
-- Name: COLUMN refunds.requested_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.requested_at IS 'P0 · since when it is due, UTC';


--
-- Name: COLUMN refunds.sent_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.sent_at IS 'P0 · when the provider was asked, UTC';


--
-- Name: COLUMN refunds.succeeded_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.succeeded_at IS 'P0 · when it succeeded, UTC';


--
-- Name: COLUMN refunds.recorded_by_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.recorded_by_user_id IS 'P0 · colleague who recorded it';


--
-- Name: metric_revenue; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_revenue WITH (security_barrier='true') AS
 SELECT chosen.period,
    chosen.first_day,
    chosen.last_day,
    figures.gross,
    figures.refunded,
    figures.net,
    figures.payments,
    figures.average,
    figures.previous_net
   FROM (public.metric_periods chosen
     CROSS JOIN LATERAL ( WITH paid AS (
                 SELECT (payments.confirmed_at >= ((chosen.first_day)::timestamp without time zone AT TIME ZONE chosen.zone)) AS is_now,
                    payments.amount
                   FROM public.payments
                  WHERE ((payments.status = 'succeeded'::text) AND (payments.confirmed_at >= (((chosen.first_day - ((chosen.last_day - chosen.first_day) + 1)))::timestamp without time zone AT TIME ZONE chosen.zone)) AND (payments.confirmed_at < (((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone)))
                ), refunded AS (
                 SELECT (refunds.succeeded_at >= ((chosen.first_day)::timestamp without time zone AT TIME ZONE chosen.zone)) AS is_now,
                    refunds.amount
                   FROM public.refunds
                  WHERE ((refunds.status = 'succeeded'::text) AND (refunds.succeeded_at >= (((chosen.first_day - ((chosen.last_day - chosen.first_day) + 1)))::timestamp without time zone AT TIME ZONE chosen.zone)) AND (refunds.succeeded_at < (((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone)))
                ), sums AS (
                 SELECT COALESCE(sum(paid.amount) FILTER (WHERE paid.is_now), (0)::bigint) AS gross,
                    COALESCE(sum(paid.amount) FILTER (WHERE (NOT paid.is_now)), (0)::bigint) AS previous_gross,
                    count(*) FILTER (WHERE paid.is_now) AS payments
                   FROM paid
                ), refund_sums AS (
                 SELECT COALESCE(sum(refunded.amount) FILTER (WHERE refunded.is_now), (0)::bigint) AS refunded,
                    COALESCE(sum(refunded.amount) FILTER (WHERE (NOT refunded.is_now)), (0)::bigint) AS previous_refunded
                   FROM refunded
                )
         SELECT sums.gross,
            refund_sums.refunded,
            (sums.gross - refund_sums.refunded) AS net,
            sums.payments,
            (round(((sums.gross)::numeric / (NULLIF(sums.payments, 0))::numeric)))::bigint AS average,
            (sums.previous_gross - refund_sums.previous_refunded) AS previous_net
           FROM sums,
            refund_sums) figures);


--
-- Name: VIEW metric_revenue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.metric_revenue IS 'Metric: revenue';


--
-- Name: COLUMN metric_revenue.period; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_revenue.period IS 'P0 · today, 7d, 30d, or month YYYY-MM';


--
-- Name: COLUMN metric_revenue.first_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_revenue.first_day IS 'P0 · first day of the period';


--
-- Name: COLUMN metric_revenue.last_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_revenue.last_day IS 'P0 · last day of the period';


--
-- Name: COLUMN metric_revenue.gross; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_revenue.gross IS 'P0 · received, roubles';


--
-- Name: COLUMN metric_revenue.refunded; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_revenue.refunded IS 'P0 · returned, roubles';


--
-- Name: COLUMN metric_revenue.net; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_revenue.net IS 'P0 · received less returned, roubles';


--
-- Name: COLUMN metric_revenue.payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_revenue.payments IS 'P0 · payments received';


--
-- Name: COLUMN metric_revenue.average; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_revenue.average IS 'P0 · mean payment, roubles';


--
-- Name: COLUMN metric_revenue.previous_net; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_revenue.previous_net IS 'P0 · net of the period of equal length before, roubles';


--
-- Name: metric_telegram; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.metric_telegram WITH (security_barrier='true') AS
 SELECT chosen.period,
    chosen.first_day,
    chosen.last_day,
    figures.clicks,
    figures.subscribed,
    figures.onboarded,
    figures.stopped,
    figures.returned_1,
    figures.returned_7,
    figures.returned_30
   FROM (public.metric_periods chosen
     CROSS JOIN LATERAL ( WITH RECURSIVE merged(lead_id, into_id) AS (
                 SELECT leads.id,
                    leads.merged_into_id
                   FROM public.leads
                  WHERE (leads.merged_into_id IS NOT NULL)
                UNION
                 SELECT m.lead_id,
                    l.merged_into_id
                   FROM (merged m
                     JOIN public.leads l ON ((l.id = m.into_id)))
                  WHERE (l.merged_into_id IS NOT NULL)
                ), current_leads(lead_id, current_id) AS MATERIALIZED (
                 SELECT m.lead_id,
                    m.into_id
                   FROM (merged m
                     JOIN public.leads l ON ((l.id = m.into_id)))
                  WHERE (l.merged_into_id IS NULL)
                ), identities(key, lead_id) AS (
                ( SELECT DISTINCT ON (lead_identities.user_id) ('user:'::text || lead_identities.user_id) AS "?column?",
                    lead_identities.lead_id
                   FROM public.lead_identities
                  WHERE (lead_identities.user_id IS NOT NULL)
                  ORDER BY lead_identities.user_id, lead_identities.created_at, lead_identities.id)
                UNION ALL
                ( SELECT DISTINCT ON ((lead_identities.anonymous_id COLLATE "C")) ('browser:'::text || lead_identities.anonymous_id),
                    lead_identities.lead_id
                   FROM public.lead_identities
                  WHERE (lead_identities.anonymous_id IS NOT NULL)
                  ORDER BY (lead_identities.anonymous_id COLLATE "C"), lead_identities.created_at, lead_identities.id)
                ), identifiers(key, subject) AS MATERIALIZED (
                 SELECT known.key,
                    min(known.subject) AS min
                   FROM ( SELECT ('lead:'::text || current_leads.lead_id) AS key,
                            ('lead:'::text || current_leads.current_id) AS subject
                           FROM current_leads
                        UNION ALL
                         SELECT i.key,
                            ('lead:'::text || COALESCE(c.current_id, i.lead_id))
                           FROM (identities i
                             LEFT JOIN current_leads c USING (lead_id))) known
                  GROUP BY known.key
                ), events AS MATERIALIZED (
                 SELECT e.id,
                    e.event_name,
                    (e.event_name = 'cta_tg_click'::text) AS is_click,
                    (e.event_name = 'tg_subscribe_confirmed'::text) AS is_subscription,
                    e.occurred_at,
                    (e.properties ->> 'deep_link_id'::text) AS link,
                    COALESCE(('lead:'::text || e.lead_id), ('user:'::text || e.user_id), ('browser:'::text || e.anonymous_id)) AS key
                   FROM public.analytics_events e
                  WHERE ((e.event_name = ANY (ARRAY['cta_tg_click'::text, 'tg_subscribe_confirmed'::text, 'tg_onboarding_completed'::text, 'tg_series_stopped'::text])) AND (e.environment = chosen.environment) AND (e.occurred_at >= ((chosen.first_day)::timestamp without time zone AT TIME ZONE chosen.zone)) AND (e.occurred_at < ((((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone) + '720:00:00'::interval)))
                ), clicks AS MATERIALIZED (
                 SELECT DISTINCT ON (events.link) events.link,
                    events.occurred_at,
                    events.key
                   FROM events
                  WHERE (events.is_click AND (events.occurred_at < (((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone)) AND (events.link IS NOT NULL))
                  ORDER BY events.link, events.occurred_at, events.id
                ), subscribed AS MATERIALIZED (
                 SELECT DISTINCT ON (e.link) e.link,
                    e.occurred_at,
                    (c.occurred_at + '720:00:00'::interval) AS until,
                    ((e.occurred_at AT TIME ZONE chosen.zone))::date AS day,
                    ARRAY[c.key, e.key] AS keys
                   FROM (clicks c
                     JOIN events e USING (link))
                  WHERE (e.is_subscription AND ((e.occurred_at >= c.occurred_at) AND (e.occurred_at <= (c.occurred_at + '720:00:00'::interval))))
                  ORDER BY e.link, e.occurred_at, e.id
                ), members AS MATERIALIZED (
                 SELECT DISTINCT s.link,
                    s.occurred_at,
                    s.until,
                    s.day,
                    COALESCE(i.subject, s.key) AS subject
                   FROM (( SELECT subscribed.link,
                            subscribed.occurred_at,
                            subscribed.until,
                            subscribed.day,
                            unnest(subscribed.keys) AS key
                           FROM subscribed) s
                     LEFT JOIN identifiers i USING (key))
                ), without_link AS (
                 SELECT e.event_name,
                    e.occurred_at,
                    COALESCE(i.subject, e.key) AS subject
                   FROM (events e
                     LEFT JOIN identifiers i USING (key))
                  WHERE (e.link IS NULL)
                ), following(link, event_name) AS (
                 SELECT e.link,
                    e.event_name
                   FROM (subscribed s
                     JOIN events e USING (link))
                  WHERE ((e.occurred_at >= s.occurred_at) AND (e.occurred_at <= s.until))
                UNION
                 SELECT m.link,
                    e.event_name
                   FROM (members m
                     JOIN without_link e USING (subject))
                  WHERE ((e.occurred_at >= m.occurred_at) AND (e.occurred_at <= m.until))
                ), keys AS MATERIALIZED (
                 SELECT known.key,
                    array_agg(known.link) AS links,
                    array_agg(known.day) AS days
                   FROM ( SELECT members.subject AS key,
                            members.link,
                            members.day
                           FROM members
                        UNION ALL
                         SELECT i.key,
                            m.link,
                            m.day
                           FROM (members m
                             JOIN identifiers i USING (subject))) known
                  GROUP BY known.key
                ), visits AS (
                 SELECT ((e.occurred_at AT TIME ZONE chosen.zone))::date AS day,
                    (k.links || s.link) AS links,
                    (k.days || s.day) AS days
                   FROM ((public.analytics_events e
                     LEFT JOIN keys k ON ((k.key = COALESCE(('lead:'::text || e.lead_id), ('user:'::text || e.user_id), ('browser:'::text || e.anonymous_id)))))
                     LEFT JOIN subscribed s ON ((s.link = (e.properties ->> 'deep_link_id'::text))))
                  WHERE ((e.environment = chosen.environment) AND ((k.key IS NOT NULL) OR (s.link IS NOT NULL)) AND (e.occurred_at >= ((chosen.first_day)::timestamp without time zone AT TIME ZONE chosen.zone)) AND (e.occurred_at < ((((chosen.last_day + 1))::timestamp without time zone AT TIME ZONE chosen.zone) + '1464:00:00'::interval)))
                 OFFSET 0
                ), returned AS (
                 SELECT DISTINCT s.link,
                    (v.day - s.day) AS later
                   FROM (visits v
                     CROSS JOIN LATERAL UNNEST(v.links, v.days) s(link, day))
                  WHERE ((v.days && ARRAY[(v.day - 1), (v.day - 7), (v.day - 30)]) AND ((v.day - s.day) = ANY (ARRAY[1, 7, 30])))
                )
         SELECT ( SELECT count(*) AS count
                   FROM clicks) AS clicks,
            ( SELECT count(*) AS count
                   FROM subscribed) AS subscribed,
            ( SELECT count(*) AS count
                   FROM following
                  WHERE (following.event_name = 'tg_onboarding_completed'::text)) AS onboarded,
            ( SELECT count(*) AS count
                   FROM following
                  WHERE (following.event_name = 'tg_series_stopped'::text)) AS stopped,
            ( SELECT count(*) AS count
                   FROM returned
                  WHERE (returned.later = 1)) AS returned_1,
            ( SELECT count(*) AS count
                   FROM returned
                  WHERE (returned.later = 7)) AS returned_7,
            ( SELECT count(*) AS count
                   FROM returned
                  WHERE (returned.later = 30)) AS returned_30) figures);


--
-- Name: VIEW metric_telegram; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.metric_telegram IS 'Metric: Telegram';


--
-- Name: COLUMN metric_telegram.period; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_telegram.period IS 'P0 · today, 7d, 30d, or month YYYY-MM';


--
-- Name: COLUMN metric_telegram.first_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_telegram.first_day IS 'P0 · first day of the period';


--
-- Name: COLUMN metric_telegram.last_day; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_telegram.last_day IS 'P0 · last day of the period';


--
-- Name: COLUMN metric_telegram.clicks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_telegram.clicks IS 'P0 · links clicked';


--
-- Name: COLUMN metric_telegram.subscribed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_telegram.subscribed IS 'P0 · of them with a subscription within 30 days';


--
-- Name: COLUMN metric_telegram.onboarded; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_telegram.onboarded IS 'P0 · of them with a finished onboarding';


--
-- Name: COLUMN metric_telegram.stopped; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_telegram.stopped IS 'P0 · of them with a stopped series';


--
-- Name: COLUMN metric_telegram.returned_1; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_telegram.returned_1 IS 'P0 · of them active again 1 day later';


--
-- Name: COLUMN metric_telegram.returned_7; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_telegram.returned_7 IS 'P0 · of them active again 7 days later';


--
-- Name: COLUMN metric_telegram.returned_30; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_telegram.returned_30 IS 'P0 · of them active again 30 days later';


--
-- Name: migration_steps; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.migration_steps (
    id uuid DEFAULT public.uuid7() NOT NULL,
    app_label text NOT NULL,
    name text NOT NULL,
    step integer NOT NULL,
    statement_hash text NOT NULL,
    finished_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT migration_steps_app_label_has_length CHECK ((length(app_label) <= 60)),
    CONSTRAINT migration_steps_app_label_is_code CHECK (public.is_code(app_label)),
    CONSTRAINT migration_steps_name_has_length CHECK ((length(name) <= 200)),
    CONSTRAINT migration_steps_name_names_a_migration CHECK ((name ~ '^[0-9]{4}(_[a-z0-9]+)+$'::text)),
    CONSTRAINT migration_steps_statement_hash_has_length CHECK ((length(statement_hash) <= 64)),
    CONSTRAINT migration_steps_statement_hash_is_sha256 CHECK ((statement_hash ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT migration_steps_step_in_range CHECK ((step >= 1)),
    CONSTRAINT migration_steps_times_finite CHECK (public.is_finite(finished_at))
);


--
-- Name: TABLE migration_steps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.migration_steps IS 'Finished steps of migrations that are still running';


--
-- Name: COLUMN migration_steps.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.migration_steps.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN migration_steps.app_label; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.migration_steps.app_label IS 'P0 · app of the migration';


--
-- Name: COLUMN migration_steps.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.migration_steps.name IS 'P0 · name of the migration';


--
-- Name: COLUMN migration_steps.step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.migration_steps.step IS 'P0 · number of the step, from 1';


--
-- Name: COLUMN migration_steps.statement_hash; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.migration_steps.statement_hash IS 'P0 · SHA-256 of the SQL of the step, hexadecimal';


--
-- Name: COLUMN migration_steps.finished_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.migration_steps.finished_at IS 'P0 · when the step was finished, UTC';


--
-- Name: outbox_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.outbox_events (
    id uuid DEFAULT public.uuid7() NOT NULL,
    event_type text NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id uuid NOT NULL,
    payload jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    available_at timestamp with time zone DEFAULT now() NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    published_at timestamp with time zone,
    last_error text,
    CONSTRAINT outbox_events_aggregate_type_has_length CHECK ((length(aggregate_type) <= 60)),
    CONSTRAINT outbox_events_aggregate_type_is_code CHECK (public.is_code(aggregate_type)),
    CONSTRAINT outbox_events_attempts_in_range CHECK ((attempts >= 0)),
    CONSTRAINT outbox_events_event_type_has_length CHECK ((length(event_type) <= 60)),
    CONSTRAINT outbox_events_event_type_is_code CHECK (public.is_code(event_type)),
    CONSTRAINT outbox_events_last_error_has_length CHECK ((length(last_error) <= 60)),
    CONSTRAINT outbox_events_last_error_is_code CHECK (public.is_code(last_error)),
    CONSTRAINT outbox_events_payload_has_length CHECK (public.json_has_length(payload, 20000)),
    CONSTRAINT outbox_events_payload_is_p0 CHECK (public.is_outbox_payload(payload)),
    CONSTRAINT outbox_events_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(available_at) AND public.is_finite(published_at)))
);


--
-- Name: TABLE outbox_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.outbox_events IS 'Domain events waiting to be sent';


--
-- Name: COLUMN outbox_events.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.outbox_events.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN outbox_events.event_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.outbox_events.event_type IS 'P0 · what happened, a code';


--
-- Name: COLUMN outbox_events.aggregate_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.outbox_events.aggregate_type IS 'P0 · what it happened to, a code';


--
-- Name: COLUMN outbox_events.aggregate_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.outbox_events.aggregate_id IS 'P0 · id of that row';


--
-- Name: COLUMN outbox_events.payload; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.outbox_events.payload IS 'P0 · flat object of P0 values';


--
-- Name: COLUMN outbox_events.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.outbox_events.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN outbox_events.available_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.outbox_events.available_at IS 'P0 · not to be sent before, UTC';


--
-- Name: COLUMN outbox_events.attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.outbox_events.attempts IS 'P0 · tries so far';


--
-- Name: COLUMN outbox_events.published_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.outbox_events.published_at IS 'P0 · when sent, UTC';


--
-- Name: COLUMN outbox_events.last_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.outbox_events.last_error IS 'P0 · last failure, a code';


--
-- Name: payment_webhook_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.payment_webhook_events (
    id uuid DEFAULT public.uuid7() NOT NULL,
    provider text NOT NULL,
    provider_event_id text NOT NULL,
    event_type text NOT NULL,
    provider_payment_id text NOT NULL,
    amount numeric(12,2),
    currency text,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    processed_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    last_error text,
    receipt_status text,
    CONSTRAINT payment_webhook_events_amount_not_negative CHECK (((amount IS NULL) OR ((amount >= (0)::numeric) AND (amount < ('10000000000'::bigint)::numeric)))),
    CONSTRAINT payment_webhook_events_attempts_in_range CHECK ((attempts >= 0)),
    CONSTRAINT payment_webhook_events_currency_has_length CHECK ((length(currency) <= 60)),
    CONSTRAINT payment_webhook_events_currency_is_iso CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT payment_webhook_events_event_type_has_length CHECK ((length(event_type) <= 60)),
    CONSTRAINT payment_webhook_events_event_type_is_dotted_code CHECK ((event_type ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$'::text)),
    CONSTRAINT payment_webhook_events_last_error_in_set CHECK ((last_error = ANY (ARRAY['unknown_payment'::text, 'amount_mismatch'::text, 'out_of_order'::text, 'internal'::text]))),
    CONSTRAINT payment_webhook_events_provider_event_id_has_length CHECK ((length(provider_event_id) <= 200)),
    CONSTRAINT payment_webhook_events_provider_event_id_is_external_id CHECK ((provider_event_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$'::text)),
    CONSTRAINT payment_webhook_events_provider_in_set CHECK ((provider = 'yookassa'::text)),
    CONSTRAINT payment_webhook_events_provider_payment_id_has_length CHECK ((length(provider_payment_id) <= 64)),
    CONSTRAINT payment_webhook_events_provider_payment_id_is_external_id CHECK ((provider_payment_id ~ '^(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_.:~-]*$'::text)),
    CONSTRAINT payment_webhook_events_receipt_status_in_set CHECK ((receipt_status = ANY (ARRAY['pending'::text, 'canceled'::text, 'succeeded'::text]))),
    CONSTRAINT payment_webhook_events_times_finite CHECK ((public.is_finite(received_at) AND public.is_finite(processed_at) AND public.is_finite(next_attempt_at)))
);


--
-- Name: TABLE payment_webhook_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.payment_webhook_events IS 'Deliveries of the payment provider';


--
-- Name: COLUMN payment_webhook_events.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN payment_webhook_events.provider; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.provider IS 'P0 · payment provider';


--
-- Name: COLUMN payment_webhook_events.provider_event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.provider_event_id IS 'P0 · what makes a repeated delivery the same';


--
-- Name: COLUMN payment_webhook_events.event_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.event_type IS 'P0 · the provider''s name of the event';


--
-- Name: COLUMN payment_webhook_events.provider_payment_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.provider_payment_id IS 'P0 · the provider''s id of the payment';


--
-- Name: COLUMN payment_webhook_events.amount; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.amount IS 'P0 · amount in the notification, roubles';


--
-- Name: COLUMN payment_webhook_events.currency; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.currency IS 'P0 · currency in the notification, ISO 4217';


--
-- Name: COLUMN payment_webhook_events.received_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.received_at IS 'P0 · receipt, UTC';


--
-- Name: COLUMN payment_webhook_events.processed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.processed_at IS 'P0 · when it took effect, or ended without one, UTC';


--
-- Name: COLUMN payment_webhook_events.attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.attempts IS 'P0 · tries so far';


--
-- Name: COLUMN payment_webhook_events.next_attempt_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.next_attempt_at IS 'P0 · not to be tried again before, UTC';


--
-- Name: COLUMN payment_webhook_events.last_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.last_error IS 'P0 · last failure';


--
-- Name: COLUMN payment_webhook_events.receipt_status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_webhook_events.receipt_status IS 'P0 · status of the tax receipt in the notification';


--
-- Name: question_answers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.question_answers (
    id uuid DEFAULT public.uuid7() NOT NULL,
    question_id uuid NOT NULL,
    answered_by_user_id uuid NOT NULL,
    answer_text_encrypted text NOT NULL,
    published_at timestamp with time zone,
    CONSTRAINT question_answers_answer_text_encrypted_has_length CHECK ((length(answer_text_encrypted) <= 400000)),
    CONSTRAINT question_answers_answer_text_encrypted_is_sealed CHECK (public.is_sealed(answer_text_encrypted)),
    CONSTRAINT question_answers_times_finite CHECK (public.is_finite(published_at))
);
ALTER TABLE ONLY public.question_answers ALTER COLUMN answer_text_encrypted SET STATISTICS 0;


--
-- Name: TABLE question_answers; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.question_answers IS 'Answers to questions, sealed';


--
-- Name: COLUMN question_answers.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.question_answers.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN question_answers.question_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.question_answers.question_id IS 'P0 · question';


--
-- Name: COLUMN question_answers.answered_by_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.question_answers.answered_by_user_id IS 'P0 · who answered';


--
-- Name: COLUMN question_answers.answer_text_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.question_answers.answer_text_encrypted IS 'P2 · the answer, sealed';


--
-- Name: COLUMN question_answers.published_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.question_answers.published_at IS 'P0 · when published, UTC';


--
-- Name: recovery_codes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.recovery_codes (
    id uuid DEFAULT public.uuid7() NOT NULL,
    second_factor_id uuid NOT NULL,
    code_hash text NOT NULL,
    used_at timestamp with time zone,
    CONSTRAINT recovery_codes_are_hashed CHECK ((code_hash ~ '^[a-z0-9_]+\$[!-~]{20,}$'::text)),
    CONSTRAINT recovery_codes_code_hash_has_length CHECK ((length(code_hash) <= 128)),
    CONSTRAINT recovery_codes_times_finite CHECK (public.is_finite(used_at))
);
ALTER TABLE ONLY public.recovery_codes ALTER COLUMN code_hash SET STATISTICS 0;


--
-- Name: TABLE recovery_codes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.recovery_codes IS 'Recovery codes of second factors, hashed';


--
-- Name: COLUMN recovery_codes.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recovery_codes.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN recovery_codes.second_factor_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recovery_codes.second_factor_id IS 'P0 · of which second factor';


--
-- Name: COLUMN recovery_codes.code_hash; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recovery_codes.code_hash IS 'P1 · salted hash of the code';


--
-- Name: COLUMN recovery_codes.used_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recovery_codes.used_at IS 'P0 · when it was used, UTC';


--
-- Name: review_publication_consents; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.review_publication_consents (
    id uuid DEFAULT public.uuid7() NOT NULL,
    review_id uuid NOT NULL,
    user_id uuid,
    granted boolean DEFAULT false NOT NULL,
    version text NOT NULL,
    granted_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT review_publication_consents_refusal_is_not_revoked CHECK ((granted OR (revoked_at IS NULL))),
    CONSTRAINT review_publication_consents_revoked_after_granted CHECK (((revoked_at IS NULL) OR (revoked_at >= granted_at))),
    CONSTRAINT review_publication_consents_times_finite CHECK ((public.is_finite(granted_at) AND public.is_finite(revoked_at))),
    CONSTRAINT review_publication_consents_version_has_length CHECK ((length(version) <= 60)),
    CONSTRAINT review_publication_consents_version_is_dated CHECK ((version ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[0-9]+)?$'::text))
);


--
-- Name: TABLE review_publication_consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.review_publication_consents IS 'Evidence of consents to publish a review';


--
-- Name: COLUMN review_publication_consents.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.review_publication_consents.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN review_publication_consents.review_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.review_publication_consents.review_id IS 'P0 · review';


--
-- Name: COLUMN review_publication_consents.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.review_publication_consents.user_id IS 'P0 · who agreed, if known';


--
-- Name: COLUMN review_publication_consents.granted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.review_publication_consents.granted IS 'P0 · true: agreed; false: refused';


--
-- Name: COLUMN review_publication_consents.version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.review_publication_consents.version IS 'P0 · version of the text, YYYY-MM-DD or YYYY-MM-DD.n';


--
-- Name: COLUMN review_publication_consents.granted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.review_publication_consents.granted_at IS 'P0 · when given, UTC';


--
-- Name: COLUMN review_publication_consents.revoked_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.review_publication_consents.revoked_at IS 'P0 · when withdrawn, UTC; set once';


--
-- Name: reviews; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reviews (
    id uuid DEFAULT public.uuid7() NOT NULL,
    user_id uuid,
    status text DEFAULT 'draft'::text NOT NULL,
    review_text_encrypted text NOT NULL,
    anonymity_level text DEFAULT 'full'::text NOT NULL,
    submitted_at timestamp with time zone,
    published_at timestamp with time zone,
    CONSTRAINT reviews_anonymity_level_in_set CHECK ((anonymity_level = ANY (ARRAY['full'::text, 'initials'::text, 'named'::text]))),
    CONSTRAINT reviews_review_text_encrypted_has_length CHECK ((length(review_text_encrypted) <= 400000)),
    CONSTRAINT reviews_review_text_encrypted_is_sealed CHECK (public.is_sealed(review_text_encrypted)),
    CONSTRAINT reviews_status_in_set CHECK ((status = ANY (ARRAY['draft'::text, 'pending'::text, 'published'::text, 'unpublished'::text]))),
    CONSTRAINT reviews_times_finite CHECK ((public.is_finite(submitted_at) AND public.is_finite(published_at)))
);
ALTER TABLE ONLY public.reviews ALTER COLUMN review_text_encrypted SET STATISTICS 0;


--
-- Name: TABLE reviews; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.reviews IS 'Reviews of clients, sealed';


--
-- Name: COLUMN reviews.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reviews.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN reviews.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reviews.user_id IS 'P0 · who wrote it, if known';


--
-- Name: COLUMN reviews.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reviews.status IS 'P0 · life cycle';


--
-- Name: COLUMN reviews.review_text_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reviews.review_text_encrypted IS 'P2 · the review, sealed';


--
-- Name: COLUMN reviews.anonymity_level; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reviews.anonymity_level IS 'P0 · how the author is shown';


--
-- Name: COLUMN reviews.submitted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reviews.submitted_at IS 'P0 · when submitted, UTC';


--
-- Name: COLUMN reviews.published_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reviews.published_at IS 'P0 · when last published, UTC';


--
-- Name: roles; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.roles (
    code text NOT NULL,
    scope text NOT NULL,
    CONSTRAINT roles_client_is_product CHECK ((((code = 'client'::text) AND (scope = 'product'::text)) OR ((NOT (code = 'client'::text)) AND (scope = 'admin'::text)))),
    CONSTRAINT roles_code_in_set CHECK ((code = ANY (ARRAY['owner'::text, 'assistant'::text, 'editor'::text, 'client'::text]))),
    CONSTRAINT roles_scope_in_set CHECK ((scope = ANY (ARRAY['admin'::text, 'product'::text])))
);


--
-- Name: TABLE roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.roles IS 'The four roles';


--
-- Name: COLUMN roles.code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.roles.code IS 'P0 · role';


--
-- Name: COLUMN roles.scope; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.roles.scope IS 'P0 · where the role acts: admin or product';


--
-- Name: schedule_rules; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schedule_rules (
    id uuid DEFAULT public.uuid7() NOT NULL,
    service_id uuid,
    weekday smallint NOT NULL,
    start_local time without time zone NOT NULL,
    end_local time without time zone NOT NULL,
    timezone text NOT NULL,
    recurrence text NOT NULL,
    valid_from date NOT NULL,
    valid_until date,
    buffer_minutes smallint DEFAULT 0 NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    CONSTRAINT schedule_rules_buffer_minutes_in_range CHECK (((buffer_minutes >= 0) AND (buffer_minutes <= 120))),
    CONSTRAINT schedule_rules_ends_after_start CHECK ((end_local > start_local)),
    CONSTRAINT schedule_rules_ends_before_midnight CHECK ((end_local <= '23:59:59.999999'::time without time zone)),
    CONSTRAINT schedule_rules_recurrence_in_set CHECK ((recurrence = ANY (ARRAY['weekly'::text, 'biweekly'::text]))),
    CONSTRAINT schedule_rules_times_finite CHECK ((public.is_finite(valid_from) AND public.is_finite(valid_until))),
    CONSTRAINT schedule_rules_timezone_has_length CHECK ((length(timezone) <= 60)),
    CONSTRAINT schedule_rules_timezone_is_iana_zone CHECK (public.is_zone_form(timezone)),
    CONSTRAINT schedule_rules_valid_until_after_from CHECK (((valid_until IS NULL) OR (valid_until >= valid_from))),
    CONSTRAINT schedule_rules_weekday_in_range CHECK (((weekday >= 1) AND (weekday <= 7)))
);


--
-- Name: TABLE schedule_rules; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.schedule_rules IS 'Recurring working hours';


--
-- Name: COLUMN schedule_rules.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_rules.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN schedule_rules.service_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_rules.service_id IS 'P0 · only for this service; empty: any';


--
-- Name: COLUMN schedule_rules.weekday; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_rules.weekday IS 'P0 · ISO weekday, 1 Monday to 7 Sunday';


--
-- Name: COLUMN schedule_rules.start_local; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_rules.start_local IS 'P0 · start, wall time in timezone';


--
-- Name: COLUMN schedule_rules.end_local; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_rules.end_local IS 'P0 · end, wall time, later the same day';


--
-- Name: COLUMN schedule_rules.timezone; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_rules.timezone IS 'P0 · IANA zone of the wall times';


--
-- Name: COLUMN schedule_rules.recurrence; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_rules.recurrence IS 'P0 · every week or every second';


--
-- Name: COLUMN schedule_rules.valid_from; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_rules.valid_from IS 'P0 · first day';


--
-- Name: COLUMN schedule_rules.valid_until; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_rules.valid_until IS 'P0 · last day; empty: open';


--
-- Name: COLUMN schedule_rules.buffer_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_rules.buffer_minutes IS 'P0 · break after a session, minutes';


--
-- Name: COLUMN schedule_rules.is_active; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schedule_rules.is_active IS 'P0 · in force';


--
-- Name: second_factors; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.second_factors (
    id uuid DEFAULT public.uuid7() NOT NULL,
    user_id uuid NOT NULL,
    secret_encrypted text NOT NULL,
    last_step bigint,
    confirmed_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT second_factors_last_step_in_range CHECK ((last_step >= 0)),
    CONSTRAINT second_factors_secret_encrypted_has_length CHECK ((length(secret_encrypted) <= 400000)),
    CONSTRAINT second_factors_secret_encrypted_is_sealed CHECK (public.is_sealed(secret_encrypted)),
    CONSTRAINT second_factors_step_with_confirmation CHECK ((((confirmed_at IS NOT NULL) AND (last_step IS NOT NULL)) OR ((NOT (confirmed_at IS NOT NULL)) AND (last_step IS NULL)))),
    CONSTRAINT second_factors_times_finite CHECK ((public.is_finite(confirmed_at) AND public.is_finite(created_at)))
);
ALTER TABLE ONLY public.second_factors ALTER COLUMN secret_encrypted SET STATISTICS 0;


--
-- Name: TABLE second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.second_factors IS 'Second factors of staff, sealed';


--
-- Name: COLUMN second_factors.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.second_factors.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN second_factors.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.second_factors.user_id IS 'P0 · whose second factor';


--
-- Name: COLUMN second_factors.secret_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.second_factors.secret_encrypted IS 'P1 · secret of TOTP in base32, sealed';


--
-- Name: COLUMN second_factors.last_step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.second_factors.last_step IS 'P0 · 30-second step of the last code; older codes are refused';


--
-- Name: COLUMN second_factors.confirmed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.second_factors.confirmed_at IS 'P0 · when its first code was typed, UTC';


--
-- Name: COLUMN second_factors.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.second_factors.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: session_notes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.session_notes (
    id uuid DEFAULT public.uuid7() NOT NULL,
    note_encrypted text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    appointment_id uuid NOT NULL,
    author_user_id uuid NOT NULL,
    CONSTRAINT session_notes_note_encrypted_has_length CHECK ((length(note_encrypted) <= 400000)),
    CONSTRAINT session_notes_note_encrypted_is_sealed CHECK (public.is_sealed(note_encrypted)),
    CONSTRAINT session_notes_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(updated_at)))
);
ALTER TABLE ONLY public.session_notes ALTER COLUMN note_encrypted SET STATISTICS 0;


--
-- Name: TABLE session_notes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.session_notes IS 'The psychologist''s notes about sessions, sealed';


--
-- Name: COLUMN session_notes.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.session_notes.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN session_notes.note_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.session_notes.note_encrypted IS 'P2 · note, sealed';


--
-- Name: COLUMN session_notes.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.session_notes.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN session_notes.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.session_notes.updated_at IS 'P0 · when the row was last written, UTC; kept by the database';


--
-- Name: COLUMN session_notes.appointment_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.session_notes.appointment_id IS 'P0 · session';


--
-- Name: COLUMN session_notes.author_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.session_notes.author_user_id IS 'P0 · who wrote it';


--
-- Name: tags; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tags (
    id uuid DEFAULT public.uuid7() NOT NULL,
    slug text NOT NULL,
    title text NOT NULL,
    CONSTRAINT tags_slug_has_length CHECK ((length(slug) <= 120)),
    CONSTRAINT tags_slug_is_slug CHECK ((slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text)),
    CONSTRAINT tags_title_has_length CHECK ((length(title) <= 200)),
    CONSTRAINT tags_title_not_blank CHECK (public.is_visible(title))
);


--
-- Name: TABLE tags; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.tags IS 'Labels on content';


--
-- Name: COLUMN tags.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tags.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN tags.slug; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tags.slug IS 'P0 · slug in addresses';


--
-- Name: COLUMN tags.title; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tags.title IS 'P0 · title shown to people';


--
-- Name: topics; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.topics (
    code text NOT NULL,
    title text NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    CONSTRAINT topics_code_has_length CHECK ((length(code) <= 60)),
    CONSTRAINT topics_code_is_code CHECK (public.is_code(code)),
    CONSTRAINT topics_title_has_length CHECK ((length(title) <= 200)),
    CONSTRAINT topics_title_not_blank CHECK (public.is_visible(title))
);


--
-- Name: TABLE topics; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.topics IS 'Themes of the platform';


--
-- Name: COLUMN topics.code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.topics.code IS 'P0 · code of the topic';


--
-- Name: COLUMN topics.title; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.topics.title IS 'P0 · title shown to people';


--
-- Name: COLUMN topics.is_active; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.topics.is_active IS 'P0 · whether the topic is offered';


--
-- Name: tracking_event_params; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tracking_event_params (
    id uuid DEFAULT public.uuid7() NOT NULL,
    event_name text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    allowed text[],
    is_required boolean NOT NULL,
    CONSTRAINT tracking_event_params_allowed_are_codes CHECK (public.are_p0_codes(allowed)),
    CONSTRAINT tracking_event_params_allowed_has_length CHECK (public.has_lengths(allowed, 100, 60)),
    CONSTRAINT tracking_event_params_allowed_with_enum CHECK ((((kind = ANY (ARRAY['enum'::text, 'enum_list'::text])) AND (allowed IS NOT NULL)) OR ((NOT (kind = ANY (ARRAY['enum'::text, 'enum_list'::text]))) AND (allowed IS NULL)))),
    CONSTRAINT tracking_event_params_kind_in_set CHECK ((kind = ANY (ARRAY['enum'::text, 'enum_list'::text, 'code'::text, 'code_list'::text, 'slug'::text, 'ref'::text, 'deep_link'::text, 'uuid'::text, 'int'::text, 'bool'::text, 'timestamp'::text, 'path'::text, 'host'::text, 'zone'::text, 'topic'::text, 'utm'::text, 'one_of'::text]))),
    CONSTRAINT tracking_event_params_name_has_length CHECK ((length(name) <= 200)),
    CONSTRAINT tracking_event_params_name_is_code CHECK ((name ~ '^[a-z][a-z0-9_]{0,59}(\|[a-z][a-z0-9_]{0,59})*$'::text)),
    CONSTRAINT tracking_event_params_one_of_is_required CHECK (((is_required AND (kind = 'one_of'::text) AND (name ~~ '%|%'::text)) OR ((NOT (kind = 'one_of'::text)) AND (NOT (name ~~ '%|%'::text)))))
);


--
-- Name: TABLE tracking_event_params; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.tracking_event_params IS 'The tracking plan: parameters';


--
-- Name: COLUMN tracking_event_params.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tracking_event_params.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN tracking_event_params.event_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tracking_event_params.event_name IS 'P0 · event';


--
-- Name: COLUMN tracking_event_params.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tracking_event_params.name IS 'P0 · key; a|b: one of these is required';


--
-- Name: COLUMN tracking_event_params.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tracking_event_params.kind IS 'P0 · kind of value';


--
-- Name: COLUMN tracking_event_params.allowed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tracking_event_params.allowed IS 'P0 · values of an enum or enum_list';


--
-- Name: COLUMN tracking_event_params.is_required; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tracking_event_params.is_required IS 'P0 · must be present';


--
-- Name: tracking_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tracking_events (
    event_name text NOT NULL,
    sources text[] NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    CONSTRAINT tracking_events_event_name_has_length CHECK ((length(event_name) <= 60)),
    CONSTRAINT tracking_events_event_name_is_code CHECK (public.is_code(event_name)),
    CONSTRAINT tracking_events_sources_has_length CHECK (public.has_lengths(sources, 100, 60)),
    CONSTRAINT tracking_events_sources_in_set CHECK (((sources <@ ARRAY['web'::text, 'backend'::text, 'telegram'::text, 'admin'::text]) AND (
CASE
    WHEN (sources IS NULL) THEN NULL::integer
    ELSE COALESCE(array_length(sources, 1), 0)
END >= 1) AND public.has_no_duplicates(sources)))
);


--
-- Name: TABLE tracking_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.tracking_events IS 'The tracking plan: events';


--
-- Name: COLUMN tracking_events.event_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tracking_events.event_name IS 'P0 · name in the tracking plan';


--
-- Name: COLUMN tracking_events.sources; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tracking_events.sources IS 'P0 · which services may send it';


--
-- Name: COLUMN tracking_events.is_active; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tracking_events.is_active IS 'P0 · accepted now';


--
-- Name: user_roles; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.user_roles (
    id uuid DEFAULT public.uuid7() NOT NULL,
    user_id uuid NOT NULL,
    role_code text NOT NULL,
    granted_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT user_roles_times_finite CHECK (public.is_finite(granted_at))
);


--
-- Name: TABLE user_roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.user_roles IS 'Roles granted to people';


--
-- Name: COLUMN user_roles.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.user_roles.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN user_roles.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.user_roles.user_id IS 'P0 · whose role';


--
-- Name: COLUMN user_roles.role_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.user_roles.role_code IS 'P0 · granted role';


--
-- Name: COLUMN user_roles.granted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.user_roles.granted_at IS 'P0 · when granted, UTC';


--
-- Name: users; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.users (
    id uuid DEFAULT public.uuid7() NOT NULL,
    email text,
    phone text,
    telegram_user_id text,
    telegram_username text,
    display_name text,
    timezone text,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    password text DEFAULT ''::text NOT NULL,
    last_login timestamp with time zone,
    is_superuser boolean DEFAULT false NOT NULL,
    session_stamp uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT users_deleted_at_with_status CHECK ((((status = 'deleted'::text) AND (deleted_at IS NOT NULL)) OR ((NOT (status = 'deleted'::text)) AND (deleted_at IS NULL)))),
    CONSTRAINT users_deleted_holds_nothing_personal CHECK (((NOT (status = 'deleted'::text)) OR ((display_name IS NULL) AND (email IS NULL) AND (phone IS NULL) AND (telegram_user_id IS NULL) AND (telegram_username IS NULL) AND (password ~ '^(![A-Za-z0-9]{40})?$'::text)))),
    CONSTRAINT users_display_name_has_length CHECK ((length(display_name) <= 200)),
    CONSTRAINT users_display_name_not_blank CHECK (public.is_visible(display_name)),
    CONSTRAINT users_email_has_length CHECK ((length(email) <= 254)),
    CONSTRAINT users_email_is_lower_case CHECK (public.is_lower_case(email)),
    CONSTRAINT users_email_is_normalised CHECK (public.is_email(email)),
    CONSTRAINT users_password_has_length CHECK ((length(password) <= 128)),
    CONSTRAINT users_phone_has_length CHECK ((length(phone) <= 16)),
    CONSTRAINT users_phone_is_e164 CHECK ((phone ~ '^\+[1-9][0-9]{9,14}$'::text)),
    CONSTRAINT users_reachable CHECK (((status = 'deleted'::text) OR (email IS NOT NULL) OR (phone IS NOT NULL) OR (telegram_user_id IS NOT NULL))),
    CONSTRAINT users_status_in_set CHECK ((status = ANY (ARRAY['active'::text, 'blocked'::text, 'deleted'::text]))),
    CONSTRAINT users_telegram_user_id_has_length CHECK ((length(telegram_user_id) <= 20)),
    CONSTRAINT users_telegram_user_id_is_digits CHECK ((telegram_user_id ~ '^[0-9]+$'::text)),
    CONSTRAINT users_telegram_username_has_length CHECK ((length(telegram_username) <= 32)),
    CONSTRAINT users_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(updated_at) AND public.is_finite(deleted_at) AND public.is_finite(last_login))),
    CONSTRAINT users_timezone_has_length CHECK ((length(timezone) <= 60)),
    CONSTRAINT users_timezone_is_iana_zone CHECK (public.is_zone_form(timezone))
);
ALTER TABLE ONLY public.users ALTER COLUMN email SET STATISTICS 0;
ALTER TABLE ONLY public.users ALTER COLUMN phone SET STATISTICS 0;
ALTER TABLE ONLY public.users ALTER COLUMN telegram_user_id SET STATISTICS 0;
ALTER TABLE ONLY public.users ALTER COLUMN telegram_username SET STATISTICS 0;
ALTER TABLE ONLY public.users ALTER COLUMN display_name SET STATISTICS 0;
ALTER TABLE ONLY public.users ALTER COLUMN password SET STATISTICS 0;


--
-- Name: TABLE users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.users IS 'People: clients and staff';


--
-- Name: COLUMN users.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN users.email; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.email IS 'P1 · e-mail, lower case, trimmed';


--
-- Name: COLUMN users.phone; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.phone IS 'P1 · phone, E.164';


--
-- Name: COLUMN users.telegram_user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.telegram_user_id IS 'P1 · Telegram''s id, digits';


--
-- Name: COLUMN users.telegram_username; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.telegram_username IS 'P1 · Telegram name, no @';


--
-- Name: COLUMN users.display_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.display_name IS 'P1 · how the person is called';


--
-- Name: COLUMN users.timezone; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.timezone IS 'P0 · IANA zone';


--
-- Name: COLUMN users.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.status IS 'P0 · life cycle';


--
-- Name: COLUMN users.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN users.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.updated_at IS 'P0 · when the row was last written, UTC; kept by the database';


--
-- Name: COLUMN users.deleted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.deleted_at IS 'P0 · when the account was deleted, UTC';


--
-- Name: COLUMN users.password; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.password IS 'P1 · salted password hash; empty: none';


--
-- Name: COLUMN users.last_login; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.last_login IS 'P0 · last login, UTC';


--
-- Name: COLUMN users.is_superuser; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.is_superuser IS 'P0 · required by Django''s auth; grants nothing, roles do';


--
-- Name: COLUMN users.session_stamp; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.users.session_stamp IS 'P0 · random, set by the database; a session with another one has ended';


--
-- Name: waitlist_requests; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.waitlist_requests (
    id uuid DEFAULT public.uuid7() NOT NULL,
    user_id uuid,
    lead_id uuid,
    service_id uuid NOT NULL,
    preferred_contact text NOT NULL,
    contact_value_encrypted text NOT NULL,
    contact_value_bidx text NOT NULL,
    preferred_time_window text,
    status text DEFAULT 'new'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT waitlist_requests_closed_at_with_status CHECK ((((status = 'closed'::text) AND (closed_at IS NOT NULL)) OR ((NOT (status = 'closed'::text)) AND (closed_at IS NULL)))),
    CONSTRAINT waitlist_requests_contact_value_bidx_has_length CHECK ((length(contact_value_bidx) <= 64)),
    CONSTRAINT waitlist_requests_contact_value_bidx_is_blind_index CHECK ((contact_value_bidx ~ '^v1\.[a-z0-9]{1,16}\.[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT waitlist_requests_contact_value_encrypted_has_length CHECK ((length(contact_value_encrypted) <= 400000)),
    CONSTRAINT waitlist_requests_contact_value_encrypted_is_sealed CHECK (public.is_sealed(contact_value_encrypted)),
    CONSTRAINT waitlist_requests_preferred_contact_in_set CHECK ((preferred_contact = ANY (ARRAY['email'::text, 'phone'::text, 'telegram'::text]))),
    CONSTRAINT waitlist_requests_preferred_time_window_in_set CHECK ((preferred_time_window = ANY (ARRAY['weekday_morning'::text, 'weekday_evening'::text, 'weekend'::text, 'any'::text]))),
    CONSTRAINT waitlist_requests_status_in_set CHECK ((status = ANY (ARRAY['new'::text, 'contacted'::text, 'closed'::text]))),
    CONSTRAINT waitlist_requests_times_finite CHECK ((public.is_finite(created_at) AND public.is_finite(closed_at)))
);
ALTER TABLE ONLY public.waitlist_requests ALTER COLUMN contact_value_encrypted SET STATISTICS 0;
ALTER TABLE ONLY public.waitlist_requests ALTER COLUMN contact_value_bidx SET STATISTICS 0;


--
-- Name: TABLE waitlist_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.waitlist_requests IS 'People waiting for a free time';


--
-- Name: COLUMN waitlist_requests.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.waitlist_requests.id IS 'P0 · UUIDv7, sortable by time';


--
-- Name: COLUMN waitlist_requests.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.waitlist_requests.user_id IS 'P0 · who waits, if registered';


--
-- Name: COLUMN waitlist_requests.lead_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.waitlist_requests.lead_id IS 'P0 · lead who waits';


--
-- Name: COLUMN waitlist_requests.service_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.waitlist_requests.service_id IS 'P0 · for which service';


--
-- Name: COLUMN waitlist_requests.preferred_contact; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.waitlist_requests.preferred_contact IS 'P0 · how to answer';


--
-- Name: COLUMN waitlist_requests.contact_value_encrypted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.waitlist_requests.contact_value_encrypted IS 'P1 · contact, sealed';


--
-- Name: COLUMN waitlist_requests.contact_value_bidx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.waitlist_requests.contact_value_bidx IS 'P1 · blind index of the contact';


--
-- Name: COLUMN waitlist_requests.preferred_time_window; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.waitlist_requests.preferred_time_window IS 'P0 · when it would suit';


--
-- Name: COLUMN waitlist_requests.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.waitlist_requests.status IS 'P0 · life cycle';


--
-- Name: COLUMN waitlist_requests.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.waitlist_requests.created_at IS 'P0 · when the row was written, UTC';


--
-- Name: COLUMN waitlist_requests.closed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.waitlist_requests.closed_at IS 'P0 · when closed, UTC';


--
-- Name: analytics_events analytics_events_event_id_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.analytics_events
    ADD CONSTRAINT analytics_events_event_id_unique UNIQUE (event_id);


--
-- Name: analytics_events analytics_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.analytics_events
    ADD CONSTRAINT analytics_events_pkey PRIMARY KEY (id);


--
-- Name: anonymous_questions anonymous_questions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.anonymous_questions
    ADD CONSTRAINT anonymous_questions_pkey PRIMARY KEY (id);


--
-- Name: appointments appointments_client_request_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.appointments
    ADD CONSTRAINT appointments_client_request_unique UNIQUE (client_request_id);


--
-- Name: appointments appointments_no_overlap; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.appointments
    ADD CONSTRAINT appointments_no_overlap EXCLUDE USING gist (public.busy_range(start_at_utc, end_at_utc, (buffer_minutes)::integer) WITH &&) WHERE ((status = ANY (ARRAY['pending_payment'::text, 'paid'::text, 'confirmed'::text])));


--
-- Name: appointments appointments_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.appointments
    ADD CONSTRAINT appointments_pkey PRIMARY KEY (id);


--
-- Name: appointments appointments_rescheduled_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.appointments
    ADD CONSTRAINT appointments_rescheduled_once UNIQUE (rescheduled_from_id);


--
-- Name: audit_checkpoints audit_checkpoints_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_checkpoints
    ADD CONSTRAINT audit_checkpoints_pkey PRIMARY KEY (id);


--
-- Name: audit_checkpoints audit_checkpoints_seq_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_checkpoints
    ADD CONSTRAINT audit_checkpoints_seq_unique UNIQUE (seq);


--
-- Name: audit_log_entries audit_log_entries_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_log_entries
    ADD CONSTRAINT audit_log_entries_pkey PRIMARY KEY (id);


--
-- Name: audit_log_entries audit_log_entries_seq_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_log_entries
    ADD CONSTRAINT audit_log_entries_seq_unique UNIQUE (seq);


--
-- Name: auth_group auth_group_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_name_key UNIQUE (name);


--
-- Name: auth_group_permissions auth_group_permissions_group_id_permission_id_0cd325b0_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_permission_id_0cd325b0_uniq UNIQUE (group_id, permission_id);


--
-- Name: auth_group_permissions auth_group_permissions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_pkey PRIMARY KEY (id);


--
-- Name: auth_group auth_group_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_pkey PRIMARY KEY (id);


--
-- Name: auth_permission auth_permission_content_type_id_codename_01ab375a_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_codename_01ab375a_uniq UNIQUE (content_type_id, codename);


--
-- Name: auth_permission auth_permission_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_pkey PRIMARY KEY (id);


--
-- Name: availability_slots availability_slots_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.availability_slots
    ADD CONSTRAINT availability_slots_once UNIQUE NULLS NOT DISTINCT (start_at_utc, end_at_utc, source, service_id);


--
-- Name: availability_slots availability_slots_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.availability_slots
    ADD CONSTRAINT availability_slots_pkey PRIMARY KEY (id);


--
-- Name: backfill_jobs backfill_jobs_name_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.backfill_jobs
    ADD CONSTRAINT backfill_jobs_name_unique UNIQUE (name);


--
-- Name: backfill_jobs backfill_jobs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.backfill_jobs
    ADD CONSTRAINT backfill_jobs_pkey PRIMARY KEY (id);


--
-- Name: consents consents_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.consents
    ADD CONSTRAINT consents_pkey PRIMARY KEY (id);


--
-- Name: content_item_tags content_item_tags_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_item_tags
    ADD CONSTRAINT content_item_tags_once UNIQUE (content_item_id, tag_id);


--
-- Name: content_item_tags content_item_tags_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_item_tags
    ADD CONSTRAINT content_item_tags_pkey PRIMARY KEY (id);


--
-- Name: content_item_topics content_item_topics_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_item_topics
    ADD CONSTRAINT content_item_topics_once UNIQUE (content_item_id, topic_code);


--
-- Name: content_item_topics content_item_topics_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_item_topics
    ADD CONSTRAINT content_item_topics_pkey PRIMARY KEY (id);


--
-- Name: content_items content_items_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_items
    ADD CONSTRAINT content_items_pkey PRIMARY KEY (id);


--
-- Name: content_items content_items_slug_unique_per_type; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_items
    ADD CONSTRAINT content_items_slug_unique_per_type UNIQUE (content_type, slug);


--
-- Name: content_media content_media_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_media
    ADD CONSTRAINT content_media_once UNIQUE (content_item_id, media_asset_id, usage);


--
-- Name: content_media content_media_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_media
    ADD CONSTRAINT content_media_pkey PRIMARY KEY (id);


--
-- Name: content_revisions content_revisions_once_per_item; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_revisions
    ADD CONSTRAINT content_revisions_once_per_item UNIQUE (content_item_id, revision);


--
-- Name: content_revisions content_revisions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_revisions
    ADD CONSTRAINT content_revisions_pkey PRIMARY KEY (id);


--
-- Name: curated_collections curated_collections_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curated_collections
    ADD CONSTRAINT curated_collections_pkey PRIMARY KEY (id);


--
-- Name: curated_collections curated_collections_slug_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curated_collections
    ADD CONSTRAINT curated_collections_slug_unique UNIQUE (slug);


--
-- Name: curated_items curated_items_content_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curated_items
    ADD CONSTRAINT curated_items_content_once UNIQUE (collection_id, content_item_id);


--
-- Name: curated_items curated_items_interactive_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curated_items
    ADD CONSTRAINT curated_items_interactive_once UNIQUE (collection_id, interactive_definition_id);


--
-- Name: curated_items curated_items_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curated_items
    ADD CONSTRAINT curated_items_pkey PRIMARY KEY (id);


--
-- Name: curated_items curated_items_position_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curated_items
    ADD CONSTRAINT curated_items_position_unique UNIQUE (collection_id, "position") DEFERRABLE INITIALLY DEFERRED;


--
-- Name: data_export_requests data_export_requests_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.data_export_requests
    ADD CONSTRAINT data_export_requests_pkey PRIMARY KEY (id);


--
-- Name: deep_links deep_links_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.deep_links
    ADD CONSTRAINT deep_links_pkey PRIMARY KEY (deep_link_id);


--
-- Name: diary_entries diary_entries_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.diary_entries
    ADD CONSTRAINT diary_entries_pkey PRIMARY KEY (id);


--
-- Name: django_admin_log django_admin_log_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_pkey PRIMARY KEY (id);


--
-- Name: django_content_type django_content_type_app_label_model_76bd3d3b_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_app_label_model_76bd3d3b_uniq UNIQUE (app_label, model);


--
-- Name: django_content_type django_content_type_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_pkey PRIMARY KEY (id);


--
-- Name: django_migrations django_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_migrations
    ADD CONSTRAINT django_migrations_pkey PRIMARY KEY (id);


--
-- Name: django_session django_session_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_session
    ADD CONSTRAINT django_session_pkey PRIMARY KEY (session_key);


--
-- Name: erasure_ledger erasure_ledger_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.erasure_ledger
    ADD CONSTRAINT erasure_ledger_pkey PRIMARY KEY (id);


--
-- Name: erasure_requests erasure_requests_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.erasure_requests
    ADD CONSTRAINT erasure_requests_pkey PRIMARY KEY (id);


--
-- Name: glossary_term_links glossary_term_links_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.glossary_term_links
    ADD CONSTRAINT glossary_term_links_once UNIQUE (term_id, content_item_id, link_type);


--
-- Name: glossary_term_links glossary_term_links_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.glossary_term_links
    ADD CONSTRAINT glossary_term_links_pkey PRIMARY KEY (id);


--
-- Name: glossary_term_synonyms glossary_term_synonyms_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.glossary_term_synonyms
    ADD CONSTRAINT glossary_term_synonyms_pkey PRIMARY KEY (id);


--
-- Name: glossary_terms glossary_terms_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.glossary_terms
    ADD CONSTRAINT glossary_terms_pkey PRIMARY KEY (id);


--
-- Name: glossary_terms glossary_terms_slug_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.glossary_terms
    ADD CONSTRAINT glossary_terms_slug_unique UNIQUE (slug);


--
-- Name: intake_forms intake_forms_one_per_appointment; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.intake_forms
    ADD CONSTRAINT intake_forms_one_per_appointment UNIQUE (appointment_id);


--
-- Name: intake_forms intake_forms_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.intake_forms
    ADD CONSTRAINT intake_forms_pkey PRIMARY KEY (id);


--
-- Name: interactive_definitions interactive_definitions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_definitions
    ADD CONSTRAINT interactive_definitions_pkey PRIMARY KEY (id);


--
-- Name: interactive_definitions interactive_definitions_slug_unique_per_type; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_definitions
    ADD CONSTRAINT interactive_definitions_slug_unique_per_type UNIQUE (interactive_type, slug);


--
-- Name: interactive_run_totals interactive_run_totals_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_run_totals
    ADD CONSTRAINT interactive_run_totals_once UNIQUE NULLS NOT DISTINCT (day, interactive_definition_id, status, result_level, result_profile, entry_point, crisis_triggered);


--
-- Name: interactive_run_totals interactive_run_totals_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_run_totals
    ADD CONSTRAINT interactive_run_totals_pkey PRIMARY KEY (id);


--
-- Name: interactive_runs interactive_runs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_runs
    ADD CONSTRAINT interactive_runs_pkey PRIMARY KEY (id);


--
-- Name: interactive_versions interactive_versions_once_per_definition; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_versions
    ADD CONSTRAINT interactive_versions_once_per_definition UNIQUE (interactive_definition_id, version);


--
-- Name: interactive_versions interactive_versions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_versions
    ADD CONSTRAINT interactive_versions_pkey PRIMARY KEY (id);


--
-- Name: key_rotations key_rotations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.key_rotations
    ADD CONSTRAINT key_rotations_pkey PRIMARY KEY (id);


--
-- Name: lead_identities lead_identities_anonymous_id_once_per_lead; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_identities
    ADD CONSTRAINT lead_identities_anonymous_id_once_per_lead UNIQUE (lead_id, anonymous_id);


--
-- Name: lead_identities lead_identities_email_bidx_once_per_lead; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_identities
    ADD CONSTRAINT lead_identities_email_bidx_once_per_lead UNIQUE (lead_id, email_bidx);


--
-- Name: lead_identities lead_identities_phone_bidx_once_per_lead; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_identities
    ADD CONSTRAINT lead_identities_phone_bidx_once_per_lead UNIQUE (lead_id, phone_bidx);


--
-- Name: lead_identities lead_identities_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_identities
    ADD CONSTRAINT lead_identities_pkey PRIMARY KEY (id);


--
-- Name: lead_identities lead_identities_telegram_user_id_once_per_lead; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_identities
    ADD CONSTRAINT lead_identities_telegram_user_id_once_per_lead UNIQUE (lead_id, telegram_user_id);


--
-- Name: lead_identities lead_identities_user_once_per_lead; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_identities
    ADD CONSTRAINT lead_identities_user_once_per_lead UNIQUE (lead_id, user_id);


--
-- Name: lead_notes lead_notes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_notes
    ADD CONSTRAINT lead_notes_pkey PRIMARY KEY (id);


--
-- Name: lead_timeline_events lead_timeline_events_event_id_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_timeline_events
    ADD CONSTRAINT lead_timeline_events_event_id_unique UNIQUE (event_id);


--
-- Name: lead_timeline_events lead_timeline_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_timeline_events
    ADD CONSTRAINT lead_timeline_events_pkey PRIMARY KEY (id);


--
-- Name: leads leads_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leads
    ADD CONSTRAINT leads_pkey PRIMARY KEY (id);


--
-- Name: leases leases_name_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_name_unique UNIQUE (name);


--
-- Name: leases leases_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (id);


--
-- Name: locks locks_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.locks
    ADD CONSTRAINT locks_once UNIQUE (kind, number);


--
-- Name: locks locks_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.locks
    ADD CONSTRAINT locks_pkey PRIMARY KEY (id);


--
-- Name: login_limits login_limits_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.login_limits
    ADD CONSTRAINT login_limits_once UNIQUE (key_hash);


--
-- Name: login_limits login_limits_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.login_limits
    ADD CONSTRAINT login_limits_pkey PRIMARY KEY (id);


--
-- Name: media_assets media_assets_object_key_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media_assets
    ADD CONSTRAINT media_assets_object_key_unique UNIQUE (object_key);


--
-- Name: media_assets media_assets_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media_assets
    ADD CONSTRAINT media_assets_pkey PRIMARY KEY (id);


--
-- Name: message_deliveries message_deliveries_dedupe_key_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_deliveries
    ADD CONSTRAINT message_deliveries_dedupe_key_unique UNIQUE (dedupe_key);


--
-- Name: message_deliveries message_deliveries_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_deliveries
    ADD CONSTRAINT message_deliveries_pkey PRIMARY KEY (id);


--
-- Name: message_template_versions message_template_versions_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_template_versions
    ADD CONSTRAINT message_template_versions_once UNIQUE (template_id, version);


--
-- Name: message_template_versions message_template_versions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_template_versions
    ADD CONSTRAINT message_template_versions_pkey PRIMARY KEY (id);


--
-- Name: message_templates message_templates_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_templates
    ADD CONSTRAINT message_templates_once UNIQUE (channel, category, name, language);


--
-- Name: message_templates message_templates_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_templates
    ADD CONSTRAINT message_templates_pkey PRIMARY KEY (id);


--
-- Name: migration_steps migration_steps_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.migration_steps
    ADD CONSTRAINT migration_steps_once UNIQUE (app_label, name, step);


--
-- Name: migration_steps migration_steps_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.migration_steps
    ADD CONSTRAINT migration_steps_pkey PRIMARY KEY (id);


--
-- Name: moderation_totals moderation_totals_one_per_day; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moderation_totals
    ADD CONSTRAINT moderation_totals_one_per_day UNIQUE (day);


--
-- Name: moderation_totals moderation_totals_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moderation_totals
    ADD CONSTRAINT moderation_totals_pkey PRIMARY KEY (id);


--
-- Name: outbox_events outbox_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox_events
    ADD CONSTRAINT outbox_events_pkey PRIMARY KEY (id);


--
-- Name: payment_webhook_events payment_webhook_events_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payment_webhook_events
    ADD CONSTRAINT payment_webhook_events_once UNIQUE (provider, provider_event_id);


--
-- Name: payment_webhook_events payment_webhook_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payment_webhook_events
    ADD CONSTRAINT payment_webhook_events_pkey PRIMARY KEY (id);


--
-- Name: payments payments_idempotency_key_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_idempotency_key_unique UNIQUE (idempotency_key);


--
-- Name: payments payments_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_pkey PRIMARY KEY (id);


--
-- Name: payments payments_provider_payment_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_provider_payment_unique UNIQUE (provider, provider_payment_id);


--
-- Name: question_answers question_answers_one_per_question; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.question_answers
    ADD CONSTRAINT question_answers_one_per_question UNIQUE (question_id);


--
-- Name: question_answers question_answers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.question_answers
    ADD CONSTRAINT question_answers_pkey PRIMARY KEY (id);


--
-- Name: recovery_codes recovery_codes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT recovery_codes_pkey PRIMARY KEY (id);


--
-- Name: refunds refunds_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_pkey PRIMARY KEY (id);


--
-- Name: refunds refunds_provider_refund_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_provider_refund_unique UNIQUE (provider_refund_id);


--
-- Name: review_publication_consents review_publication_consents_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.review_publication_consents
    ADD CONSTRAINT review_publication_consents_pkey PRIMARY KEY (id);


--
-- Name: reviews reviews_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reviews
    ADD CONSTRAINT reviews_pkey PRIMARY KEY (id);


--
-- Name: roles roles_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.roles
    ADD CONSTRAINT roles_pkey PRIMARY KEY (code);


--
-- Name: schedule_exceptions schedule_exceptions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schedule_exceptions
    ADD CONSTRAINT schedule_exceptions_pkey PRIMARY KEY (id);


--
-- Name: schedule_rules schedule_rules_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schedule_rules
    ADD CONSTRAINT schedule_rules_pkey PRIMARY KEY (id);


--
-- Name: second_factors second_factors_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.second_factors
    ADD CONSTRAINT second_factors_pkey PRIMARY KEY (id);


--
-- Name: services services_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.services
    ADD CONSTRAINT services_pkey PRIMARY KEY (id);


--
-- Name: services services_slug_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.services
    ADD CONSTRAINT services_slug_unique UNIQUE (slug);


--
-- Name: session_notes session_notes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.session_notes
    ADD CONSTRAINT session_notes_pkey PRIMARY KEY (id);


--
-- Name: system_settings system_settings_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.system_settings
    ADD CONSTRAINT system_settings_pkey PRIMARY KEY (key);


--
-- Name: tags tags_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (id);


--
-- Name: tags tags_slug_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_slug_unique UNIQUE (slug);


--
-- Name: topics topics_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.topics
    ADD CONSTRAINT topics_pkey PRIMARY KEY (code);


--
-- Name: tracking_event_params tracking_event_params_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tracking_event_params
    ADD CONSTRAINT tracking_event_params_once UNIQUE (event_name, name);


--
-- Name: tracking_event_params tracking_event_params_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tracking_event_params
    ADD CONSTRAINT tracking_event_params_pkey PRIMARY KEY (id);


--
-- Name: tracking_events tracking_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tracking_events
    ADD CONSTRAINT tracking_events_pkey PRIMARY KEY (event_name);


--
-- Name: ugc_moderation_actions ugc_moderation_actions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ugc_moderation_actions
    ADD CONSTRAINT ugc_moderation_actions_pkey PRIMARY KEY (id);


--
-- Name: user_roles user_roles_once_per_user; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.user_roles
    ADD CONSTRAINT user_roles_once_per_user UNIQUE (user_id, role_code);


--
-- Name: user_roles user_roles_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.user_roles
    ADD CONSTRAINT user_roles_pkey PRIMARY KEY (id);


--
-- Name: users users_email_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email_unique UNIQUE (email);


--
-- Name: users users_phone_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_phone_unique UNIQUE (phone);


--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


--
-- Name: users users_telegram_user_id_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_telegram_user_id_unique UNIQUE (telegram_user_id);


--
-- Name: waitlist_requests waitlist_requests_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.waitlist_requests
    ADD CONSTRAINT waitlist_requests_pkey PRIMARY KEY (id);


--
-- Name: analytics_events_by_event; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX analytics_events_by_event ON public.analytics_events USING btree (event_name, occurred_at);


--
-- Name: INDEX analytics_events_by_event; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.analytics_events_by_event IS 'metrics: funnels of a period';


--
-- Name: analytics_events_by_receipt; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX analytics_events_by_receipt ON public.analytics_events USING btree (received_at);


--
-- Name: INDEX analytics_events_by_receipt; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.analytics_events_by_receipt IS 'purge_expired';


--
-- Name: analytics_events_cta_by_session; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX analytics_events_cta_by_session ON public.analytics_events USING btree (session_id, occurred_at) WHERE ((session_id IS NOT NULL) AND (event_name = 'cta_click'::text));


--
-- Name: INDEX analytics_events_cta_by_session; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.analytics_events_cta_by_session IS 'metrics, purge_expired: calls to action of a visit';


--
-- Name: anonymous_questions_answer_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX anonymous_questions_answer_due ON public.anonymous_questions USING btree (answer_due_at) WHERE (status = 'approved'::text);


--
-- Name: INDEX anonymous_questions_answer_due; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.anonymous_questions_answer_due IS 'admin: the psychologist''s queue, oldest due first';


--
-- Name: anonymous_questions_answered; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX anonymous_questions_answered ON public.anonymous_questions USING btree (answered_at) WHERE (answered_at IS NOT NULL);


--
-- Name: INDEX anonymous_questions_answered; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.anonymous_questions_answered IS 'purge_expired, 90 days after the answer';


--
-- Name: anonymous_questions_by_submission; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX anonymous_questions_by_submission ON public.anonymous_questions USING btree (submitted_at);


--
-- Name: INDEX anonymous_questions_by_submission; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.anonymous_questions_by_submission IS 'metrics: moderation times of a period; purge_expired';


--
-- Name: anonymous_questions_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX anonymous_questions_by_user ON public.anonymous_questions USING btree (user_id);


--
-- Name: INDEX anonymous_questions_by_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.anonymous_questions_by_user IS 'a person''s; export';


--
-- Name: anonymous_questions_decided; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX anonymous_questions_decided ON public.anonymous_questions USING btree (moderated_at) WHERE (status = ANY (ARRAY['approved'::text, 'rejected'::text]));


--
-- Name: INDEX anonymous_questions_decided; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.anonymous_questions_decided IS 'purge_expired: rejected questions, approved ones without an answer';


--
-- Name: anonymous_questions_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX anonymous_questions_due ON public.anonymous_questions USING btree (due_at) WHERE (status = ANY (ARRAY['pending'::text, 'flagged'::text]));


--
-- Name: INDEX anonymous_questions_due; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.anonymous_questions_due IS 'admin: the moderation queue, oldest due first';


--
-- Name: anonymous_questions_moderation_queue; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX anonymous_questions_moderation_queue ON public.anonymous_questions USING btree (status, submitted_at) WHERE (status = ANY (ARRAY['pending'::text, 'flagged'::text]));


--
-- Name: INDEX anonymous_questions_moderation_queue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.anonymous_questions_moderation_queue IS 'admin: the moderation queue';


--
-- Name: appointments_by_client; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX appointments_by_client ON public.appointments USING btree (client_user_id, start_at_utc DESC);


--
-- Name: INDEX appointments_by_client; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.appointments_by_client IS 'a client''s';


--
-- Name: appointments_by_lead; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX appointments_by_lead ON public.appointments USING btree (lead_id, start_at_utc DESC);


--
-- Name: INDEX appointments_by_lead; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.appointments_by_lead IS 'a lead''s';


--
-- Name: appointments_by_service; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX appointments_by_service ON public.appointments USING btree (service_id);


--
-- Name: INDEX appointments_by_service; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.appointments_by_service IS 'the delete check';


--
-- Name: appointments_by_slot; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX appointments_by_slot ON public.appointments USING btree (slot_id);


--
-- Name: INDEX appointments_by_slot; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.appointments_by_slot IS 'appointments of a slot; delete';


--
-- Name: appointments_by_time; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX appointments_by_time ON public.appointments USING btree (start_at_utc, status);


--
-- Name: INDEX appointments_by_time; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.appointments_by_time IS 'admin: the calendar; conflicts';


--
-- Name: appointments_by_topic; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX appointments_by_topic ON public.appointments USING btree (topic_code);


--
-- Name: INDEX appointments_by_topic; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.appointments_by_topic IS 'metrics by topic; delete';


--
-- Name: appointments_one_blocking_per_slot; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX appointments_one_blocking_per_slot ON public.appointments USING btree (slot_id) WHERE ((slot_id IS NOT NULL) AND (status = ANY (ARRAY['pending_payment'::text, 'paid'::text, 'confirmed'::text])));


--
-- Name: appointments_stale_holds; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX appointments_stale_holds ON public.appointments USING btree (hold_expires_at) WHERE (status = 'pending_payment'::text);


--
-- Name: INDEX appointments_stale_holds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.appointments_stale_holds IS 'expire_holds';


--
-- Name: audit_log_entries_by_actor; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX audit_log_entries_by_actor ON public.audit_log_entries USING btree (actor_user_id, seq);


--
-- Name: INDEX audit_log_entries_by_actor; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.audit_log_entries_by_actor IS 'what a person did';


--
-- Name: audit_log_entries_of_entity; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX audit_log_entries_of_entity ON public.audit_log_entries USING btree (entity_type, entity_id, seq);


--
-- Name: INDEX audit_log_entries_of_entity; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.audit_log_entries_of_entity IS 'history of a row';


--
-- Name: auth_group_permissions_group_id_b120cbf9; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_group_permissions_group_id_b120cbf9 ON public.auth_group_permissions USING btree (group_id);


--
-- Name: auth_group_permissions_permission_id_84c5c92e; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_group_permissions_permission_id_84c5c92e ON public.auth_group_permissions USING btree (permission_id);


--
-- Name: auth_permission_content_type_id_2f476e4b; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_permission_content_type_id_2f476e4b ON public.auth_permission USING btree (content_type_id);


--
-- Name: availability_slots_by_rule; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX availability_slots_by_rule ON public.availability_slots USING btree (schedule_rule_id, start_at_utc);


--
-- Name: INDEX availability_slots_by_rule; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.availability_slots_by_rule IS 'generate_slots: slots to withdraw; delete';


--
-- Name: availability_slots_by_service; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX availability_slots_by_service ON public.availability_slots USING btree (service_id);


--
-- Name: INDEX availability_slots_by_service; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.availability_slots_by_service IS 'the delete check';


--
-- Name: availability_slots_by_source; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX availability_slots_by_source ON public.availability_slots USING btree (source, start_at_utc);


--
-- Name: INDEX availability_slots_by_source; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.availability_slots_by_source IS 'calendar sync: slots of a source';


--
-- Name: availability_slots_free; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX availability_slots_free ON public.availability_slots USING btree (start_at_utc, status);


--
-- Name: INDEX availability_slots_free; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.availability_slots_free IS 'site: free slots of a period';


--
-- Name: consents_by_lead; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX consents_by_lead ON public.consents USING btree (lead_id, granted_at);


--
-- Name: INDEX consents_by_lead; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.consents_by_lead IS 'history of a lead';


--
-- Name: consents_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX consents_by_user ON public.consents USING btree (user_id, granted_at);


--
-- Name: INDEX consents_by_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.consents_by_user IS 'history of a person';


--
-- Name: consents_one_active_per_lead; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX consents_one_active_per_lead ON public.consents USING btree (lead_id, consent_type) WHERE (granted AND (lead_id IS NOT NULL) AND (revoked_at IS NULL));


--
-- Name: consents_one_active_per_user; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX consents_one_active_per_user ON public.consents USING btree (user_id, consent_type) WHERE (granted AND (revoked_at IS NULL) AND (user_id IS NOT NULL));


--
-- Name: content_item_tags_by_tag; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX content_item_tags_by_tag ON public.content_item_tags USING btree (tag_id, content_item_id);


--
-- Name: INDEX content_item_tags_by_tag; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.content_item_tags_by_tag IS 'items of a tag';


--
-- Name: content_item_topics_by_topic; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX content_item_topics_by_topic ON public.content_item_topics USING btree (topic_code, content_item_id);


--
-- Name: INDEX content_item_topics_by_topic; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.content_item_topics_by_topic IS 'items of a topic with few items; the delete check';


--
-- Name: content_items_by_address; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX content_items_by_address ON public.content_items USING btree (content_type, slug, status);


--
-- Name: INDEX content_items_by_address; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.content_items_by_address IS 'site: one item by kind, slug and status';


--
-- Name: content_items_by_author; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX content_items_by_author ON public.content_items USING btree (author_user_id);


--
-- Name: INDEX content_items_by_author; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.content_items_by_author IS 'the delete check';


--
-- Name: content_items_newest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX content_items_newest ON public.content_items USING btree (published_at DESC, id DESC) WHERE (status = 'published'::text);


--
-- Name: INDEX content_items_newest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.content_items_newest IS 'site: published items of a topic, newest first';


--
-- Name: content_items_newest_published; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX content_items_newest_published ON public.content_items USING btree (content_type, published_at DESC) WHERE (status = 'published'::text);


--
-- Name: INDEX content_items_newest_published; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.content_items_newest_published IS 'site: newest published of a kind';


--
-- Name: content_items_review_queue; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX content_items_review_queue ON public.content_items USING btree (updated_at) WHERE (status = 'review'::text);


--
-- Name: INDEX content_items_review_queue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.content_items_review_queue IS 'admin: the editor''s review queue, longest waiting first';


--
-- Name: content_media_by_asset; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX content_media_by_asset ON public.content_media USING btree (media_asset_id);


--
-- Name: INDEX content_media_by_asset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.content_media_by_asset IS 'where a file is used';


--
-- Name: content_media_one_cover; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX content_media_one_cover ON public.content_media USING btree (content_item_id) WHERE (usage = 'cover'::text);


--
-- Name: content_revisions_by_editor; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX content_revisions_by_editor ON public.content_revisions USING btree (changed_by_user_id);


--
-- Name: INDEX content_revisions_by_editor; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.content_revisions_by_editor IS 'the delete check';


--
-- Name: curated_collections_by_topic; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX curated_collections_by_topic ON public.curated_collections USING btree (topic_code);


--
-- Name: INDEX curated_collections_by_topic; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.curated_collections_by_topic IS 'collections of a topic';


--
-- Name: curated_items_by_content; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX curated_items_by_content ON public.curated_items USING btree (content_item_id);


--
-- Name: INDEX curated_items_by_content; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.curated_items_by_content IS 'the delete check';


--
-- Name: curated_items_by_interactive; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX curated_items_by_interactive ON public.curated_items USING btree (interactive_definition_id);


--
-- Name: INDEX curated_items_by_interactive; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.curated_items_by_interactive IS 'the delete check';


--
-- Name: data_export_requests_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX data_export_requests_by_user ON public.data_export_requests USING btree (user_id);


--
-- Name: INDEX data_export_requests_by_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.data_export_requests_by_user IS 'a person''s exports; the delete check';


--
-- Name: data_export_requests_over; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX data_export_requests_over ON public.data_export_requests USING btree (created_at) WHERE (status = ANY (ARRAY['ready'::text, 'failed'::text]));


--
-- Name: INDEX data_export_requests_over; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.data_export_requests_over IS 'purge_expired, 90 days';


--
-- Name: data_export_requests_queue; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX data_export_requests_queue ON public.data_export_requests USING btree (created_at) WHERE (status = ANY (ARRAY['requested'::text, 'processing'::text]));


--
-- Name: INDEX data_export_requests_queue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.data_export_requests_queue IS 'process_exports: what is to be done, oldest first';


--
-- Name: deep_links_by_expiry; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX deep_links_by_expiry ON public.deep_links USING btree (expires_at);


--
-- Name: INDEX deep_links_by_expiry; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.deep_links_by_expiry IS 'purge_expired';


--
-- Name: deep_links_by_lead; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX deep_links_by_lead ON public.deep_links USING btree (lead_id);


--
-- Name: INDEX deep_links_by_lead; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.deep_links_by_lead IS 'links of a lead; erasure';


--
-- Name: deep_links_by_topic; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX deep_links_by_topic ON public.deep_links USING btree (topic_code);


--
-- Name: INDEX deep_links_by_topic; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.deep_links_by_topic IS 'the delete check';


--
-- Name: diary_entries_deleted; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX diary_entries_deleted ON public.diary_entries USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);


--
-- Name: INDEX diary_entries_deleted; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.diary_entries_deleted IS 'purge_expired, 30 days';


--
-- Name: diary_entries_of_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX diary_entries_of_user ON public.diary_entries USING btree (user_id, entry_date DESC);


--
-- Name: INDEX diary_entries_of_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.diary_entries_of_user IS 'the author''s diary; export';


--
-- Name: django_admin_log_content_type_id_c4bce8eb; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX django_admin_log_content_type_id_c4bce8eb ON public.django_admin_log USING btree (content_type_id);


--
-- Name: django_admin_log_user_id_c564eba6; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX django_admin_log_user_id_c564eba6 ON public.django_admin_log USING btree (user_id);


--
-- Name: django_session_expire_date_a5c62663; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX django_session_expire_date_a5c62663 ON public.django_session USING btree (expire_date);


--
-- Name: erasure_ledger_by_subject; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX erasure_ledger_by_subject ON public.erasure_ledger USING btree (subject_id);


--
-- Name: INDEX erasure_ledger_by_subject; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.erasure_ledger_by_subject IS 'replay_erasures';


--
-- Name: erasure_requests_by_requester; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX erasure_requests_by_requester ON public.erasure_requests USING btree (requested_by_user_id);


--
-- Name: INDEX erasure_requests_by_requester; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.erasure_requests_by_requester IS 'the delete check';


--
-- Name: erasure_requests_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX erasure_requests_by_user ON public.erasure_requests USING btree (user_id);


--
-- Name: INDEX erasure_requests_by_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.erasure_requests_by_user IS 'a person''s requests; the delete check';


--
-- Name: erasure_requests_one_open_per_user; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX erasure_requests_one_open_per_user ON public.erasure_requests USING btree (user_id) WHERE (status = 'requested'::text);


--
-- Name: erasure_requests_over; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX erasure_requests_over ON public.erasure_requests USING btree (completed_at) WHERE (completed_at IS NOT NULL);


--
-- Name: INDEX erasure_requests_over; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.erasure_requests_over IS 'purge_expired, 90 days';


--
-- Name: erasure_requests_queue; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX erasure_requests_queue ON public.erasure_requests USING btree (created_at) WHERE (status = 'requested'::text);


--
-- Name: INDEX erasure_requests_queue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.erasure_requests_queue IS 'process_erasure_requests: what is to be done, oldest first';


--
-- Name: glossary_term_links_by_item; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX glossary_term_links_by_item ON public.glossary_term_links USING btree (content_item_id);


--
-- Name: INDEX glossary_term_links_by_item; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.glossary_term_links_by_item IS 'terms of an item';


--
-- Name: glossary_term_synonyms_once_per_term; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX glossary_term_synonyms_once_per_term ON public.glossary_term_synonyms USING btree (term_id, lower(synonym));


--
-- Name: intake_forms_by_creation; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX intake_forms_by_creation ON public.intake_forms USING btree (created_at);


--
-- Name: INDEX intake_forms_by_creation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.intake_forms_by_creation IS 'purge_expired';


--
-- Name: interactive_definitions_by_topic; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX interactive_definitions_by_topic ON public.interactive_definitions USING btree (topic_code);


--
-- Name: INDEX interactive_definitions_by_topic; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.interactive_definitions_by_topic IS 'those of a topic';


--
-- Name: interactive_run_totals_by_definition; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX interactive_run_totals_by_definition ON public.interactive_run_totals USING btree (interactive_definition_id, day);


--
-- Name: INDEX interactive_run_totals_by_definition; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.interactive_run_totals_by_definition IS 'metrics: an interactive''s runs of a period; the delete check';


--
-- Name: interactive_runs_by_definition; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX interactive_runs_by_definition ON public.interactive_runs USING btree (interactive_definition_id, started_at);


--
-- Name: INDEX interactive_runs_by_definition; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.interactive_runs_by_definition IS 'metrics: starts, completions and levels of an interactive';


--
-- Name: interactive_runs_by_session; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX interactive_runs_by_session ON public.interactive_runs USING btree (session_id) WHERE (session_id IS NOT NULL);


--
-- Name: INDEX interactive_runs_by_session; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.interactive_runs_by_session IS 'erasure: runs of the visits that it unlinks';


--
-- Name: interactive_runs_by_start; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX interactive_runs_by_start ON public.interactive_runs USING btree (started_at);


--
-- Name: INDEX interactive_runs_by_start; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.interactive_runs_by_start IS 'purge_expired, 90 days';


--
-- Name: interactive_runs_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX interactive_runs_by_user ON public.interactive_runs USING btree (user_id);


--
-- Name: INDEX interactive_runs_by_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.interactive_runs_by_user IS 'a person''s runs; export';


--
-- Name: interactive_versions_by_author; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX interactive_versions_by_author ON public.interactive_versions USING btree (created_by_user_id);


--
-- Name: INDEX interactive_versions_by_author; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.interactive_versions_by_author IS 'the delete check';


--
-- Name: key_rotations_one_open_per_table; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX key_rotations_one_open_per_table ON public.key_rotations USING btree (table_name) WHERE (finished_at IS NULL);


--
-- Name: lead_identities_by_anonymous_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_identities_by_anonymous_id ON public.lead_identities USING btree (anonymous_id);


--
-- Name: INDEX lead_identities_by_anonymous_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.lead_identities_by_anonymous_id IS 'record_event: whose lead';


--
-- Name: lead_identities_by_creation; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_identities_by_creation ON public.lead_identities USING btree (created_at);


--
-- Name: INDEX lead_identities_by_creation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.lead_identities_by_creation IS 'purge_expired';


--
-- Name: lead_identities_by_email; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_identities_by_email ON public.lead_identities USING btree (email_bidx);


--
-- Name: INDEX lead_identities_by_email; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.lead_identities_by_email IS 'find_by_contact';


--
-- Name: lead_identities_by_phone; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_identities_by_phone ON public.lead_identities USING btree (phone_bidx);


--
-- Name: INDEX lead_identities_by_phone; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.lead_identities_by_phone IS 'find_by_contact';


--
-- Name: lead_identities_by_telegram; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_identities_by_telegram ON public.lead_identities USING btree (telegram_user_id);


--
-- Name: INDEX lead_identities_by_telegram; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.lead_identities_by_telegram IS 'find_by_contact';


--
-- Name: lead_identities_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_identities_by_user ON public.lead_identities USING btree (user_id);


--
-- Name: INDEX lead_identities_by_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.lead_identities_by_user IS 'leads of a person; erasure';


--
-- Name: lead_identities_one_primary; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX lead_identities_one_primary ON public.lead_identities USING btree (lead_id) WHERE is_primary;


--
-- Name: lead_notes_by_author; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_notes_by_author ON public.lead_notes USING btree (author_user_id);


--
-- Name: INDEX lead_notes_by_author; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.lead_notes_by_author IS 'the delete check';


--
-- Name: lead_notes_of_lead; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_notes_of_lead ON public.lead_notes USING btree (lead_id, created_at DESC);


--
-- Name: INDEX lead_notes_of_lead; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.lead_notes_of_lead IS 'a lead''s notes';


--
-- Name: lead_timeline_events_by_event; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_timeline_events_by_event ON public.lead_timeline_events USING btree (event_name);


--
-- Name: INDEX lead_timeline_events_by_event; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.lead_timeline_events_by_event IS 'the delete check';


--
-- Name: lead_timeline_events_of_lead; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lead_timeline_events_of_lead ON public.lead_timeline_events USING btree (lead_id, occurred_at DESC);


--
-- Name: INDEX lead_timeline_events_of_lead; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.lead_timeline_events_of_lead IS 'a lead''s timeline, newest first';


--
-- Name: leads_by_status; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX leads_by_status ON public.leads USING btree (status, created_at DESC);


--
-- Name: INDEX leads_by_status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.leads_by_status IS 'admin: the funnel';


--
-- Name: leads_by_topic; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX leads_by_topic ON public.leads USING btree (topic_code);


--
-- Name: INDEX leads_by_topic; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.leads_by_topic IS 'leads of a topic; delete';


--
-- Name: leads_merged_into_lead; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX leads_merged_into_lead ON public.leads USING btree (merged_into_id) WHERE (merged_into_id IS NOT NULL);


--
-- Name: INDEX leads_merged_into_lead; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.leads_merged_into_lead IS 'DataSubject: the leads that were merged into one';


--
-- Name: leads_newest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX leads_newest ON public.leads USING btree (created_at DESC);


--
-- Name: INDEX leads_newest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.leads_newest IS 'admin: newest leads first';


--
-- Name: leases_expires_at; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX leases_expires_at ON public.leases USING btree (expires_at);


--
-- Name: INDEX leases_expires_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.leases_expires_at IS 'purge_expired, at the end';


--
-- Name: login_limits_expires_at; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX login_limits_expires_at ON public.login_limits USING btree (expires_at);


--
-- Name: INDEX login_limits_expires_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.login_limits_expires_at IS 'purge_expired';


--
-- Name: media_assets_by_uploader; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX media_assets_by_uploader ON public.media_assets USING btree (uploaded_by_user_id);


--
-- Name: INDEX media_assets_by_uploader; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.media_assets_by_uploader IS 'the delete check';


--
-- Name: media_assets_newest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX media_assets_newest ON public.media_assets USING btree (created_at DESC);


--
-- Name: INDEX media_assets_newest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.media_assets_newest IS 'admin: newest files first';


--
-- Name: message_deliveries_by_appointment; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX message_deliveries_by_appointment ON public.message_deliveries USING btree (appointment_id);


--
-- Name: INDEX message_deliveries_by_appointment; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.message_deliveries_by_appointment IS 'messages of a session';


--
-- Name: message_deliveries_by_creation; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX message_deliveries_by_creation ON public.message_deliveries USING btree (created_at);


--
-- Name: INDEX message_deliveries_by_creation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.message_deliveries_by_creation IS 'purge_expired';


--
-- Name: message_deliveries_by_lead; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX message_deliveries_by_lead ON public.message_deliveries USING btree (lead_id, due_at DESC);


--
-- Name: INDEX message_deliveries_by_lead; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.message_deliveries_by_lead IS 'a lead''s';


--
-- Name: message_deliveries_by_template; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX message_deliveries_by_template ON public.message_deliveries USING btree (template_version_id);


--
-- Name: INDEX message_deliveries_by_template; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.message_deliveries_by_template IS 'the delete check';


--
-- Name: message_deliveries_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX message_deliveries_by_user ON public.message_deliveries USING btree (user_id, due_at DESC);


--
-- Name: INDEX message_deliveries_by_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.message_deliveries_by_user IS 'a person''s';


--
-- Name: message_deliveries_claimed; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX message_deliveries_claimed ON public.message_deliveries USING btree (claimed_until) WHERE (status = 'sending'::text);


--
-- Name: INDEX message_deliveries_claimed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.message_deliveries_claimed IS 'claims that ran out';


--
-- Name: message_deliveries_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX message_deliveries_due ON public.message_deliveries USING btree (due_at) WHERE (status = 'scheduled'::text);


--
-- Name: INDEX message_deliveries_due; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.message_deliveries_due IS 'claim_due_messages';


--
-- Name: message_template_versions_by_author; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX message_template_versions_by_author ON public.message_template_versions USING btree (updated_by_user_id);


--
-- Name: INDEX message_template_versions_by_author; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.message_template_versions_by_author IS 'delete check';


--
-- Name: outbox_events_heads; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_events_heads ON public.outbox_events USING btree (aggregate_type, aggregate_id, id) WHERE (published_at IS NULL);


--
-- Name: INDEX outbox_events_heads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.outbox_events_heads IS 'relay_outbox: the first unpublished event of a row, and those behind it';


--
-- Name: outbox_events_next; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_events_next ON public.outbox_events USING btree (available_at, id) WHERE (published_at IS NULL);


--
-- Name: INDEX outbox_events_next; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.outbox_events_next IS 'relay_outbox: the next unpublished, oldest first, skipping locked';


--
-- Name: outbox_events_of_aggregate; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_events_of_aggregate ON public.outbox_events USING btree (aggregate_type, aggregate_id, created_at);


--
-- Name: INDEX outbox_events_of_aggregate; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.outbox_events_of_aggregate IS 'events of a row, in order';


--
-- Name: outbox_events_published; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_events_published ON public.outbox_events USING btree (published_at) WHERE (published_at IS NOT NULL);


--
-- Name: INDEX outbox_events_published; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.outbox_events_published IS 'relay_outbox --status: sent in the last minute; retention';


--
-- Name: payment_webhook_events_by_payment; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX payment_webhook_events_by_payment ON public.payment_webhook_events USING btree (provider_payment_id);


--
-- Name: INDEX payment_webhook_events_by_payment; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.payment_webhook_events_by_payment IS 'deliveries about a payment';


--
-- Name: payment_webhook_events_processed; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX payment_webhook_events_processed ON public.payment_webhook_events USING btree (processed_at) WHERE (processed_at IS NOT NULL);


--
-- Name: INDEX payment_webhook_events_processed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.payment_webhook_events_processed IS 'purge_expired, 90 days';


--
-- Name: payment_webhook_events_unprocessed; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX payment_webhook_events_unprocessed ON public.payment_webhook_events USING btree (received_at) WHERE (processed_at IS NULL);


--
-- Name: INDEX payment_webhook_events_unprocessed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.payment_webhook_events_unprocessed IS 'process_webhooks: what is to be done, oldest first';


--
-- Name: payments_by_appointment; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX payments_by_appointment ON public.payments USING btree (appointment_id);


--
-- Name: INDEX payments_by_appointment; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.payments_by_appointment IS 'what was paid for it';


--
-- Name: payments_by_recorder; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX payments_by_recorder ON public.payments USING btree (recorded_by_user_id);


--
-- Name: INDEX payments_by_recorder; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.payments_by_recorder IS 'the delete check';


--
-- Name: payments_by_success; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX payments_by_success ON public.payments USING btree (confirmed_at) WHERE (status = 'succeeded'::text);


--
-- Name: INDEX payments_by_success; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.payments_by_success IS 'metrics: GMV and AOV of a period';


--
-- Name: payments_one_yookassa_success_per_purpose; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX payments_one_yookassa_success_per_purpose ON public.payments USING btree (appointment_id, purpose) WHERE ((provider = 'yookassa'::text) AND (status = 'succeeded'::text));


--
-- Name: question_answers_by_author; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX question_answers_by_author ON public.question_answers USING btree (answered_by_user_id);


--
-- Name: INDEX question_answers_by_author; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.question_answers_by_author IS 'the delete check';


--
-- Name: recovery_codes_by_factor; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX recovery_codes_by_factor ON public.recovery_codes USING btree (second_factor_id);


--
-- Name: INDEX recovery_codes_by_factor; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.recovery_codes_by_factor IS 'login with a recovery code';


--
-- Name: refunds_by_payment; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX refunds_by_payment ON public.refunds USING btree (payment_id);


--
-- Name: INDEX refunds_by_payment; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.refunds_by_payment IS 'what was given back of a payment';


--
-- Name: refunds_by_recorder; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX refunds_by_recorder ON public.refunds USING btree (recorded_by_user_id);


--
-- Name: INDEX refunds_by_recorder; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.refunds_by_recorder IS 'the delete check';


--
-- Name: refunds_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX refunds_due ON public.refunds USING btree (requested_at) WHERE (status = 'due'::text);


--
-- Name: INDEX refunds_due; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.refunds_due IS 'admin: what is due, oldest first';


--
-- Name: review_publication_consents_by_review; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX review_publication_consents_by_review ON public.review_publication_consents USING btree (review_id);


--
-- Name: INDEX review_publication_consents_by_review; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.review_publication_consents_by_review IS 'history of a review';


--
-- Name: review_publication_consents_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX review_publication_consents_by_user ON public.review_publication_consents USING btree (user_id);


--
-- Name: INDEX review_publication_consents_by_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.review_publication_consents_by_user IS 'a person''s; export';


--
-- Name: review_publication_consents_one_active; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX review_publication_consents_one_active ON public.review_publication_consents USING btree (review_id) WHERE (granted AND (revoked_at IS NULL));


--
-- Name: review_publication_consents_refused; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX review_publication_consents_refused ON public.review_publication_consents USING btree (granted_at) WHERE (NOT granted);


--
-- Name: INDEX review_publication_consents_refused; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.review_publication_consents_refused IS 'purge_expired, 3 years after the refusal';


--
-- Name: review_publication_consents_withdrawn; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX review_publication_consents_withdrawn ON public.review_publication_consents USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);


--
-- Name: INDEX review_publication_consents_withdrawn; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.review_publication_consents_withdrawn IS 'purge_expired, 3 years after the withdrawal';


--
-- Name: reviews_by_status; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX reviews_by_status ON public.reviews USING btree (status, submitted_at);


--
-- Name: INDEX reviews_by_status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.reviews_by_status IS 'moderation; site';


--
-- Name: reviews_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX reviews_by_user ON public.reviews USING btree (user_id);


--
-- Name: INDEX reviews_by_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.reviews_by_user IS 'a person''s reviews; export';


--
-- Name: schedule_exceptions_by_author; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX schedule_exceptions_by_author ON public.schedule_exceptions USING btree (created_by_user_id);


--
-- Name: INDEX schedule_exceptions_by_author; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.schedule_exceptions_by_author IS 'the delete check';


--
-- Name: schedule_exceptions_by_end; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX schedule_exceptions_by_end ON public.schedule_exceptions USING btree (ends_on);


--
-- Name: INDEX schedule_exceptions_by_end; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.schedule_exceptions_by_end IS 'bookable_slots: closed periods that are not over';


--
-- Name: schedule_exceptions_by_service; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX schedule_exceptions_by_service ON public.schedule_exceptions USING btree (service_id);


--
-- Name: INDEX schedule_exceptions_by_service; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.schedule_exceptions_by_service IS 'delete of a service';


--
-- Name: schedule_rules_by_service; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX schedule_rules_by_service ON public.schedule_rules USING btree (service_id, weekday);


--
-- Name: INDEX schedule_rules_by_service; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.schedule_rules_by_service IS 'generate_slots; delete';


--
-- Name: second_factors_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX second_factors_by_user ON public.second_factors USING btree (user_id);


--
-- Name: INDEX second_factors_by_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.second_factors_by_user IS 'login; erasure';


--
-- Name: second_factors_one_in_use; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX second_factors_one_in_use ON public.second_factors USING btree (user_id) WHERE (confirmed_at IS NOT NULL);


--
-- Name: services_by_topic; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX services_by_topic ON public.services USING btree (topic_code);


--
-- Name: INDEX services_by_topic; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.services_by_topic IS 'services of a topic';


--
-- Name: services_on_offer; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX services_on_offer ON public.services USING btree ("position") WHERE (status = 'published'::text);


--
-- Name: INDEX services_on_offer; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.services_on_offer IS 'site: services on offer, in order';


--
-- Name: session_notes_by_author; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX session_notes_by_author ON public.session_notes USING btree (author_user_id);


--
-- Name: INDEX session_notes_by_author; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.session_notes_by_author IS 'the delete check';


--
-- Name: session_notes_by_creation; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX session_notes_by_creation ON public.session_notes USING btree (created_at);


--
-- Name: INDEX session_notes_by_creation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.session_notes_by_creation IS 'purge_expired';


--
-- Name: session_notes_of_session; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX session_notes_of_session ON public.session_notes USING btree (appointment_id, created_at DESC);


--
-- Name: INDEX session_notes_of_session; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.session_notes_of_session IS 'notes of a session';


--
-- Name: system_settings_by_editor; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX system_settings_by_editor ON public.system_settings USING btree (updated_by_user_id);


--
-- Name: INDEX system_settings_by_editor; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.system_settings_by_editor IS 'the delete check';


--
-- Name: ugc_moderation_actions_by_moderator; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ugc_moderation_actions_by_moderator ON public.ugc_moderation_actions USING btree (moderator_user_id);


--
-- Name: INDEX ugc_moderation_actions_by_moderator; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.ugc_moderation_actions_by_moderator IS 'delete check';


--
-- Name: ugc_moderation_actions_by_target; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ugc_moderation_actions_by_target ON public.ugc_moderation_actions USING btree (ugc_type, ugc_id, created_at);


--
-- Name: INDEX ugc_moderation_actions_by_target; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.ugc_moderation_actions_by_target IS 'history of a question or review; metrics: decision times';


--
-- Name: user_roles_by_role; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX user_roles_by_role ON public.user_roles USING btree (role_code);


--
-- Name: INDEX user_roles_by_role; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.user_roles_by_role IS 'who has a role; the last owner';


--
-- Name: users_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX users_by_age ON public.users USING btree (created_at);


--
-- Name: INDEX users_by_age; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.users_by_age IS 'admin: newest people first';


--
-- Name: waitlist_requests_by_contact; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX waitlist_requests_by_contact ON public.waitlist_requests USING btree (contact_value_bidx);


--
-- Name: INDEX waitlist_requests_by_contact; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.waitlist_requests_by_contact IS 'find_by_contact';


--
-- Name: waitlist_requests_by_lead; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX waitlist_requests_by_lead ON public.waitlist_requests USING btree (lead_id);


--
-- Name: INDEX waitlist_requests_by_lead; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.waitlist_requests_by_lead IS 'a lead''s requests';


--
-- Name: waitlist_requests_by_service; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX waitlist_requests_by_service ON public.waitlist_requests USING btree (service_id);


--
-- Name: INDEX waitlist_requests_by_service; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.waitlist_requests_by_service IS 'who waits for it';


--
-- Name: waitlist_requests_by_user; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX waitlist_requests_by_user ON public.waitlist_requests USING btree (user_id);


--
-- Name: INDEX waitlist_requests_by_user; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.waitlist_requests_by_user IS 'a person''s requests; export';


--
-- Name: waitlist_requests_closed; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX waitlist_requests_closed ON public.waitlist_requests USING btree (closed_at) WHERE (closed_at IS NOT NULL);


--
-- Name: INDEX waitlist_requests_closed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.waitlist_requests_closed IS 'purge_expired';


--
-- Name: waitlist_requests_open; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX waitlist_requests_open ON public.waitlist_requests USING btree (created_at) WHERE (status = ANY (ARRAY['new'::text, 'contacted'::text]));


--
-- Name: INDEX waitlist_requests_open; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.waitlist_requests_open IS 'admin: who still waits, oldest first';


--
-- Name: analytics_events analytics_events_append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER analytics_events_append_only BEFORE UPDATE ON public.analytics_events FOR EACH ROW WHEN ((((to_jsonb(old.*) - '{user_id,lead_id,anonymous_id,session_id,page,acquisition,properties}'::text[]) IS DISTINCT FROM (to_jsonb(new.*) - '{user_id,lead_id,anonymous_id,session_id,page,acquisition,properties}'::text[])) OR (to_jsonb(old.*) = to_jsonb(new.*)) OR ((new.user_id IS DISTINCT FROM old.user_id) AND (new.user_id IS NOT NULL)) OR ((new.lead_id IS DISTINCT FROM old.lead_id) AND (new.lead_id IS NOT NULL)) OR ((new.anonymous_id IS DISTINCT FROM old.anonymous_id) AND (new.anonymous_id IS NOT NULL)) OR ((new.session_id IS DISTINCT FROM old.session_id) AND (new.session_id IS NOT NULL)) OR ((new.page IS DISTINCT FROM old.page) AND ((new.page <> '{}'::jsonb) OR (num_nonnulls(new.user_id, new.lead_id, new.anonymous_id, new.session_id) > 0))) OR ((new.acquisition IS DISTINCT FROM old.acquisition) AND ((new.acquisition <> '{}'::jsonb) OR (num_nonnulls(new.user_id, new.lead_id, new.anonymous_id, new.session_id) > 0))) OR ((new.properties IS DISTINCT FROM old.properties) AND ((new.properties <> '{}'::jsonb) OR (num_nonnulls(new.user_id, new.lead_id, new.anonymous_id, new.session_id) > 0))))) EXECUTE FUNCTION public.refuse('analytics_events_append_only', 'id', 'These records are only added, never changed or deleted');


--
-- Name: TRIGGER analytics_events_append_only ON analytics_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER analytics_events_append_only ON public.analytics_events IS '10dd85489007d2d6f99315705f84d2ad8354c7db';


--
-- Name: analytics_events analytics_events_no_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER analytics_events_no_delete BEFORE DELETE ON public.analytics_events FOR EACH ROW WHEN ((old.received_at > (public.fact_clock() - '1 year 1 mon'::interval))) EXECUTE FUNCTION public.refuse('analytics_events_no_delete', 'id', 'Events are kept for 13 months');


--
-- Name: TRIGGER analytics_events_no_delete ON analytics_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER analytics_events_no_delete ON public.analytics_events IS '905a583025b5361e36ba59858651d13ce20d1927';


--
-- Name: analytics_events analytics_events_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER analytics_events_no_truncate BEFORE TRUNCATE ON public.analytics_events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('analytics_events_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER analytics_events_no_truncate ON analytics_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER analytics_events_no_truncate ON public.analytics_events IS '4284f8eef279d62c265faee8cfbdbe32ff8c8bda';


--
-- Name: analytics_events analytics_events_occurred_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER analytics_events_occurred_at_not_ahead AFTER INSERT OR UPDATE OF occurred_at ON public.analytics_events FOR EACH ROW WHEN ((new.occurred_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('analytics_events_occurred_at_not_ahead', 'occurred_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER analytics_events_occurred_at_not_ahead ON analytics_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER analytics_events_occurred_at_not_ahead ON public.analytics_events IS 'fd41168b6beed50d7e704fb51a89ff69f501bbe0';


--
-- Name: analytics_events analytics_events_p0_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER analytics_events_p0_only BEFORE INSERT ON public.analytics_events FOR EACH ROW EXECUTE FUNCTION public.guard_p0_event('_p0_only', 'The tracking plan does not allow this property or its value', '_required_present', 'A property that the tracking plan requires is missing', '_event_in_plan', 'The tracking plan has no such active event', '_source_in_plan', 'This event does not come from this source');


--
-- Name: TRIGGER analytics_events_p0_only ON analytics_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER analytics_events_p0_only ON public.analytics_events IS '72a3f4797d8750c7092f7d3b19c31ba3e1770ac6';


--
-- Name: analytics_events analytics_events_received_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER analytics_events_received_at_not_ahead AFTER INSERT OR UPDATE OF received_at ON public.analytics_events FOR EACH ROW WHEN ((new.received_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('analytics_events_received_at_not_ahead', 'received_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER analytics_events_received_at_not_ahead ON analytics_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER analytics_events_received_at_not_ahead ON public.analytics_events IS '536df7cd9be4086c11f6eb4dbda48d0a8a539dd2';


--
-- Name: anonymous_questions anonymous_questions_answered_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER anonymous_questions_answered_at_not_ahead AFTER INSERT OR UPDATE OF answered_at ON public.anonymous_questions FOR EACH ROW WHEN ((new.answered_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('anonymous_questions_answered_at_not_ahead', 'answered_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER anonymous_questions_answered_at_not_ahead ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_answered_at_not_ahead ON public.anonymous_questions IS '9c599801bf18d9a5b06322ea0f09ffd586745ac5';


--
-- Name: anonymous_questions anonymous_questions_answered_has_answer; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER anonymous_questions_answered_has_answer AFTER UPDATE OF status ON public.anonymous_questions DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW WHEN (((new.status = 'answered'::text) AND (old.status <> 'answered'::text))) EXECUTE FUNCTION public.anonymous_questions_answered_has_answer();


--
-- Name: TRIGGER anonymous_questions_answered_has_answer ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_answered_has_answer ON public.anonymous_questions IS '2e60dd1a39b23b74b5a1a2299ce3fc0df8634c61';


--
-- Name: anonymous_questions anonymous_questions_first_decision_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER anonymous_questions_first_decision_stays BEFORE UPDATE ON public.anonymous_questions FOR EACH ROW WHEN ((((old.moderated_at IS DISTINCT FROM new.moderated_at) OR (old.submitted_at IS DISTINCT FROM new.submitted_at)) AND (old.moderated_at IS NOT NULL))) EXECUTE FUNCTION public.refuse('anonymous_questions_first_decision_stays', 'moderated_at', 'The time of the first decision is not changed');


--
-- Name: TRIGGER anonymous_questions_first_decision_stays ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_first_decision_stays ON public.anonymous_questions IS '8b30a30e711b1a39c7d2f05350aba0394c6ac5c8';


--
-- Name: anonymous_questions anonymous_questions_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER anonymous_questions_id_stays BEFORE UPDATE OF id ON public.anonymous_questions FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('anonymous_questions_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER anonymous_questions_id_stays ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_id_stays ON public.anonymous_questions IS '4e1e438ee3faf8f691c2d7edd59f342122693ffc';


--
-- Name: anonymous_questions anonymous_questions_moderated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER anonymous_questions_moderated_at_not_ahead AFTER INSERT OR UPDATE OF moderated_at ON public.anonymous_questions FOR EACH ROW WHEN ((new.moderated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('anonymous_questions_moderated_at_not_ahead', 'moderated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER anonymous_questions_moderated_at_not_ahead ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_moderated_at_not_ahead ON public.anonymous_questions IS '5e7d1c6bf4c55986f6ccb279eda36bad702d44fc';


--
-- Name: anonymous_questions anonymous_questions_set_due_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER anonymous_questions_set_due_at BEFORE INSERT OR UPDATE ON public.anonymous_questions FOR EACH ROW EXECUTE FUNCTION public.anonymous_questions_set_due_at();


--
-- Name: TRIGGER anonymous_questions_set_due_at ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_set_due_at ON public.anonymous_questions IS '04bc8ab06294aa583c6f2e8ee0297d808f2ad03a';


--
-- Name: anonymous_questions anonymous_questions_status_initial; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER anonymous_questions_status_initial AFTER INSERT ON public.anonymous_questions FOR EACH ROW WHEN ((new.status <> ALL (ARRAY['pending'::text, 'flagged'::text]))) EXECUTE FUNCTION public.refuse('anonymous_questions_status_initial', 'status', 'A new record cannot start in this status');


--
-- Name: TRIGGER anonymous_questions_status_initial ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_status_initial ON public.anonymous_questions IS 'c89df5f0f599dfaf64a712a2c72743c7fed917a4';


--
-- Name: anonymous_questions anonymous_questions_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER anonymous_questions_status_transition BEFORE UPDATE OF status ON public.anonymous_questions FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT ((((((((old.status = 'pending'::text) AND (new.status = 'flagged'::text)) OR ((old.status = 'pending'::text) AND (new.status = 'approved'::text))) OR ((old.status = 'pending'::text) AND (new.status = 'rejected'::text))) OR ((old.status = 'flagged'::text) AND (new.status = 'approved'::text))) OR ((old.status = 'flagged'::text) AND (new.status = 'rejected'::text))) OR ((old.status = 'approved'::text) AND (new.status = 'flagged'::text))) OR ((old.status = 'approved'::text) AND (new.status = 'answered'::text)))))) EXECUTE FUNCTION public.refuse_transition('anonymous_questions_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER anonymous_questions_status_transition ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_status_transition ON public.anonymous_questions IS 'd0bc4241871a1dfe98cfe31f43c2b4a29f6ec848';


--
-- Name: anonymous_questions anonymous_questions_submitted_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER anonymous_questions_submitted_at_not_ahead AFTER INSERT OR UPDATE OF submitted_at ON public.anonymous_questions FOR EACH ROW WHEN ((new.submitted_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('anonymous_questions_submitted_at_not_ahead', 'submitted_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER anonymous_questions_submitted_at_not_ahead ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_submitted_at_not_ahead ON public.anonymous_questions IS 'd7fd7e6e129c1c9b597a67b0a86c9d037e2ffca2';


--
-- Name: anonymous_questions anonymous_questions_undecided_has_no_time; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER anonymous_questions_undecided_has_no_time AFTER INSERT OR UPDATE OF status, moderated_at ON public.anonymous_questions FOR EACH ROW EXECUTE FUNCTION public.anonymous_questions_undecided_has_no_time();


--
-- Name: TRIGGER anonymous_questions_undecided_has_no_time ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_undecided_has_no_time ON public.anonymous_questions IS '184fb2bbbf90e1a31bc245f1349d5c2a7e3ab764';


--
-- Name: anonymous_questions anonymous_questions_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER anonymous_questions_update_audited AFTER UPDATE ON public.anonymous_questions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.audit_change('question_status_changed', 'id', 'status');


--
-- Name: TRIGGER anonymous_questions_update_audited ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_update_audited ON public.anonymous_questions IS 'e2ece0b8dd06ba77b532d8e4eef5cf4c78d64e0f';


--
-- Name: anonymous_questions anonymous_questions_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER anonymous_questions_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.anonymous_questions FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('anonymous_questions_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER anonymous_questions_user_id_not_erased ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_user_id_not_erased ON public.anonymous_questions IS 'c6b8e8ba6d6a719d5bcf4882125370cd78c27638';


--
-- Name: anonymous_questions anonymous_questions_withdraw_answer; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER anonymous_questions_withdraw_answer AFTER UPDATE OF publish_allowed ON public.anonymous_questions FOR EACH ROW WHEN ((old.publish_allowed AND (NOT new.publish_allowed))) EXECUTE FUNCTION public.anonymous_questions_withdraw_answer();


--
-- Name: TRIGGER anonymous_questions_withdraw_answer ON anonymous_questions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER anonymous_questions_withdraw_answer ON public.anonymous_questions IS '8ff857ab719944463e63ba4f4812b1822ccbc0f0';


--
-- Name: appointments appointments_agreed_price_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_agreed_price_stays BEFORE UPDATE ON public.appointments FOR EACH ROW WHEN (((old.price_amount IS DISTINCT FROM new.price_amount) OR (old.deposit_amount IS DISTINCT FROM new.deposit_amount))) EXECUTE FUNCTION public.refuse('appointments_agreed_price_stays', 'price_amount', 'The price agreed at booking does not change');


--
-- Name: TRIGGER appointments_agreed_price_stays ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_agreed_price_stays ON public.appointments IS 'c82a8ed57410085ba3110e6c46fbd1b04f1b0f8c';


--
-- Name: appointments appointments_cancel_messages; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_cancel_messages AFTER UPDATE OF status ON public.appointments FOR EACH ROW WHEN (((old.status <> new.status) AND (new.status = ANY (ARRAY['canceled'::text, 'rescheduled'::text])))) EXECUTE FUNCTION public.appointments_cancel_messages();


--
-- Name: TRIGGER appointments_cancel_messages ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_cancel_messages ON public.appointments IS '75434b5b506faa3b1ca120893e6aab714de29cc9';


--
-- Name: appointments appointments_canceled_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_canceled_at_not_ahead AFTER INSERT OR UPDATE OF canceled_at ON public.appointments FOR EACH ROW WHEN ((new.canceled_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('appointments_canceled_at_not_ahead', 'canceled_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER appointments_canceled_at_not_ahead ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_canceled_at_not_ahead ON public.appointments IS 'f9192ce0835b2eda3a83beef66a93c07809fd2cd';


--
-- Name: appointments appointments_client_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_client_user_id_not_erased AFTER INSERT OR UPDATE OF client_user_id ON public.appointments FOR EACH ROW WHEN ((new.client_user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('appointments_client_user_id_not_erased', 'client_user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER appointments_client_user_id_not_erased ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_client_user_id_not_erased ON public.appointments IS '5a03d485d384d2d8672f0c8aca32f6e341a9114c';


--
-- Name: appointments appointments_confirmed_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_confirmed_at_not_ahead AFTER INSERT OR UPDATE OF confirmed_at ON public.appointments FOR EACH ROW WHEN ((new.confirmed_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('appointments_confirmed_at_not_ahead', 'confirmed_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER appointments_confirmed_at_not_ahead ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_confirmed_at_not_ahead ON public.appointments IS 'e4e3ab7b710e93071a5f9483279827f05bf12823';


--
-- Name: appointments appointments_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.appointments FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('appointments_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER appointments_created_at_not_ahead ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_created_at_not_ahead ON public.appointments IS '7663944ed5f173a6314c5ac2486fd6d4559acd81';


--
-- Name: appointments appointments_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER appointments_delete_audited AFTER DELETE ON public.appointments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('appointment_deleted', 'id', 'service_id', 'lead_id', 'start_at_utc', 'end_at_utc', 'buffer_minutes', 'timezone', 'format', 'status', 'hold_expires_at', 'price_amount', 'deposit_amount', 'slot_id', 'rescheduled_from_id', 'outcome', 'outcome_reason_category', 'outcome_recorded_at', 'outcome_recorded_by_role', 'confirmed_at', 'canceled_at', 'topic_code', 'entry_point', 'created_at', 'updated_at');


--
-- Name: TRIGGER appointments_delete_audited ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_delete_audited ON public.appointments IS '815d7ea1542dbdc132a88dff63e3ce72f20d6379';


--
-- Name: appointments appointments_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_id_stays BEFORE UPDATE OF id ON public.appointments FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('appointments_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER appointments_id_stays ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_id_stays ON public.appointments IS 'de8e0fb673f08b1d43a7e3170dd01d5f03a6dc6b';


--
-- Name: appointments appointments_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_no_truncate BEFORE TRUNCATE ON public.appointments FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('appointments_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER appointments_no_truncate ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_no_truncate ON public.appointments IS 'f31fda5ccf77717a9e8dcb4bc3195a53f18e9661';


--
-- Name: appointments appointments_origin_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_origin_stays BEFORE UPDATE ON public.appointments FOR EACH ROW WHEN (((old.rescheduled_from_id IS DISTINCT FROM new.rescheduled_from_id) OR ((old.client_request_id IS DISTINCT FROM new.client_request_id) AND ((new.client_request_id IS NOT NULL) OR (new.client_user_id IS NOT NULL))))) EXECUTE FUNCTION public.refuse('appointments_origin_stays', 'rescheduled_from_id', 'What an appointment replaces, and the request it came by, do not change');


--
-- Name: TRIGGER appointments_origin_stays ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_origin_stays ON public.appointments IS '59b1e6036572a82f7c096a71287d6c2f5e5f8ca2';


--
-- Name: appointments appointments_outcome_corrected_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_outcome_corrected_only AFTER UPDATE OF outcome, outcome_reason_category, outcome_recorded_at, outcome_recorded_by_role ON public.appointments FOR EACH ROW WHEN (((old.outcome IS NOT NULL) AND ((old.outcome IS DISTINCT FROM new.outcome) OR ((old.status = 'completed'::text) AND ((old.outcome IS DISTINCT FROM new.outcome) OR (old.outcome_reason_category IS DISTINCT FROM new.outcome_reason_category) OR (old.outcome_recorded_at IS DISTINCT FROM new.outcome_recorded_at) OR (old.outcome_recorded_by_role IS DISTINCT FROM new.outcome_recorded_by_role)))))) EXECUTE FUNCTION public.appointments_outcome_corrected_only();


--
-- Name: TRIGGER appointments_outcome_corrected_only ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_outcome_corrected_only ON public.appointments IS 'dd6d407e22363f87376c461e851fe258f91d360c';


--
-- Name: appointments appointments_outcome_recorded_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_outcome_recorded_at_not_ahead AFTER INSERT OR UPDATE OF outcome_recorded_at ON public.appointments FOR EACH ROW WHEN ((new.outcome_recorded_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('appointments_outcome_recorded_at_not_ahead', 'outcome_recorded_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER appointments_outcome_recorded_at_not_ahead ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_outcome_recorded_at_not_ahead ON public.appointments IS 'ea2d9d1f12dd54861c7d96aa59d744292586d880';


--
-- Name: appointments appointments_paid_has_money; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER appointments_paid_has_money AFTER UPDATE OF status ON public.appointments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((old.status <> new.status) AND (new.status = ANY (ARRAY['paid'::text, 'confirmed'::text])) AND (new.price_amount <> 0))) EXECUTE FUNCTION public.appointments_paid_has_money();


--
-- Name: TRIGGER appointments_paid_has_money ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_paid_has_money ON public.appointments IS '34bd30c6021213cb1aa163e7e886ddfa4960c875';


--
-- Name: appointments appointments_paid_session_stays_put; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_paid_session_stays_put BEFORE UPDATE ON public.appointments FOR EACH ROW WHEN ((((old.service_id IS DISTINCT FROM new.service_id) OR (old.start_at_utc IS DISTINCT FROM new.start_at_utc) OR (old.end_at_utc IS DISTINCT FROM new.end_at_utc) OR (old.buffer_minutes IS DISTINCT FROM new.buffer_minutes)) AND (old.status <> 'pending_payment'::text))) EXECUTE FUNCTION public.refuse('appointments_paid_session_stays_put', 'service_id', 'Service and time of a paid session do not change; moving makes a new record');


--
-- Name: TRIGGER appointments_paid_session_stays_put ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_paid_session_stays_put ON public.appointments IS 'c56dc24bcf4e0d840fcf6709c16ad4affeb28fbc';


--
-- Name: appointments appointments_person_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_person_stays BEFORE UPDATE OF client_user_id, lead_id ON public.appointments FOR EACH ROW WHEN (((old.status <> 'pending_payment'::text) AND ((old.client_user_id <> new.client_user_id) OR (old.lead_id <> new.lead_id) OR ((old.client_user_id IS NOT NULL) AND (new.client_user_id IS NULL)) OR ((old.lead_id IS NOT NULL) AND (new.lead_id IS NULL))))) EXECUTE FUNCTION public.appointments_person_stays();


--
-- Name: TRIGGER appointments_person_stays ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_person_stays ON public.appointments IS 'bd88174731afc819a2fc3340b68667842dadb615';


--
-- Name: appointments appointments_replaces_rescheduled; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER appointments_replaces_rescheduled AFTER INSERT ON public.appointments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((new.status = 'confirmed'::text) AND (new.price_amount <> 0))) EXECUTE FUNCTION public.appointments_replaces_rescheduled();


--
-- Name: TRIGGER appointments_replaces_rescheduled ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_replaces_rescheduled ON public.appointments IS 'de356a0c33b93f98e7fbf806329ed5505df304ab';


--
-- Name: appointments appointments_status_initial; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_status_initial AFTER INSERT ON public.appointments FOR EACH ROW WHEN ((NOT ((new.status = 'pending_payment'::text) OR ((new.status = 'confirmed'::text) AND ((new.rescheduled_from_id IS NOT NULL) OR (new.price_amount = 0)))))) EXECUTE FUNCTION public.refuse('appointments_status_initial', 'status', 'An appointment starts as a hold; confirmed only when free of charge or in place of a rescheduled one');


--
-- Name: TRIGGER appointments_status_initial ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_status_initial ON public.appointments IS 'bad68e4a675c40114d371d5cea87260cdb18c5bd';


--
-- Name: appointments appointments_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_status_transition BEFORE UPDATE OF status ON public.appointments FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT ((((((((old.status = 'pending_payment'::text) AND (new.status = 'paid'::text)) OR ((old.status = 'pending_payment'::text) AND (new.status = 'canceled'::text))) OR ((old.status = 'paid'::text) AND (new.status = 'confirmed'::text))) OR ((old.status = 'paid'::text) AND (new.status = 'canceled'::text))) OR ((old.status = 'confirmed'::text) AND (new.status = 'canceled'::text))) OR ((old.status = 'confirmed'::text) AND (new.status = 'rescheduled'::text))) OR ((old.status = 'confirmed'::text) AND (new.status = 'completed'::text)))))) EXECUTE FUNCTION public.refuse_transition('appointments_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER appointments_status_transition ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_status_transition ON public.appointments IS '963d811194e07a39aab7950b8c265944c15e359a';


--
-- Name: appointments appointments_timezone_is_known; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_timezone_is_known AFTER INSERT OR UPDATE OF timezone ON public.appointments FOR EACH ROW WHEN ((NOT public.is_time_zone(new.timezone))) EXECUTE FUNCTION public.appointments_timezone_is_known();


--
-- Name: TRIGGER appointments_timezone_is_known ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_timezone_is_known ON public.appointments IS '30f55d2c80b98a5ae26a8eba3150539e236412bd';


--
-- Name: appointments appointments_touch_updated_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_touch_updated_at BEFORE UPDATE ON public.appointments FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();


--
-- Name: TRIGGER appointments_touch_updated_at ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_touch_updated_at ON public.appointments IS '34ab4b21abc5a67cc53ca56ac3baee9b23edea93';


--
-- Name: appointments appointments_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER appointments_update_audited AFTER UPDATE ON public.appointments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((old.outcome IS DISTINCT FROM new.outcome) OR (old.outcome_reason_category IS DISTINCT FROM new.outcome_reason_category) OR (old.outcome_recorded_at IS DISTINCT FROM new.outcome_recorded_at) OR (old.outcome_recorded_by_role IS DISTINCT FROM new.outcome_recorded_by_role))) EXECUTE FUNCTION public.audit_change('outcome_recorded', 'id', 'outcome', 'outcome_reason_category', 'outcome_recorded_at', 'outcome_recorded_by_role');


--
-- Name: TRIGGER appointments_update_audited ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_update_audited ON public.appointments IS '5cb56611d39373663f2cff0afaa2de8c636cf717';


--
-- Name: appointments appointments_updated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER appointments_updated_at_not_ahead AFTER INSERT OR UPDATE OF updated_at ON public.appointments FOR EACH ROW WHEN ((new.updated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('appointments_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER appointments_updated_at_not_ahead ON appointments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER appointments_updated_at_not_ahead ON public.appointments IS '423fc7022e3100899fba1c70cf3aaf59b9344244';


--
-- Name: audit_checkpoints audit_checkpoints_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_checkpoints_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.audit_checkpoints FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('audit_checkpoints_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER audit_checkpoints_created_at_not_ahead ON audit_checkpoints; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER audit_checkpoints_created_at_not_ahead ON public.audit_checkpoints IS '75fe893082a7042e38796391c442a6bccba6828d';


--
-- Name: audit_checkpoints audit_checkpoints_end_an_old_segment; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_checkpoints_end_an_old_segment AFTER INSERT ON public.audit_checkpoints FOR EACH ROW EXECUTE FUNCTION public.audit_checkpoints_end_an_old_segment();


--
-- Name: TRIGGER audit_checkpoints_end_an_old_segment ON audit_checkpoints; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER audit_checkpoints_end_an_old_segment ON public.audit_checkpoints IS '5417d9f9d3b1df255218b0edd989007043482614';


--
-- Name: audit_checkpoints audit_checkpoints_immutable; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_checkpoints_immutable BEFORE UPDATE ON public.audit_checkpoints FOR EACH ROW EXECUTE FUNCTION public.refuse('audit_checkpoints_immutable', 'id', 'These records are only added, never changed or deleted');


--
-- Name: TRIGGER audit_checkpoints_immutable ON audit_checkpoints; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER audit_checkpoints_immutable ON public.audit_checkpoints IS '6a1457170b569ec9c0812169c52db5031d920628';


--
-- Name: audit_checkpoints audit_checkpoints_no_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_checkpoints_no_delete BEFORE DELETE ON public.audit_checkpoints FOR EACH ROW EXECUTE FUNCTION public.refuse('audit_checkpoints_no_delete', 'id', 'These records are only added, never changed or deleted');


--
-- Name: TRIGGER audit_checkpoints_no_delete ON audit_checkpoints; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER audit_checkpoints_no_delete ON public.audit_checkpoints IS 'a8c70e018c8e49399427e88dfcbd90cb49d20e73';


--
-- Name: audit_checkpoints audit_checkpoints_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_checkpoints_no_truncate BEFORE TRUNCATE ON public.audit_checkpoints FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('audit_checkpoints_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER audit_checkpoints_no_truncate ON audit_checkpoints; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER audit_checkpoints_no_truncate ON public.audit_checkpoints IS '37a6f674baeed6b5517fb7cb9113c9a68dffaf7f';


--
-- Name: audit_log_entries audit_log_entries_chain; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_log_entries_chain BEFORE INSERT ON public.audit_log_entries FOR EACH ROW EXECUTE FUNCTION public.chain_audit_entry();


--
-- Name: TRIGGER audit_log_entries_chain ON audit_log_entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER audit_log_entries_chain ON public.audit_log_entries IS 'fc6df93eeb96672758d6c1a6e82e22adc6ea615b';


--
-- Name: audit_log_entries audit_log_entries_immutable; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_log_entries_immutable BEFORE UPDATE ON public.audit_log_entries FOR EACH ROW EXECUTE FUNCTION public.audit_log_entries_immutable();


--
-- Name: TRIGGER audit_log_entries_immutable ON audit_log_entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER audit_log_entries_immutable ON public.audit_log_entries IS '654f6da08cb3e176dde65a9c52b7c2f973c20b80';


--
-- Name: audit_log_entries audit_log_entries_no_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_log_entries_no_delete BEFORE DELETE ON public.audit_log_entries FOR EACH ROW EXECUTE FUNCTION public.audit_log_entries_no_delete();


--
-- Name: TRIGGER audit_log_entries_no_delete ON audit_log_entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER audit_log_entries_no_delete ON public.audit_log_entries IS 'ee601e6054c2f7285a0b6b651c8ffb609166bd6c';


--
-- Name: audit_log_entries audit_log_entries_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_log_entries_no_truncate BEFORE TRUNCATE ON public.audit_log_entries FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('audit_log_entries_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER audit_log_entries_no_truncate ON audit_log_entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER audit_log_entries_no_truncate ON public.audit_log_entries IS 'e84ce36e83ecd7be2ebf4141d433fdd66d343471';


--
-- Name: availability_slots availability_slots_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER availability_slots_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.availability_slots FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('availability_slots_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER availability_slots_created_at_not_ahead ON availability_slots; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER availability_slots_created_at_not_ahead ON public.availability_slots IS '9748574275b3afff5d2a85fda91044b883574775';


--
-- Name: availability_slots availability_slots_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER availability_slots_id_stays BEFORE UPDATE OF id ON public.availability_slots FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('availability_slots_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER availability_slots_id_stays ON availability_slots; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER availability_slots_id_stays ON public.availability_slots IS 'fb4c9cd54b7581b457397115566bc524d567c587';


--
-- Name: availability_slots availability_slots_no_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER availability_slots_no_delete BEFORE DELETE ON public.availability_slots FOR EACH ROW WHEN ((old.status = 'reserved'::text)) EXECUTE FUNCTION public.refuse('availability_slots_no_delete', 'id', 'A reserved slot is not deleted');


--
-- Name: TRIGGER availability_slots_no_delete ON availability_slots; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER availability_slots_no_delete ON public.availability_slots IS 'b4bb897a3376941467889b1aff82994b61d142d6';


--
-- Name: availability_slots availability_slots_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER availability_slots_no_truncate BEFORE TRUNCATE ON public.availability_slots FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('availability_slots_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER availability_slots_no_truncate ON availability_slots; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER availability_slots_no_truncate ON public.availability_slots IS '3316ceedb831589789884b396972f64c3557ffb1';


--
-- Name: availability_slots availability_slots_reserved_stays_put; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER availability_slots_reserved_stays_put BEFORE UPDATE ON public.availability_slots FOR EACH ROW WHEN ((((old.start_at_utc IS DISTINCT FROM new.start_at_utc) OR (old.end_at_utc IS DISTINCT FROM new.end_at_utc) OR (old.service_id IS DISTINCT FROM new.service_id) OR (old.buffer_minutes IS DISTINCT FROM new.buffer_minutes) OR (old.source IS DISTINCT FROM new.source)) AND (old.status = 'reserved'::text))) EXECUTE FUNCTION public.refuse('availability_slots_reserved_stays_put', 'start_at_utc', 'A reserved slot is not moved');


--
-- Name: TRIGGER availability_slots_reserved_stays_put ON availability_slots; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER availability_slots_reserved_stays_put ON public.availability_slots IS '14a015ac4605dd03c6f66af46930313bf74786a8';


--
-- Name: availability_slots availability_slots_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER availability_slots_status_transition BEFORE UPDATE OF status ON public.availability_slots FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT (((((((old.status = 'available'::text) AND (new.status = 'reserved'::text)) OR ((old.status = 'available'::text) AND (new.status = 'blocked'::text))) OR ((old.status = 'available'::text) AND (new.status = 'withdrawn'::text))) OR ((old.status = 'reserved'::text) AND (new.status = 'available'::text))) OR ((old.status = 'blocked'::text) AND (new.status = 'available'::text))) OR ((old.status = 'withdrawn'::text) AND (new.status = 'available'::text)))))) EXECUTE FUNCTION public.refuse_transition('availability_slots_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER availability_slots_status_transition ON availability_slots; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER availability_slots_status_transition ON public.availability_slots IS '37d326875d57ca266cba02299d6a5404a16958a4';


--
-- Name: backfill_jobs backfill_jobs_finished_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER backfill_jobs_finished_at_not_ahead AFTER INSERT OR UPDATE OF finished_at ON public.backfill_jobs FOR EACH ROW WHEN ((new.finished_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('backfill_jobs_finished_at_not_ahead', 'finished_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER backfill_jobs_finished_at_not_ahead ON backfill_jobs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER backfill_jobs_finished_at_not_ahead ON public.backfill_jobs IS 'ee9443855451a6e65e1895c961f761697c2a31f9';


--
-- Name: backfill_jobs backfill_jobs_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER backfill_jobs_id_stays BEFORE UPDATE OF id ON public.backfill_jobs FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('backfill_jobs_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER backfill_jobs_id_stays ON backfill_jobs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER backfill_jobs_id_stays ON public.backfill_jobs IS 'd74c4403db065218e6970dae8e5330da9030d41a';


--
-- Name: backfill_jobs backfill_jobs_started_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER backfill_jobs_started_at_not_ahead AFTER INSERT OR UPDATE OF started_at ON public.backfill_jobs FOR EACH ROW WHEN ((new.started_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('backfill_jobs_started_at_not_ahead', 'started_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER backfill_jobs_started_at_not_ahead ON backfill_jobs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER backfill_jobs_started_at_not_ahead ON public.backfill_jobs IS '125a37bd0d51dabd14339339294c779db98de257';


--
-- Name: backfill_jobs backfill_jobs_touch_updated_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER backfill_jobs_touch_updated_at BEFORE UPDATE ON public.backfill_jobs FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();


--
-- Name: TRIGGER backfill_jobs_touch_updated_at ON backfill_jobs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER backfill_jobs_touch_updated_at ON public.backfill_jobs IS '6be148629a294f023161eaf9c82086a56c670f08';


--
-- Name: backfill_jobs backfill_jobs_updated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER backfill_jobs_updated_at_not_ahead AFTER INSERT OR UPDATE OF updated_at ON public.backfill_jobs FOR EACH ROW WHEN ((new.updated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('backfill_jobs_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER backfill_jobs_updated_at_not_ahead ON backfill_jobs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER backfill_jobs_updated_at_not_ahead ON public.backfill_jobs IS '6070b57678a67a6b212a689e348371d2a9f47cc3';


--
-- Name: consents consents_are_evidence; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER consents_are_evidence BEFORE UPDATE ON public.consents FOR EACH ROW WHEN (((old.user_id IS DISTINCT FROM new.user_id) OR (old.lead_id IS DISTINCT FROM new.lead_id) OR (old.consent_type IS DISTINCT FROM new.consent_type) OR (old.granted IS DISTINCT FROM new.granted) OR (old.version IS DISTINCT FROM new.version) OR (old.source IS DISTINCT FROM new.source) OR (old.granted_at IS DISTINCT FROM new.granted_at))) EXECUTE FUNCTION public.refuse('consents_are_evidence', 'user_id', 'A consent is evidence: only its withdrawal can be recorded');


--
-- Name: TRIGGER consents_are_evidence ON consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER consents_are_evidence ON public.consents IS '815bb26d9991235c5a46c68d53bae03e231dd887';


--
-- Name: consents consents_granted_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER consents_granted_at_not_ahead AFTER INSERT OR UPDATE OF granted_at ON public.consents FOR EACH ROW WHEN ((new.granted_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('consents_granted_at_not_ahead', 'granted_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER consents_granted_at_not_ahead ON consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER consents_granted_at_not_ahead ON public.consents IS '6e998f131de9287d707a2bdfcec592b824c97769';


--
-- Name: consents consents_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER consents_id_stays BEFORE UPDATE OF id ON public.consents FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('consents_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER consents_id_stays ON consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER consents_id_stays ON public.consents IS '0c5b014e0947425c614a3ffaa46f8072a0791ec2';


--
-- Name: consents consents_no_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER consents_no_delete BEFORE DELETE ON public.consents FOR EACH ROW EXECUTE FUNCTION public.refuse('consents_no_delete', 'id', 'These records are kept as evidence and are not deleted');


--
-- Name: TRIGGER consents_no_delete ON consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER consents_no_delete ON public.consents IS 'cc59f2387b43fcab0be33236a2269e990644cf30';


--
-- Name: consents consents_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER consents_no_truncate BEFORE TRUNCATE ON public.consents FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('consents_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER consents_no_truncate ON consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER consents_no_truncate ON public.consents IS 'a4ea30b66bc814782a1ddca66d69beb3020abf4e';


--
-- Name: consents consents_revoked_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER consents_revoked_at_not_ahead AFTER INSERT OR UPDATE OF revoked_at ON public.consents FOR EACH ROW WHEN ((new.revoked_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('consents_revoked_at_not_ahead', 'revoked_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER consents_revoked_at_not_ahead ON consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER consents_revoked_at_not_ahead ON public.consents IS '7b460bf31de672e2fbfd6f927b534e11760c36db';


--
-- Name: consents consents_revoked_once; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER consents_revoked_once BEFORE UPDATE ON public.consents FOR EACH ROW WHEN (((old.revoked_at IS DISTINCT FROM new.revoked_at) AND (old.revoked_at IS NOT NULL))) EXECUTE FUNCTION public.refuse('consents_revoked_once', 'revoked_at', 'A consent is withdrawn once');


--
-- Name: TRIGGER consents_revoked_once ON consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER consents_revoked_once ON public.consents IS '4453f58f3614e15f3f058e18a0664e5c55c4fb64';


--
-- Name: consents consents_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER consents_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.consents FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('consents_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER consents_user_id_not_erased ON consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER consents_user_id_not_erased ON public.consents IS 'f1bf826d844792c36de9cbc0cc4124226b7621fd';


--
-- Name: content_item_tags content_item_tags_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_item_tags_id_stays BEFORE UPDATE OF id ON public.content_item_tags FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('content_item_tags_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER content_item_tags_id_stays ON content_item_tags; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_item_tags_id_stays ON public.content_item_tags IS 'd03f71d9b872d501374b24a038214bb86348a334';


--
-- Name: content_item_topics content_item_topics_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_item_topics_id_stays BEFORE UPDATE OF id ON public.content_item_topics FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('content_item_topics_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER content_item_topics_id_stays ON content_item_topics; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_item_topics_id_stays ON public.content_item_topics IS 'f858d65cd593d1c182c811d4564481fc696cd23c';


--
-- Name: content_items content_items_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_items_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.content_items FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('content_items_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER content_items_created_at_not_ahead ON content_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_items_created_at_not_ahead ON public.content_items IS 'be5bef3fd009db36dcd01634497ed6f4564bfa2c';


--
-- Name: content_items content_items_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER content_items_delete_audited AFTER DELETE ON public.content_items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('content_item_deleted', 'id', 'content_type', 'slug', 'title', 'excerpt', 'body_markdown', 'status', 'published_at', 'author_user_id', 'time_to_benefit', 'format', 'support_level', 'seo_title', 'seo_description', 'seo_keywords', 'canonical_url', 'created_at', 'updated_at');


--
-- Name: TRIGGER content_items_delete_audited ON content_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_items_delete_audited ON public.content_items IS '766701ff334088afdf265eed9eeffacca22ec2eb';


--
-- Name: content_items content_items_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_items_id_stays BEFORE UPDATE OF id ON public.content_items FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('content_items_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER content_items_id_stays ON content_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_items_id_stays ON public.content_items IS '6eb6cdc93c67149b6e2f56f7560f0b93ba4e874d';


--
-- Name: content_items content_items_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER content_items_insert_audited AFTER INSERT ON public.content_items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.status = 'published'::text)) EXECUTE FUNCTION public.audit_change('content_published', 'id', 'content_type', 'slug', 'status');


--
-- Name: TRIGGER content_items_insert_audited ON content_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_items_insert_audited ON public.content_items IS '2458ecd3f2a6d3e61833ab73e98fee574be9bb14';


--
-- Name: content_items content_items_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_items_no_truncate BEFORE TRUNCATE ON public.content_items FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('content_items_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER content_items_no_truncate ON content_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_items_no_truncate ON public.content_items IS '7602aeb3a89c5e01e5513b94f57f4175914a6852';


--
-- Name: content_items content_items_published_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_items_published_at_not_ahead AFTER INSERT OR UPDATE OF published_at ON public.content_items FOR EACH ROW WHEN ((new.published_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('content_items_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER content_items_published_at_not_ahead ON content_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_items_published_at_not_ahead ON public.content_items IS 'a52de4058fbf4e2e43141f3b2cad883de01f5019';


--
-- Name: content_items content_items_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_items_status_transition BEFORE UPDATE OF status ON public.content_items FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT ((((((((old.status = 'draft'::text) AND (new.status = 'review'::text)) OR ((old.status = 'draft'::text) AND (new.status = 'published'::text))) OR ((old.status = 'review'::text) AND (new.status = 'draft'::text))) OR ((old.status = 'review'::text) AND (new.status = 'published'::text))) OR ((old.status = 'published'::text) AND (new.status = 'archived'::text))) OR ((old.status = 'published'::text) AND (new.status = 'draft'::text))) OR ((old.status = 'archived'::text) AND (new.status = 'draft'::text)))))) EXECUTE FUNCTION public.refuse_transition('content_items_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER content_items_status_transition ON content_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_items_status_transition ON public.content_items IS 'cee34e542df747edfdc20c7df9db3c2d1cbefc4b';


--
-- Name: content_items content_items_touch_updated_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_items_touch_updated_at BEFORE UPDATE ON public.content_items FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();


--
-- Name: TRIGGER content_items_touch_updated_at ON content_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_items_touch_updated_at ON public.content_items IS '2ed53dd70e0abd4fd22e810ddc9f19c88826eddf';


--
-- Name: content_items content_items_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER content_items_update_audited AFTER UPDATE ON public.content_items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.audit_change('content_status_changed', 'id', 'status');


--
-- Name: TRIGGER content_items_update_audited ON content_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_items_update_audited ON public.content_items IS 'b976542261dc45cf66c7df7300b7c42c9fa61b93';


--
-- Name: content_items content_items_updated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_items_updated_at_not_ahead AFTER INSERT OR UPDATE OF updated_at ON public.content_items FOR EACH ROW WHEN ((new.updated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('content_items_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER content_items_updated_at_not_ahead ON content_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_items_updated_at_not_ahead ON public.content_items IS '2371cfdb438d679176094681974cf6a7c9476963';


--
-- Name: content_media content_media_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_media_id_stays BEFORE UPDATE OF id ON public.content_media FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('content_media_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER content_media_id_stays ON content_media; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_media_id_stays ON public.content_media IS '3e29e6bdebbd4d3f4e8136252296bb5c3999b217';


--
-- Name: content_revisions content_revisions_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_revisions_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.content_revisions FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('content_revisions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER content_revisions_created_at_not_ahead ON content_revisions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_revisions_created_at_not_ahead ON public.content_revisions IS '45ffe6c7ed568038c77c7dcf256a7ac6aeee2e21';


--
-- Name: content_revisions content_revisions_immutable; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_revisions_immutable BEFORE UPDATE ON public.content_revisions FOR EACH ROW EXECUTE FUNCTION public.refuse('content_revisions_immutable', 'id', 'This record cannot be changed any more');


--
-- Name: TRIGGER content_revisions_immutable ON content_revisions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_revisions_immutable ON public.content_revisions IS 'fc2a4ebc660de5795d69dc2aa45f8fa45f86f121';


--
-- Name: content_revisions content_revisions_no_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_revisions_no_delete BEFORE DELETE ON public.content_revisions FOR EACH ROW EXECUTE FUNCTION public.content_revisions_no_delete();


--
-- Name: TRIGGER content_revisions_no_delete ON content_revisions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_revisions_no_delete ON public.content_revisions IS 'fb4c2899b518e6f6254dbe6ecf622ea4c20b95aa';


--
-- Name: content_revisions content_revisions_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER content_revisions_no_truncate BEFORE TRUNCATE ON public.content_revisions FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('content_revisions_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER content_revisions_no_truncate ON content_revisions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER content_revisions_no_truncate ON public.content_revisions IS '0136729c4667417d130f72cf8b60bce400272c47';


--
-- Name: curated_collections curated_collections_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER curated_collections_delete_audited AFTER DELETE ON public.curated_collections DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status = 'published'::text)) EXECUTE FUNCTION public.audit_change('collection_deleted', 'id', 'slug', 'title', 'collection_type', 'status', 'topic_code', 'published_at');


--
-- Name: TRIGGER curated_collections_delete_audited ON curated_collections; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER curated_collections_delete_audited ON public.curated_collections IS 'cc7b5c101a78adacf9a9fcd350a385fa9dc09b6f';


--
-- Name: curated_collections curated_collections_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER curated_collections_id_stays BEFORE UPDATE OF id ON public.curated_collections FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('curated_collections_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER curated_collections_id_stays ON curated_collections; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER curated_collections_id_stays ON public.curated_collections IS '18a25b9e0ebb968fec9a4dffff4516cf6ed6fa4d';


--
-- Name: curated_collections curated_collections_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER curated_collections_insert_audited AFTER INSERT ON public.curated_collections DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.status = 'published'::text)) EXECUTE FUNCTION public.audit_change('collection_published', 'id', 'slug', 'status');


--
-- Name: TRIGGER curated_collections_insert_audited ON curated_collections; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER curated_collections_insert_audited ON public.curated_collections IS '275b8bd9cc468e9e47cdd66abd666ef202b65541';


--
-- Name: curated_collections curated_collections_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER curated_collections_no_truncate BEFORE TRUNCATE ON public.curated_collections FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('curated_collections_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER curated_collections_no_truncate ON curated_collections; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER curated_collections_no_truncate ON public.curated_collections IS '7bc968d6722d4d73f9c0a4b216f7b601a9030ac0';


--
-- Name: curated_collections curated_collections_published_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER curated_collections_published_at_not_ahead AFTER INSERT OR UPDATE OF published_at ON public.curated_collections FOR EACH ROW WHEN ((new.published_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('curated_collections_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER curated_collections_published_at_not_ahead ON curated_collections; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER curated_collections_published_at_not_ahead ON public.curated_collections IS '13e1cecf0087c9db1554e91855bc878031908420';


--
-- Name: curated_collections curated_collections_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER curated_collections_status_transition BEFORE UPDATE OF status ON public.curated_collections FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT (((((old.status = 'draft'::text) AND (new.status = 'published'::text)) OR ((old.status = 'published'::text) AND (new.status = 'archived'::text))) OR ((old.status = 'published'::text) AND (new.status = 'draft'::text))) OR ((old.status = 'archived'::text) AND (new.status = 'draft'::text)))))) EXECUTE FUNCTION public.refuse_transition('curated_collections_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER curated_collections_status_transition ON curated_collections; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER curated_collections_status_transition ON public.curated_collections IS 'a27fe9da594aaad7b81c24349bab6dea81379342';


--
-- Name: curated_collections curated_collections_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER curated_collections_update_audited AFTER UPDATE ON public.curated_collections DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.audit_change('collection_status_changed', 'id', 'status');


--
-- Name: TRIGGER curated_collections_update_audited ON curated_collections; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER curated_collections_update_audited ON public.curated_collections IS '0782bd97415963c227b3699dfd2a7f98f070bd6c';


--
-- Name: curated_items curated_items_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER curated_items_id_stays BEFORE UPDATE OF id ON public.curated_items FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('curated_items_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER curated_items_id_stays ON curated_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER curated_items_id_stays ON public.curated_items IS '77901756c4296716b159e1db71763d11aa83b364';


--
-- Name: data_export_requests data_export_requests_completed_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER data_export_requests_completed_at_not_ahead AFTER INSERT OR UPDATE OF completed_at ON public.data_export_requests FOR EACH ROW WHEN ((new.completed_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('data_export_requests_completed_at_not_ahead', 'completed_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER data_export_requests_completed_at_not_ahead ON data_export_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER data_export_requests_completed_at_not_ahead ON public.data_export_requests IS 'c4a8c070a56ec6303ab77030fa937facfae52e56';


--
-- Name: data_export_requests data_export_requests_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER data_export_requests_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.data_export_requests FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('data_export_requests_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER data_export_requests_created_at_not_ahead ON data_export_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER data_export_requests_created_at_not_ahead ON public.data_export_requests IS 'a8c2dbc30608b83b4065415ff4caf209463483ed';


--
-- Name: data_export_requests data_export_requests_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER data_export_requests_id_stays BEFORE UPDATE OF id ON public.data_export_requests FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('data_export_requests_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER data_export_requests_id_stays ON data_export_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER data_export_requests_id_stays ON public.data_export_requests IS 'b9b779786c2d96ead1bd18cd469d3c463414ff29';


--
-- Name: data_export_requests data_export_requests_status_initial; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER data_export_requests_status_initial AFTER INSERT ON public.data_export_requests FOR EACH ROW WHEN ((new.status <> 'requested'::text)) EXECUTE FUNCTION public.refuse('data_export_requests_status_initial', 'status', 'A new record cannot start in this status');


--
-- Name: TRIGGER data_export_requests_status_initial ON data_export_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER data_export_requests_status_initial ON public.data_export_requests IS '2a89a91419499a6d821dde3ca7d7d7d63332e662';


--
-- Name: data_export_requests data_export_requests_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER data_export_requests_status_transition BEFORE UPDATE OF status ON public.data_export_requests FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT (((((old.status = 'requested'::text) AND (new.status = 'processing'::text)) OR ((old.status = 'requested'::text) AND (new.status = 'failed'::text))) OR ((old.status = 'processing'::text) AND (new.status = 'ready'::text))) OR ((old.status = 'processing'::text) AND (new.status = 'failed'::text)))))) EXECUTE FUNCTION public.refuse_transition('data_export_requests_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER data_export_requests_status_transition ON data_export_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER data_export_requests_status_transition ON public.data_export_requests IS 'b2d49a9df0a926f8457032c106c21fe3a514b64a';


--
-- Name: data_export_requests data_export_requests_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER data_export_requests_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.data_export_requests FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('data_export_requests_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER data_export_requests_user_id_not_erased ON data_export_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER data_export_requests_user_id_not_erased ON public.data_export_requests IS 'fa9b972472d257026630da6556cbf606c54a8019';


--
-- Name: deep_links deep_links_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER deep_links_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.deep_links FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('deep_links_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER deep_links_created_at_not_ahead ON deep_links; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER deep_links_created_at_not_ahead ON public.deep_links IS '7affe86d1fedc81aaf267736f1f30f4516dfa3db';


--
-- Name: deep_links deep_links_set_expiry; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER deep_links_set_expiry BEFORE INSERT ON public.deep_links FOR EACH ROW WHEN ((new.expires_at IS NULL)) EXECUTE FUNCTION public.deep_links_set_expiry();


--
-- Name: TRIGGER deep_links_set_expiry ON deep_links; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER deep_links_set_expiry ON public.deep_links IS 'c36d89fb85384580bef6bb120e78a2d0521dfa6a';


--
-- Name: diary_entries diary_entries_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER diary_entries_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.diary_entries FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('diary_entries_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER diary_entries_created_at_not_ahead ON diary_entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER diary_entries_created_at_not_ahead ON public.diary_entries IS 'e62cc4b2ede442ecdb43a794d9328c7062928948';


--
-- Name: diary_entries diary_entries_deleted_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER diary_entries_deleted_at_not_ahead AFTER INSERT OR UPDATE OF deleted_at ON public.diary_entries FOR EACH ROW WHEN ((new.deleted_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('diary_entries_deleted_at_not_ahead', 'deleted_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER diary_entries_deleted_at_not_ahead ON diary_entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER diary_entries_deleted_at_not_ahead ON public.diary_entries IS '293e680d7984463f35aa5f7a3d323248ad662a69';


--
-- Name: diary_entries diary_entries_entry_date_within_a_year; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER diary_entries_entry_date_within_a_year AFTER INSERT OR UPDATE OF entry_date ON public.diary_entries FOR EACH ROW WHEN ((new.entry_date > (((public.fact_clock() AT TIME ZONE 'UTC'::text) + '1 year'::interval))::date)) EXECUTE FUNCTION public.refuse_new_value('diary_entries_entry_date_within_a_year', 'entry_date', 'This day lies more than a year ahead');


--
-- Name: TRIGGER diary_entries_entry_date_within_a_year ON diary_entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER diary_entries_entry_date_within_a_year ON public.diary_entries IS '6cc7ded86d2dbd489ad4692a3ee4636561590979';


--
-- Name: diary_entries diary_entries_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER diary_entries_id_stays BEFORE UPDATE OF id ON public.diary_entries FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('diary_entries_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER diary_entries_id_stays ON diary_entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER diary_entries_id_stays ON public.diary_entries IS 'e195aa7b99261b46926ce684feb4cf4b3fa1cf56';


--
-- Name: diary_entries diary_entries_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER diary_entries_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.diary_entries FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('diary_entries_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER diary_entries_user_id_not_erased ON diary_entries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER diary_entries_user_id_not_erased ON public.diary_entries IS '7b75585f23b90e7f79372e25b554f0d26f83803b';


--
-- Name: erasure_ledger erasure_ledger_immutable; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erasure_ledger_immutable BEFORE UPDATE ON public.erasure_ledger FOR EACH ROW EXECUTE FUNCTION public.refuse('erasure_ledger_immutable', 'id', 'These records are only added, never changed or deleted');


--
-- Name: TRIGGER erasure_ledger_immutable ON erasure_ledger; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER erasure_ledger_immutable ON public.erasure_ledger IS 'a354f050a9c85987ac31713f24c74b8fa646a6fd';


--
-- Name: erasure_ledger erasure_ledger_no_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erasure_ledger_no_delete BEFORE DELETE ON public.erasure_ledger FOR EACH ROW EXECUTE FUNCTION public.refuse('erasure_ledger_no_delete', 'id', 'These records are only added, never changed or deleted');


--
-- Name: TRIGGER erasure_ledger_no_delete ON erasure_ledger; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER erasure_ledger_no_delete ON public.erasure_ledger IS '952e558f81f68999f85a605da8238a70670735ff';


--
-- Name: erasure_ledger erasure_ledger_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erasure_ledger_no_truncate BEFORE TRUNCATE ON public.erasure_ledger FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('erasure_ledger_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER erasure_ledger_no_truncate ON erasure_ledger; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER erasure_ledger_no_truncate ON public.erasure_ledger IS 'c1c6c8100b2fdf1a975f39b90accfb4313407ac0';


--
-- Name: erasure_requests erasure_requests_completed_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erasure_requests_completed_at_not_ahead AFTER INSERT OR UPDATE OF completed_at ON public.erasure_requests FOR EACH ROW WHEN ((new.completed_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('erasure_requests_completed_at_not_ahead', 'completed_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER erasure_requests_completed_at_not_ahead ON erasure_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER erasure_requests_completed_at_not_ahead ON public.erasure_requests IS 'e472de1d51dc9bdb8fbff5d7068b25f9ee3eba84';


--
-- Name: erasure_requests erasure_requests_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erasure_requests_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.erasure_requests FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('erasure_requests_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER erasure_requests_created_at_not_ahead ON erasure_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER erasure_requests_created_at_not_ahead ON public.erasure_requests IS '9c056a7c51ee88aca6a4ccf52360173f1874bbf2';


--
-- Name: erasure_requests erasure_requests_done_is_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erasure_requests_done_is_erased BEFORE UPDATE OF status ON public.erasure_requests FOR EACH ROW WHEN (((new.status = 'done'::text) AND (old.status <> 'done'::text))) EXECUTE FUNCTION public.erasure_requests_done_is_erased();


--
-- Name: TRIGGER erasure_requests_done_is_erased ON erasure_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER erasure_requests_done_is_erased ON public.erasure_requests IS 'd1d6c9e4eb71ed3ec6d02ee3cbf49f3094e0391a';


--
-- Name: erasure_requests erasure_requests_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erasure_requests_id_stays BEFORE UPDATE OF id ON public.erasure_requests FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('erasure_requests_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER erasure_requests_id_stays ON erasure_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER erasure_requests_id_stays ON public.erasure_requests IS '0c4d47a44aaa9efea9f185e7577058a63fdff00c';


--
-- Name: erasure_requests erasure_requests_request_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erasure_requests_request_stays BEFORE UPDATE ON public.erasure_requests FOR EACH ROW WHEN (((old.user_id IS DISTINCT FROM new.user_id) OR (old.requested_by_user_id IS DISTINCT FROM new.requested_by_user_id) OR (old.created_at IS DISTINCT FROM new.created_at))) EXECUTE FUNCTION public.refuse('erasure_requests_request_stays', 'user_id', 'A request keeps its person, its requester and its time');


--
-- Name: TRIGGER erasure_requests_request_stays ON erasure_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER erasure_requests_request_stays ON public.erasure_requests IS 'afbd591aa46529535610edbef6b8ef06d4bd6abe';


--
-- Name: erasure_requests erasure_requests_status_initial; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erasure_requests_status_initial AFTER INSERT ON public.erasure_requests FOR EACH ROW WHEN ((new.status <> 'requested'::text)) EXECUTE FUNCTION public.refuse('erasure_requests_status_initial', 'status', 'A new record cannot start in this status');


--
-- Name: TRIGGER erasure_requests_status_initial ON erasure_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER erasure_requests_status_initial ON public.erasure_requests IS '1f0087548d4e101627779f897b375b42426a4364';


--
-- Name: erasure_requests erasure_requests_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erasure_requests_status_transition BEFORE UPDATE OF status ON public.erasure_requests FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT (((old.status = 'requested'::text) AND (new.status = 'done'::text)) OR ((old.status = 'requested'::text) AND (new.status = 'refused'::text)))))) EXECUTE FUNCTION public.refuse_transition('erasure_requests_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER erasure_requests_status_transition ON erasure_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER erasure_requests_status_transition ON public.erasure_requests IS 'b279ff88bb03602dcbd95f12f9fbf2fa998a6377';


--
-- Name: erasure_requests erasure_requests_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER erasure_requests_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.erasure_requests FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('erasure_requests_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER erasure_requests_user_id_not_erased ON erasure_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER erasure_requests_user_id_not_erased ON public.erasure_requests IS '0fd404c7e652ac1724588163554d4c788cab7495';


--
-- Name: glossary_term_links glossary_term_links_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER glossary_term_links_id_stays BEFORE UPDATE OF id ON public.glossary_term_links FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('glossary_term_links_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER glossary_term_links_id_stays ON glossary_term_links; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER glossary_term_links_id_stays ON public.glossary_term_links IS '36c6a3049cfd72e8146fd2c1e9098741cd87036e';


--
-- Name: glossary_term_synonyms glossary_term_synonyms_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER glossary_term_synonyms_id_stays BEFORE UPDATE OF id ON public.glossary_term_synonyms FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('glossary_term_synonyms_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER glossary_term_synonyms_id_stays ON glossary_term_synonyms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER glossary_term_synonyms_id_stays ON public.glossary_term_synonyms IS '3b5298b8aea6aef686d6a93c7ca32e517a636aaf';


--
-- Name: glossary_terms glossary_terms_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER glossary_terms_delete_audited AFTER DELETE ON public.glossary_terms DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status = 'published'::text)) EXECUTE FUNCTION public.audit_change('term_deleted', 'id', 'slug', 'title', 'category', 'short_definition', 'body_markdown', 'status', 'published_at', 'meta_description', 'keywords');


--
-- Name: TRIGGER glossary_terms_delete_audited ON glossary_terms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER glossary_terms_delete_audited ON public.glossary_terms IS 'd8979494cc90248a43dfc16cc1a3c32b778018f4';


--
-- Name: glossary_terms glossary_terms_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER glossary_terms_id_stays BEFORE UPDATE OF id ON public.glossary_terms FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('glossary_terms_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER glossary_terms_id_stays ON glossary_terms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER glossary_terms_id_stays ON public.glossary_terms IS 'e4da74152216c14aa2237754b2ca3548c48f9a55';


--
-- Name: glossary_terms glossary_terms_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER glossary_terms_insert_audited AFTER INSERT ON public.glossary_terms DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.status = 'published'::text)) EXECUTE FUNCTION public.audit_change('term_published', 'id', 'slug', 'status');


--
-- Name: TRIGGER glossary_terms_insert_audited ON glossary_terms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER glossary_terms_insert_audited ON public.glossary_terms IS '5c92569dc0e7934e51b840d6897149d4649c53ad';


--
-- Name: glossary_terms glossary_terms_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER glossary_terms_no_truncate BEFORE TRUNCATE ON public.glossary_terms FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('glossary_terms_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER glossary_terms_no_truncate ON glossary_terms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER glossary_terms_no_truncate ON public.glossary_terms IS '6b77f61c8b928c07dcc2584f6c2eb92944e5214e';


--
-- Name: glossary_terms glossary_terms_published_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER glossary_terms_published_at_not_ahead AFTER INSERT OR UPDATE OF published_at ON public.glossary_terms FOR EACH ROW WHEN ((new.published_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('glossary_terms_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER glossary_terms_published_at_not_ahead ON glossary_terms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER glossary_terms_published_at_not_ahead ON public.glossary_terms IS 'a02d34bebc20073d4392612a02700496198d7a31';


--
-- Name: glossary_terms glossary_terms_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER glossary_terms_status_transition BEFORE UPDATE OF status ON public.glossary_terms FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT (((((old.status = 'draft'::text) AND (new.status = 'published'::text)) OR ((old.status = 'published'::text) AND (new.status = 'archived'::text))) OR ((old.status = 'published'::text) AND (new.status = 'draft'::text))) OR ((old.status = 'archived'::text) AND (new.status = 'draft'::text)))))) EXECUTE FUNCTION public.refuse_transition('glossary_terms_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER glossary_terms_status_transition ON glossary_terms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER glossary_terms_status_transition ON public.glossary_terms IS '67fa6d2582ffb421072b2a2eaf0a4d29c630a2fa';


--
-- Name: glossary_terms glossary_terms_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER glossary_terms_update_audited AFTER UPDATE ON public.glossary_terms DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.audit_change('term_status_changed', 'id', 'status');


--
-- Name: TRIGGER glossary_terms_update_audited ON glossary_terms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER glossary_terms_update_audited ON public.glossary_terms IS '6627b3f4832f1a0d75e6047fccd4e9b7c3717a01';


--
-- Name: intake_forms intake_forms_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER intake_forms_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.intake_forms FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('intake_forms_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER intake_forms_created_at_not_ahead ON intake_forms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER intake_forms_created_at_not_ahead ON public.intake_forms IS '9085d0a43a32838c633dbc4d3b0be3aee317142d';


--
-- Name: intake_forms intake_forms_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER intake_forms_id_stays BEFORE UPDATE OF id ON public.intake_forms FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('intake_forms_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER intake_forms_id_stays ON intake_forms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER intake_forms_id_stays ON public.intake_forms IS '33b038b1e9ef27d07400a4b9bd2609af0f2c24bd';


--
-- Name: intake_forms intake_forms_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER intake_forms_status_transition BEFORE UPDATE OF status ON public.intake_forms FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT ((old.status = 'draft'::text) AND (new.status = 'submitted'::text))))) EXECUTE FUNCTION public.refuse_transition('intake_forms_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER intake_forms_status_transition ON intake_forms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER intake_forms_status_transition ON public.intake_forms IS '400b186b4cb093a6f852b62ff57b5bcb264047c2';


--
-- Name: intake_forms intake_forms_submitted_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER intake_forms_submitted_at_not_ahead AFTER INSERT OR UPDATE OF submitted_at ON public.intake_forms FOR EACH ROW WHEN ((new.submitted_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('intake_forms_submitted_at_not_ahead', 'submitted_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER intake_forms_submitted_at_not_ahead ON intake_forms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER intake_forms_submitted_at_not_ahead ON public.intake_forms IS 'ac678f95218cae2febbb5542ccd5c3cd35c30d15';


--
-- Name: intake_forms intake_forms_submitted_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER intake_forms_submitted_stays BEFORE UPDATE ON public.intake_forms FOR EACH ROW WHEN ((((old.appointment_id IS DISTINCT FROM new.appointment_id) OR ((old.payload_encrypted IS DISTINCT FROM new.payload_encrypted) AND (public.is_resealing('intake_forms'::text, old.payload_encrypted, new.payload_encrypted) IS NOT TRUE)) OR (old.submitted_at IS DISTINCT FROM new.submitted_at) OR (old.created_at IS DISTINCT FROM new.created_at)) AND (old.status = 'submitted'::text))) EXECUTE FUNCTION public.refuse('intake_forms_submitted_stays', 'appointment_id', 'A submitted form is not changed');


--
-- Name: TRIGGER intake_forms_submitted_stays ON intake_forms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER intake_forms_submitted_stays ON public.intake_forms IS 'b0181ff0b1873ab682b0db6343cde03085e25ef1';


--
-- Name: interactive_definitions interactive_definitions_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_definitions_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.interactive_definitions FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('interactive_definitions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER interactive_definitions_created_at_not_ahead ON interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_definitions_created_at_not_ahead ON public.interactive_definitions IS 'f376b1936847523159a76b7aa3fd5947cbad6cfd';


--
-- Name: interactive_definitions interactive_definitions_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER interactive_definitions_delete_audited AFTER DELETE ON public.interactive_definitions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status = 'published'::text)) EXECUTE FUNCTION public.audit_change('interactive_deleted', 'id', 'interactive_type', 'slug', 'title', 'topic_code', 'status', 'published_at', 'published_version', 'created_at', 'updated_at');


--
-- Name: TRIGGER interactive_definitions_delete_audited ON interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_definitions_delete_audited ON public.interactive_definitions IS '9337232c48f3749b28d4a958786a5224eebae8aa';


--
-- Name: interactive_definitions interactive_definitions_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_definitions_id_stays BEFORE UPDATE OF id ON public.interactive_definitions FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('interactive_definitions_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER interactive_definitions_id_stays ON interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_definitions_id_stays ON public.interactive_definitions IS '0469ab2315440851c5ec36ee87c44e8e4f9f78d4';


--
-- Name: interactive_definitions interactive_definitions_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER interactive_definitions_insert_audited AFTER INSERT ON public.interactive_definitions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.status = 'published'::text)) EXECUTE FUNCTION public.audit_change('interactive_published', 'id', 'status', 'published_version', 'slug');


--
-- Name: TRIGGER interactive_definitions_insert_audited ON interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_definitions_insert_audited ON public.interactive_definitions IS '6f07ed1a1038bca6e0957798f4213952e77a0a8a';


--
-- Name: interactive_definitions interactive_definitions_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_definitions_no_truncate BEFORE TRUNCATE ON public.interactive_definitions FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('interactive_definitions_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER interactive_definitions_no_truncate ON interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_definitions_no_truncate ON public.interactive_definitions IS 'f4ade9e57fa7bd5dc5c06bb2b12f1568c046c37d';


--
-- Name: interactive_definitions interactive_definitions_published_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_definitions_published_at_not_ahead AFTER INSERT OR UPDATE OF published_at ON public.interactive_definitions FOR EACH ROW WHEN ((new.published_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('interactive_definitions_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER interactive_definitions_published_at_not_ahead ON interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_definitions_published_at_not_ahead ON public.interactive_definitions IS 'b6716011ec7c193b9769cc422bc7a22ed15bbb58';


--
-- Name: interactive_definitions interactive_definitions_published_version_exists; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER interactive_definitions_published_version_exists AFTER INSERT OR UPDATE OF published_version ON public.interactive_definitions DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW WHEN ((new.published_version IS NOT NULL)) EXECUTE FUNCTION public.interactive_definitions_published_version_exists();


--
-- Name: TRIGGER interactive_definitions_published_version_exists ON interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_definitions_published_version_exists ON public.interactive_definitions IS '33f334fc2fdd520990b95367ab3d4964530770ab';


--
-- Name: interactive_definitions interactive_definitions_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_definitions_status_transition BEFORE UPDATE OF status ON public.interactive_definitions FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT (((((old.status = 'draft'::text) AND (new.status = 'published'::text)) OR ((old.status = 'published'::text) AND (new.status = 'archived'::text))) OR ((old.status = 'published'::text) AND (new.status = 'draft'::text))) OR ((old.status = 'archived'::text) AND (new.status = 'draft'::text)))))) EXECUTE FUNCTION public.refuse_transition('interactive_definitions_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER interactive_definitions_status_transition ON interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_definitions_status_transition ON public.interactive_definitions IS 'e9dec15ddacd8ff3d74330a2366dee6cac3990f3';


--
-- Name: interactive_definitions interactive_definitions_touch_updated_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_definitions_touch_updated_at BEFORE UPDATE ON public.interactive_definitions FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();


--
-- Name: TRIGGER interactive_definitions_touch_updated_at ON interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_definitions_touch_updated_at ON public.interactive_definitions IS '30f3be70dad6da5e9080434f4aab547a085aab07';


--
-- Name: interactive_definitions interactive_definitions_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER interactive_definitions_update_audited AFTER UPDATE ON public.interactive_definitions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) OR (old.published_version IS DISTINCT FROM new.published_version))) EXECUTE FUNCTION public.audit_change('interactive_status_changed', 'id', 'status', 'published_version');


--
-- Name: TRIGGER interactive_definitions_update_audited ON interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_definitions_update_audited ON public.interactive_definitions IS 'ffb459391c113c876d6431fe154d348b0292e15b';


--
-- Name: interactive_definitions interactive_definitions_updated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_definitions_updated_at_not_ahead AFTER INSERT OR UPDATE OF updated_at ON public.interactive_definitions FOR EACH ROW WHEN ((new.updated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('interactive_definitions_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER interactive_definitions_updated_at_not_ahead ON interactive_definitions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_definitions_updated_at_not_ahead ON public.interactive_definitions IS 'd75ce24f63f2180b72dcc5e592858b0141b61f9e';


--
-- Name: interactive_run_totals interactive_run_totals_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_run_totals_id_stays BEFORE UPDATE OF id ON public.interactive_run_totals FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('interactive_run_totals_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER interactive_run_totals_id_stays ON interactive_run_totals; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_run_totals_id_stays ON public.interactive_run_totals IS '0a32a6d34b341e28597c32a11981c81249ae2b38';


--
-- Name: interactive_runs interactive_runs_completed_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_runs_completed_at_not_ahead AFTER INSERT OR UPDATE OF completed_at ON public.interactive_runs FOR EACH ROW WHEN ((new.completed_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('interactive_runs_completed_at_not_ahead', 'completed_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER interactive_runs_completed_at_not_ahead ON interactive_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_runs_completed_at_not_ahead ON public.interactive_runs IS 'e3bbd41cc98694eb3c55d20d7d5db8d291661c87';


--
-- Name: interactive_runs interactive_runs_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_runs_id_stays BEFORE UPDATE OF id ON public.interactive_runs FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('interactive_runs_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER interactive_runs_id_stays ON interactive_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_runs_id_stays ON public.interactive_runs IS '04aae91a09f9af753945e3d81996956aed4739d4';


--
-- Name: interactive_runs interactive_runs_started_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_runs_started_at_not_ahead AFTER INSERT OR UPDATE OF started_at ON public.interactive_runs FOR EACH ROW WHEN ((new.started_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('interactive_runs_started_at_not_ahead', 'started_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER interactive_runs_started_at_not_ahead ON interactive_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_runs_started_at_not_ahead ON public.interactive_runs IS '61ac0f4cb9c77445253bb9407c508a21572082e7';


--
-- Name: interactive_runs interactive_runs_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_runs_status_transition BEFORE UPDATE OF status ON public.interactive_runs FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT (((old.status = 'in_progress'::text) AND (new.status = 'completed'::text)) OR ((old.status = 'in_progress'::text) AND (new.status = 'abandoned'::text)))))) EXECUTE FUNCTION public.refuse_transition('interactive_runs_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER interactive_runs_status_transition ON interactive_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_runs_status_transition ON public.interactive_runs IS '6ded6f7d434f5a201a6ae3fd42c4c601377e4dc6';


--
-- Name: interactive_runs interactive_runs_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_runs_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.interactive_runs FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('interactive_runs_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER interactive_runs_user_id_not_erased ON interactive_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_runs_user_id_not_erased ON public.interactive_runs IS 'ffc1f3fbdf7717f7b2d720715d9333448e3851c9';


--
-- Name: interactive_versions interactive_versions_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_versions_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.interactive_versions FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('interactive_versions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER interactive_versions_created_at_not_ahead ON interactive_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_versions_created_at_not_ahead ON public.interactive_versions IS '7d81d799a0fb843f224cc70a04ec9f630ca75744';


--
-- Name: interactive_versions interactive_versions_immutable; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_versions_immutable BEFORE UPDATE ON public.interactive_versions FOR EACH ROW EXECUTE FUNCTION public.refuse('interactive_versions_immutable', 'id', 'This record cannot be changed any more');


--
-- Name: TRIGGER interactive_versions_immutable ON interactive_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_versions_immutable ON public.interactive_versions IS '8273710deeb97ede08bba4e8f2e6c73fe14e672c';


--
-- Name: interactive_versions interactive_versions_no_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_versions_no_delete BEFORE DELETE ON public.interactive_versions FOR EACH ROW EXECUTE FUNCTION public.interactive_versions_no_delete();


--
-- Name: TRIGGER interactive_versions_no_delete ON interactive_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_versions_no_delete ON public.interactive_versions IS '6d090784c87c89e7d45cecd86eae4a573c289a3b';


--
-- Name: interactive_versions interactive_versions_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER interactive_versions_no_truncate BEFORE TRUNCATE ON public.interactive_versions FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('interactive_versions_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER interactive_versions_no_truncate ON interactive_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER interactive_versions_no_truncate ON public.interactive_versions IS '39ab866eff64c91e40d0316f8d3ea0a00eeb4f6f';


--
-- Name: key_rotations key_rotations_finished_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER key_rotations_finished_at_not_ahead AFTER INSERT OR UPDATE OF finished_at ON public.key_rotations FOR EACH ROW WHEN ((new.finished_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('key_rotations_finished_at_not_ahead', 'finished_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER key_rotations_finished_at_not_ahead ON key_rotations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER key_rotations_finished_at_not_ahead ON public.key_rotations IS '84193d0b8e7359873168f89ad02188e47d8e6cdf';


--
-- Name: key_rotations key_rotations_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER key_rotations_id_stays BEFORE UPDATE OF id ON public.key_rotations FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('key_rotations_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER key_rotations_id_stays ON key_rotations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER key_rotations_id_stays ON public.key_rotations IS '1c16dd5762f295a90aef68511ceef225bf811f3b';


--
-- Name: key_rotations key_rotations_started_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER key_rotations_started_at_not_ahead AFTER INSERT OR UPDATE OF started_at ON public.key_rotations FOR EACH ROW WHEN ((new.started_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('key_rotations_started_at_not_ahead', 'started_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER key_rotations_started_at_not_ahead ON key_rotations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER key_rotations_started_at_not_ahead ON public.key_rotations IS 'ecb2ebc9c9308561627bc209ca4b2ec013e0fc5f';


--
-- Name: key_rotations key_rotations_touch_updated_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER key_rotations_touch_updated_at BEFORE UPDATE ON public.key_rotations FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();


--
-- Name: TRIGGER key_rotations_touch_updated_at ON key_rotations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER key_rotations_touch_updated_at ON public.key_rotations IS '3604349ae076b45e76a46ff05cef7c7acb7bfae2';


--
-- Name: key_rotations key_rotations_updated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER key_rotations_updated_at_not_ahead AFTER INSERT OR UPDATE OF updated_at ON public.key_rotations FOR EACH ROW WHEN ((new.updated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('key_rotations_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER key_rotations_updated_at_not_ahead ON key_rotations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER key_rotations_updated_at_not_ahead ON public.key_rotations IS '2e61d03e719678ca2ad62a06d614fd6f091959ef';


--
-- Name: lead_identities lead_identities_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lead_identities_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.lead_identities FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('lead_identities_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER lead_identities_created_at_not_ahead ON lead_identities; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER lead_identities_created_at_not_ahead ON public.lead_identities IS '7a5bf418e6b0f7035b9d6ef940978a0dce3ebda7';


--
-- Name: lead_identities lead_identities_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lead_identities_id_stays BEFORE UPDATE OF id ON public.lead_identities FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('lead_identities_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER lead_identities_id_stays ON lead_identities; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER lead_identities_id_stays ON public.lead_identities IS '3960db72cd5a63b501d5e4957e7a457f194e683d';


--
-- Name: lead_identities lead_identities_not_of_merged_lead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lead_identities_not_of_merged_lead AFTER INSERT OR UPDATE OF lead_id ON public.lead_identities FOR EACH ROW EXECUTE FUNCTION public.lead_identities_not_of_merged_lead();


--
-- Name: TRIGGER lead_identities_not_of_merged_lead ON lead_identities; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER lead_identities_not_of_merged_lead ON public.lead_identities IS 'f596c50c60e8e0a614c798729ce396aabf55d36d';


--
-- Name: lead_identities lead_identities_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lead_identities_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.lead_identities FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('lead_identities_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER lead_identities_user_id_not_erased ON lead_identities; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER lead_identities_user_id_not_erased ON public.lead_identities IS '942bc1f4bf64813686ac253f68e0794d374b9b9a';


--
-- Name: lead_notes lead_notes_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lead_notes_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.lead_notes FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('lead_notes_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER lead_notes_created_at_not_ahead ON lead_notes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER lead_notes_created_at_not_ahead ON public.lead_notes IS 'c22924b804fdcbac6588cbb8efd092727c478d86';


--
-- Name: lead_notes lead_notes_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lead_notes_id_stays BEFORE UPDATE OF id ON public.lead_notes FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('lead_notes_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER lead_notes_id_stays ON lead_notes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER lead_notes_id_stays ON public.lead_notes IS '6bace7ff1802f50b13838603a75de6a39acc9de6';


--
-- Name: lead_notes lead_notes_touch_updated_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lead_notes_touch_updated_at BEFORE UPDATE ON public.lead_notes FOR EACH ROW WHEN ((public.is_resealing('lead_notes'::text, old.note_encrypted, new.note_encrypted) IS NOT TRUE)) EXECUTE FUNCTION public.touch_updated_at();


--
-- Name: TRIGGER lead_notes_touch_updated_at ON lead_notes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER lead_notes_touch_updated_at ON public.lead_notes IS '50c9570100085158a1eba846369ec56ffdf0677b';


--
-- Name: lead_notes lead_notes_updated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lead_notes_updated_at_not_ahead AFTER INSERT OR UPDATE OF updated_at ON public.lead_notes FOR EACH ROW WHEN ((new.updated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('lead_notes_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER lead_notes_updated_at_not_ahead ON lead_notes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER lead_notes_updated_at_not_ahead ON public.lead_notes IS 'd3229738b0b02e380e53cc34507645062459682d';


--
-- Name: lead_timeline_events lead_timeline_events_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lead_timeline_events_id_stays BEFORE UPDATE OF id ON public.lead_timeline_events FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('lead_timeline_events_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER lead_timeline_events_id_stays ON lead_timeline_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER lead_timeline_events_id_stays ON public.lead_timeline_events IS '86059b88227cb44155036e049d586c63b60e29b2';


--
-- Name: lead_timeline_events lead_timeline_events_occurred_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lead_timeline_events_occurred_at_not_ahead AFTER INSERT OR UPDATE OF occurred_at ON public.lead_timeline_events FOR EACH ROW WHEN ((new.occurred_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('lead_timeline_events_occurred_at_not_ahead', 'occurred_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER lead_timeline_events_occurred_at_not_ahead ON lead_timeline_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER lead_timeline_events_occurred_at_not_ahead ON public.lead_timeline_events IS 'e8d222c902a2f9e237ad389f70376fdde273280a';


--
-- Name: lead_timeline_events lead_timeline_events_p0_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lead_timeline_events_p0_only BEFORE INSERT OR UPDATE ON public.lead_timeline_events FOR EACH ROW EXECUTE FUNCTION public.guard_p0_event('_p0_only', 'The tracking plan does not allow this property or its value', '_required_present', 'A property that the tracking plan requires is missing', '_event_in_plan', 'The tracking plan has no such active event', '_source_in_plan', 'This event does not come from this source');


--
-- Name: TRIGGER lead_timeline_events_p0_only ON lead_timeline_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER lead_timeline_events_p0_only ON public.lead_timeline_events IS 'c11431f4f28313403d8c0d4e2150db0f819fe25c';


--
-- Name: leads leads_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER leads_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.leads FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('leads_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER leads_created_at_not_ahead ON leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER leads_created_at_not_ahead ON public.leads IS '801e997fa72ad634f426b0f11d2af0ad826bce18';


--
-- Name: leads leads_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER leads_delete_audited AFTER DELETE ON public.leads DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('lead_deleted', 'id', 'status', 'source', 'topic_code', 'merged_into_id', 'created_at', 'updated_at');


--
-- Name: TRIGGER leads_delete_audited ON leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER leads_delete_audited ON public.leads IS '03f706494c80a562eed7f8a4c7c8cb9abdf23502';


--
-- Name: leads leads_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER leads_id_stays BEFORE UPDATE OF id ON public.leads FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('leads_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER leads_id_stays ON leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER leads_id_stays ON public.leads IS '4a59ff3ba44686afdb8eb824919bfcb5592e09b1';


--
-- Name: leads leads_merged_has_no_identity; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER leads_merged_has_no_identity BEFORE UPDATE OF merged_into_id ON public.leads FOR EACH ROW WHEN (((new.merged_into_id IS NOT NULL) AND (old.merged_into_id IS NULL))) EXECUTE FUNCTION public.leads_merged_has_no_identity();


--
-- Name: TRIGGER leads_merged_has_no_identity ON leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER leads_merged_has_no_identity ON public.leads IS 'e186c264d04afa515b853ad90d6cdf1b72899954';


--
-- Name: leads leads_merged_in_no_circle; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER leads_merged_in_no_circle BEFORE UPDATE OF merged_into_id ON public.leads FOR EACH ROW WHEN (((new.merged_into_id IS NOT NULL) AND (old.merged_into_id IS NULL))) EXECUTE FUNCTION public.leads_merged_in_no_circle();


--
-- Name: TRIGGER leads_merged_in_no_circle ON leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER leads_merged_in_no_circle ON public.leads IS 'e9dd27aa0125c93fd7cec606aca8c496353d831e';


--
-- Name: leads leads_merged_once; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER leads_merged_once BEFORE UPDATE ON public.leads FOR EACH ROW WHEN (((old.merged_into_id IS DISTINCT FROM new.merged_into_id) AND (old.merged_into_id IS NOT NULL))) EXECUTE FUNCTION public.refuse('leads_merged_once', 'merged_into_id', 'A merged lead stays merged into the same lead');


--
-- Name: TRIGGER leads_merged_once ON leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER leads_merged_once ON public.leads IS 'cedac0944776ef7e4a4cef3a97f526ab82c6d03d';


--
-- Name: leads leads_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER leads_no_truncate BEFORE TRUNCATE ON public.leads FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('leads_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER leads_no_truncate ON leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER leads_no_truncate ON public.leads IS '13b33eb21731f1f01278f0c9951be79ee4109381';


--
-- Name: leads leads_touch_updated_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER leads_touch_updated_at BEFORE UPDATE ON public.leads FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();


--
-- Name: TRIGGER leads_touch_updated_at ON leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER leads_touch_updated_at ON public.leads IS '7d4373908a65b0d926f8bb95149fa2d3f5fc3b98';


--
-- Name: leads leads_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER leads_update_audited AFTER UPDATE ON public.leads DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.audit_change('lead_status_changed', 'id', 'status');


--
-- Name: TRIGGER leads_update_audited ON leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER leads_update_audited ON public.leads IS 'f31d778b744d421f3d645679bd735d198ee84c6d';


--
-- Name: leads leads_updated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER leads_updated_at_not_ahead AFTER INSERT OR UPDATE OF updated_at ON public.leads FOR EACH ROW WHEN ((new.updated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('leads_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER leads_updated_at_not_ahead ON leads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER leads_updated_at_not_ahead ON public.leads IS '66d2fddc9796ba46aa9dae8a5982a194a3f34eb2';


--
-- Name: leases leases_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER leases_id_stays BEFORE UPDATE OF id ON public.leases FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('leases_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER leases_id_stays ON leases; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER leases_id_stays ON public.leases IS '2e5bf8152355cb90e361e94de71cef34b19aef6d';


--
-- Name: locks locks_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER locks_id_stays BEFORE UPDATE OF id ON public.locks FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('locks_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER locks_id_stays ON locks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER locks_id_stays ON public.locks IS '584e0cc959cd1c7105ee1a512e8bc91d02abd48c';


--
-- Name: login_limits login_limits_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER login_limits_id_stays BEFORE UPDATE OF id ON public.login_limits FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('login_limits_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER login_limits_id_stays ON login_limits; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER login_limits_id_stays ON public.login_limits IS 'c97b72d86b94890291c15a80beb1c9f8efd39284';


--
-- Name: media_assets media_assets_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER media_assets_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.media_assets FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('media_assets_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER media_assets_created_at_not_ahead ON media_assets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER media_assets_created_at_not_ahead ON public.media_assets IS '9d0dbfcb04029945865042b7c2d9d4694b2b809f';


--
-- Name: media_assets media_assets_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER media_assets_delete_audited AFTER DELETE ON public.media_assets DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('media_deleted', 'id', 'storage_provider', 'object_key', 'public_url', 'media_type', 'mime_type', 'size_bytes', 'title', 'alt_text', 'is_decorative', 'uploaded_by_user_id', 'created_at');


--
-- Name: TRIGGER media_assets_delete_audited ON media_assets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER media_assets_delete_audited ON public.media_assets IS '0cdbc6d03ed2d4a4e0913bb7d4055744d22c80a5';


--
-- Name: media_assets media_assets_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER media_assets_id_stays BEFORE UPDATE OF id ON public.media_assets FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('media_assets_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER media_assets_id_stays ON media_assets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER media_assets_id_stays ON public.media_assets IS 'cfe66d2fb604aacd8398ac51891266e290e0045d';


--
-- Name: media_assets media_assets_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER media_assets_insert_audited AFTER INSERT ON public.media_assets DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('media_created', 'id', 'media_type', 'mime_type', 'object_key', 'public_url', 'size_bytes');


--
-- Name: TRIGGER media_assets_insert_audited ON media_assets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER media_assets_insert_audited ON public.media_assets IS 'e54f77bd592decbf992fdf92793a4bbf3191bc18';


--
-- Name: media_assets media_assets_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER media_assets_no_truncate BEFORE TRUNCATE ON public.media_assets FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('media_assets_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER media_assets_no_truncate ON media_assets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER media_assets_no_truncate ON public.media_assets IS 'd3372f9f3a9d9555bb305e54aa87070e4ff04eda';


--
-- Name: media_assets media_assets_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER media_assets_update_audited AFTER UPDATE ON public.media_assets DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((old.media_type IS DISTINCT FROM new.media_type) OR (old.mime_type IS DISTINCT FROM new.mime_type) OR (old.object_key IS DISTINCT FROM new.object_key) OR (old.public_url IS DISTINCT FROM new.public_url) OR (old.size_bytes IS DISTINCT FROM new.size_bytes))) EXECUTE FUNCTION public.audit_change('media_replaced', 'id', 'media_type', 'mime_type', 'object_key', 'public_url', 'size_bytes');


--
-- Name: TRIGGER media_assets_update_audited ON media_assets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER media_assets_update_audited ON public.media_assets IS '2ee24629595883a5dbce32a1cd48b7c69d04b602';


--
-- Name: message_deliveries message_deliveries_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.message_deliveries FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('message_deliveries_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER message_deliveries_created_at_not_ahead ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_created_at_not_ahead ON public.message_deliveries IS '652064fcc52e49050b0a1282546dfb6817c48c36';


--
-- Name: message_deliveries message_deliveries_facts_stay; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_facts_stay BEFORE UPDATE ON public.message_deliveries FOR EACH ROW WHEN (((old.kind IS DISTINCT FROM new.kind) OR (old.channel IS DISTINCT FROM new.channel) OR (old.dedupe_key IS DISTINCT FROM new.dedupe_key))) EXECUTE FUNCTION public.refuse('message_deliveries_facts_stay', 'kind', 'Kind, channel and key of a message never change');


--
-- Name: TRIGGER message_deliveries_facts_stay ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_facts_stay ON public.message_deliveries IS '4b883e7fdafdd8382fe5457266e83ebdc4057751';


--
-- Name: message_deliveries message_deliveries_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_id_stays BEFORE UPDATE OF id ON public.message_deliveries FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('message_deliveries_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER message_deliveries_id_stays ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_id_stays ON public.message_deliveries IS '9755e55663fa6b7ed31bac15930d8ada85e91102';


--
-- Name: message_deliveries message_deliveries_lead_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_lead_stays BEFORE UPDATE OF lead_id ON public.message_deliveries FOR EACH ROW WHEN (((new.lead_id IS NOT NULL) AND (old.lead_id IS DISTINCT FROM new.lead_id))) EXECUTE FUNCTION public.message_deliveries_lead_stays();


--
-- Name: TRIGGER message_deliveries_lead_stays ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_lead_stays ON public.message_deliveries IS 'd50184b1130646710064e7b2a4375c6c38ed00b8';


--
-- Name: message_deliveries message_deliveries_links_stay; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_links_stay BEFORE UPDATE ON public.message_deliveries FOR EACH ROW WHEN ((((old.user_id IS DISTINCT FROM new.user_id) AND ((new.user_id IS NOT NULL) OR (new.user_id IS NOT NULL))) OR ((old.appointment_id IS DISTINCT FROM new.appointment_id) AND ((new.appointment_id IS NOT NULL) OR (new.user_id IS NOT NULL))))) EXECUTE FUNCTION public.refuse('message_deliveries_links_stay', 'user_id', 'Person and session of a message never change');


--
-- Name: TRIGGER message_deliveries_links_stay ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_links_stay ON public.message_deliveries IS '39ae4bd6fb36983f05feff4c3a4f69bac928f058';


--
-- Name: message_deliveries message_deliveries_one_claim; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_one_claim BEFORE UPDATE OF status, claimed_until ON public.message_deliveries FOR EACH ROW WHEN (((old.status = 'sending'::text) AND (((new.status = 'sending'::text) AND (old.claimed_until <> new.claimed_until)) OR ((new.status = 'scheduled'::text) AND (old.claimed_until <= public.fact_clock()))))) EXECUTE FUNCTION public.refuse('message_deliveries_one_claim', 'status', 'A message is claimed once, and not again after its claim ran out');


--
-- Name: TRIGGER message_deliveries_one_claim ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_one_claim ON public.message_deliveries IS '6686610c474b664a0442bdcc7cede81bc46bd0ea';


--
-- Name: message_deliveries message_deliveries_person_agreed; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_person_agreed BEFORE UPDATE OF status ON public.message_deliveries FOR EACH ROW WHEN (((old.status = 'scheduled'::text) AND (new.status = 'sending'::text))) EXECUTE FUNCTION public.message_deliveries_person_agreed();


--
-- Name: TRIGGER message_deliveries_person_agreed ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_person_agreed ON public.message_deliveries IS '1ff3dc38b1d1a655d07ca99c43a63611bdca4910';


--
-- Name: message_deliveries message_deliveries_person_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_person_not_erased BEFORE UPDATE OF status ON public.message_deliveries FOR EACH ROW WHEN (((old.status = 'scheduled'::text) AND (new.status = 'sending'::text) AND (new.user_id IS NOT NULL))) EXECUTE FUNCTION public.message_deliveries_person_not_erased();


--
-- Name: TRIGGER message_deliveries_person_not_erased ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_person_not_erased ON public.message_deliveries IS '25c79aa71a90f62ff4e198ae2cdbe9b4a637e232';


--
-- Name: message_deliveries message_deliveries_sent_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_sent_at_not_ahead AFTER INSERT OR UPDATE OF sent_at ON public.message_deliveries FOR EACH ROW WHEN ((new.sent_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('message_deliveries_sent_at_not_ahead', 'sent_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER message_deliveries_sent_at_not_ahead ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_sent_at_not_ahead ON public.message_deliveries IS '44984b7c4e3d29c82751be4ee74f0bc0bf14f276';


--
-- Name: message_deliveries message_deliveries_session_is_on; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_session_is_on BEFORE UPDATE OF status ON public.message_deliveries FOR EACH ROW WHEN (((old.status = 'scheduled'::text) AND (new.status = 'sending'::text) AND (new.appointment_id IS NOT NULL))) EXECUTE FUNCTION public.message_deliveries_session_is_on();


--
-- Name: TRIGGER message_deliveries_session_is_on ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_session_is_on ON public.message_deliveries IS 'c5236275b6224d694b53dfb7b6936d8c1ad91d8e';


--
-- Name: message_deliveries message_deliveries_status_initial; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_status_initial AFTER INSERT ON public.message_deliveries FOR EACH ROW WHEN ((new.status <> 'scheduled'::text)) EXECUTE FUNCTION public.refuse('message_deliveries_status_initial', 'status', 'A new record cannot start in this status');


--
-- Name: TRIGGER message_deliveries_status_initial ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_status_initial ON public.message_deliveries IS '3308039b76c259722b375640b1511a3264960664';


--
-- Name: message_deliveries message_deliveries_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_status_transition BEFORE UPDATE OF status ON public.message_deliveries FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT ((((((((old.status = 'scheduled'::text) AND (new.status = 'sending'::text)) OR ((old.status = 'scheduled'::text) AND (new.status = 'canceled'::text))) OR ((old.status = 'scheduled'::text) AND (new.status = 'suppressed'::text))) OR ((old.status = 'sending'::text) AND (new.status = 'sent'::text))) OR ((old.status = 'sending'::text) AND (new.status = 'failed'::text))) OR ((old.status = 'sending'::text) AND (new.status = 'scheduled'::text))) OR ((old.status = 'sending'::text) AND (new.status = 'suppressed'::text)))))) EXECUTE FUNCTION public.refuse_transition('message_deliveries_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER message_deliveries_status_transition ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_status_transition ON public.message_deliveries IS 'fa5ddd49bcec45bf83ba70d482ee93ecb6ea1ccb';


--
-- Name: message_deliveries message_deliveries_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.message_deliveries FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('message_deliveries_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER message_deliveries_user_id_not_erased ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_user_id_not_erased ON public.message_deliveries IS 'f6c83f775ce5e5e7a2955327e8ee0871dedff590';


--
-- Name: message_deliveries message_deliveries_what_was_sent_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_deliveries_what_was_sent_stays BEFORE UPDATE ON public.message_deliveries FOR EACH ROW WHEN ((((old.template_version_id IS DISTINCT FROM new.template_version_id) OR (old.sent_at IS DISTINCT FROM new.sent_at) OR (old.attempts IS DISTINCT FROM new.attempts) OR (old.due_at IS DISTINCT FROM new.due_at) OR ((old.provider_message_id IS DISTINCT FROM new.provider_message_id) AND ((new.provider_message_id IS NOT NULL) OR (new.user_id IS NOT NULL)))) AND (old.status = 'sent'::text))) EXECUTE FUNCTION public.refuse('message_deliveries_what_was_sent_stays', 'template_version_id', 'What was sent does not change');


--
-- Name: TRIGGER message_deliveries_what_was_sent_stays ON message_deliveries; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_deliveries_what_was_sent_stays ON public.message_deliveries IS 'df2b0046bfde9b1a48425667ea28af82c5cb927e';


--
-- Name: message_template_versions message_template_versions_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_template_versions_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.message_template_versions FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('message_template_versions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER message_template_versions_created_at_not_ahead ON message_template_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_template_versions_created_at_not_ahead ON public.message_template_versions IS '63ad151a20e89f84c53c3dc1679733506baed420';


--
-- Name: message_template_versions message_template_versions_immutable; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_template_versions_immutable BEFORE UPDATE ON public.message_template_versions FOR EACH ROW EXECUTE FUNCTION public.refuse('message_template_versions_immutable', 'id', 'This record cannot be changed any more');


--
-- Name: TRIGGER message_template_versions_immutable ON message_template_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_template_versions_immutable ON public.message_template_versions IS '6ca97f653f78c04d9ac5e9455261d024008c1ee4';


--
-- Name: message_template_versions message_template_versions_no_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_template_versions_no_delete BEFORE DELETE ON public.message_template_versions FOR EACH ROW EXECUTE FUNCTION public.message_template_versions_no_delete();


--
-- Name: TRIGGER message_template_versions_no_delete ON message_template_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_template_versions_no_delete ON public.message_template_versions IS '7905610a7dd62cb3d9bf9c6167e0835a1807cbb4';


--
-- Name: message_template_versions message_template_versions_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_template_versions_no_truncate BEFORE TRUNCATE ON public.message_template_versions FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('message_template_versions_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER message_template_versions_no_truncate ON message_template_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_template_versions_no_truncate ON public.message_template_versions IS 'dc70ce0beaaf0750a37682c0206100c983dd084d';


--
-- Name: message_template_versions message_template_versions_subject_for_email; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_template_versions_subject_for_email AFTER INSERT ON public.message_template_versions FOR EACH ROW EXECUTE FUNCTION public.message_template_versions_subject_for_email();


--
-- Name: TRIGGER message_template_versions_subject_for_email ON message_template_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_template_versions_subject_for_email ON public.message_template_versions IS '8e6cc5159aa7c92b9bc8a7c4665e198b42ec097b';


--
-- Name: message_templates message_templates_active_version_exists; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER message_templates_active_version_exists AFTER INSERT OR UPDATE OF active_version ON public.message_templates DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW WHEN ((new.active_version IS NOT NULL)) EXECUTE FUNCTION public.message_templates_active_version_exists();


--
-- Name: TRIGGER message_templates_active_version_exists ON message_templates; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_templates_active_version_exists ON public.message_templates IS '4a7cb1629481da4113fbb2303c4001935660c14c';


--
-- Name: message_templates message_templates_channel_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_templates_channel_stays BEFORE UPDATE ON public.message_templates FOR EACH ROW WHEN ((old.channel IS DISTINCT FROM new.channel)) EXECUTE FUNCTION public.refuse('message_templates_channel_stays', 'channel', 'A template keeps its channel');


--
-- Name: TRIGGER message_templates_channel_stays ON message_templates; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_templates_channel_stays ON public.message_templates IS 'ee07487030cb12c6616025a2e131109066891f1b';


--
-- Name: message_templates message_templates_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_templates_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.message_templates FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('message_templates_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER message_templates_created_at_not_ahead ON message_templates; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_templates_created_at_not_ahead ON public.message_templates IS 'cd105fbbc21aa6cf74db9b2b963bee25e4458d54';


--
-- Name: message_templates message_templates_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER message_templates_delete_audited AFTER DELETE ON public.message_templates DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status = 'active'::text)) EXECUTE FUNCTION public.audit_change('template_deleted', 'id', 'channel', 'category', 'name', 'status', 'language', 'active_version', 'created_at');


--
-- Name: TRIGGER message_templates_delete_audited ON message_templates; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_templates_delete_audited ON public.message_templates IS '880f3bc0615302813d6eae97b6971b749b36abf2';


--
-- Name: message_templates message_templates_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_templates_id_stays BEFORE UPDATE OF id ON public.message_templates FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('message_templates_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER message_templates_id_stays ON message_templates; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_templates_id_stays ON public.message_templates IS '947734e3a8cc5f202cdbafd0961d8761683ca9dc';


--
-- Name: message_templates message_templates_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER message_templates_insert_audited AFTER INSERT ON public.message_templates DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.status = 'active'::text)) EXECUTE FUNCTION public.audit_change('template_activated', 'id', 'status', 'active_version');


--
-- Name: TRIGGER message_templates_insert_audited ON message_templates; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_templates_insert_audited ON public.message_templates IS '2a6342ec89d5d03e1b45b1cb9635257cf49286f4';


--
-- Name: message_templates message_templates_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_templates_no_truncate BEFORE TRUNCATE ON public.message_templates FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('message_templates_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER message_templates_no_truncate ON message_templates; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_templates_no_truncate ON public.message_templates IS 'bfcee4781ba06e826d0a2ed433f4741a38f8618d';


--
-- Name: message_templates message_templates_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_templates_status_transition BEFORE UPDATE OF status ON public.message_templates FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT (((((old.status = 'draft'::text) AND (new.status = 'active'::text)) OR ((old.status = 'active'::text) AND (new.status = 'archived'::text))) OR ((old.status = 'active'::text) AND (new.status = 'draft'::text))) OR ((old.status = 'archived'::text) AND (new.status = 'active'::text)))))) EXECUTE FUNCTION public.refuse_transition('message_templates_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER message_templates_status_transition ON message_templates; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_templates_status_transition ON public.message_templates IS '90cdd6b967e4eb9ee8b5f3a4b9f4687ac2644125';


--
-- Name: message_templates message_templates_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER message_templates_update_audited AFTER UPDATE ON public.message_templates DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) OR (old.active_version IS DISTINCT FROM new.active_version))) EXECUTE FUNCTION public.audit_change('template_changed', 'id', 'status', 'active_version');


--
-- Name: TRIGGER message_templates_update_audited ON message_templates; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER message_templates_update_audited ON public.message_templates IS '94d6d00e60864515c2daf2f741daa870bef30279';


--
-- Name: migration_steps migration_steps_finished_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER migration_steps_finished_at_not_ahead AFTER INSERT OR UPDATE OF finished_at ON public.migration_steps FOR EACH ROW WHEN ((new.finished_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('migration_steps_finished_at_not_ahead', 'finished_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER migration_steps_finished_at_not_ahead ON migration_steps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER migration_steps_finished_at_not_ahead ON public.migration_steps IS 'd36ed60ad9e3b6faf501e79f52763370a27f3f6a';


--
-- Name: migration_steps migration_steps_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER migration_steps_id_stays BEFORE UPDATE OF id ON public.migration_steps FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('migration_steps_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER migration_steps_id_stays ON migration_steps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER migration_steps_id_stays ON public.migration_steps IS 'aed0599cbc9c411934e190c9d5db3975a742053d';


--
-- Name: moderation_totals moderation_totals_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER moderation_totals_id_stays BEFORE UPDATE OF id ON public.moderation_totals FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('moderation_totals_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER moderation_totals_id_stays ON moderation_totals; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER moderation_totals_id_stays ON public.moderation_totals IS 'c1746787996c1998b0b02612249aa3aea87db29c';


--
-- Name: outbox_events outbox_events_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER outbox_events_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.outbox_events FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('outbox_events_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER outbox_events_created_at_not_ahead ON outbox_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER outbox_events_created_at_not_ahead ON public.outbox_events IS 'c66a9474e0ca8c1c6e22e3fd63c787cd692bf55b';


--
-- Name: outbox_events outbox_events_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER outbox_events_id_stays BEFORE UPDATE OF id ON public.outbox_events FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('outbox_events_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER outbox_events_id_stays ON outbox_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER outbox_events_id_stays ON public.outbox_events IS '9f5fcdeac91dd691928af3279628a52188e6c127';


--
-- Name: outbox_events outbox_events_published_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER outbox_events_published_at_not_ahead AFTER INSERT OR UPDATE OF published_at ON public.outbox_events FOR EACH ROW WHEN ((new.published_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('outbox_events_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER outbox_events_published_at_not_ahead ON outbox_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER outbox_events_published_at_not_ahead ON public.outbox_events IS '5911ea3d7c90a9587e7b0c30be5bb6c3efbbef4e';


--
-- Name: payment_webhook_events payment_webhook_events_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payment_webhook_events_id_stays BEFORE UPDATE OF id ON public.payment_webhook_events FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('payment_webhook_events_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER payment_webhook_events_id_stays ON payment_webhook_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payment_webhook_events_id_stays ON public.payment_webhook_events IS 'e28aec0d42230681010970bc17c653e1413e92c6';


--
-- Name: payment_webhook_events payment_webhook_events_processed_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payment_webhook_events_processed_at_not_ahead AFTER INSERT OR UPDATE OF processed_at ON public.payment_webhook_events FOR EACH ROW WHEN ((new.processed_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('payment_webhook_events_processed_at_not_ahead', 'processed_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER payment_webhook_events_processed_at_not_ahead ON payment_webhook_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payment_webhook_events_processed_at_not_ahead ON public.payment_webhook_events IS 'e0929e590dffc7a23dc76ac27d1d67605600395b';


--
-- Name: payment_webhook_events payment_webhook_events_received_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payment_webhook_events_received_at_not_ahead AFTER INSERT OR UPDATE OF received_at ON public.payment_webhook_events FOR EACH ROW WHEN ((new.received_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('payment_webhook_events_received_at_not_ahead', 'received_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER payment_webhook_events_received_at_not_ahead ON payment_webhook_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payment_webhook_events_received_at_not_ahead ON public.payment_webhook_events IS '03f5954f5ae1bb85ad253d04057e5bbd4f72eca2';


--
-- Name: payments payments_confirmed_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_confirmed_at_not_ahead AFTER INSERT OR UPDATE OF confirmed_at ON public.payments FOR EACH ROW WHEN ((new.confirmed_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('payments_confirmed_at_not_ahead', 'confirmed_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER payments_confirmed_at_not_ahead ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_confirmed_at_not_ahead ON public.payments IS '0127c493b84f530b90f33afe0d237f9c083a8976';


--
-- Name: payments payments_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.payments FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('payments_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER payments_created_at_not_ahead ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_created_at_not_ahead ON public.payments IS '5adf5ed52be0b4b2546ef65e4969130f971f68ea';


--
-- Name: payments payments_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER payments_delete_audited AFTER DELETE ON public.payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.provider = 'manual'::text)) EXECUTE FUNCTION public.audit_change('manual_payment_deleted', 'id', 'appointment_id', 'provider', 'method', 'recorded_by_user_id', 'receipt_status', 'provider_payment_id', 'idempotency_key', 'purpose', 'amount', 'currency', 'status', 'failure_category', 'created_at', 'confirmed_at');


--
-- Name: TRIGGER payments_delete_audited ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_delete_audited ON public.payments IS '38f6bdaadf5c98784f66bae7f0392aef08a59fe2';


--
-- Name: payments payments_fit_price; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER payments_fit_price AFTER INSERT ON public.payments DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION public.payments_fit_price();


--
-- Name: TRIGGER payments_fit_price ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_fit_price ON public.payments IS '0b6e452fb88690768a318f20b261888ec7b8ce6e';


--
-- Name: payments payments_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_id_stays BEFORE UPDATE OF id ON public.payments FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('payments_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER payments_id_stays ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_id_stays ON public.payments IS '98202c0e0b6b3ade8d1860ee112bd660812a8494';


--
-- Name: payments payments_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER payments_insert_audited AFTER INSERT ON public.payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.provider = 'manual'::text)) EXECUTE FUNCTION public.audit_change('manual_payment_recorded', 'id', 'appointment_id', 'amount', 'method', 'recorded_by_user_id');


--
-- Name: TRIGGER payments_insert_audited ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_insert_audited ON public.payments IS '9c33b3b2aa103444bc377fa3c144ed01ceabf4ae';


--
-- Name: payments payments_manual_within_price; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_manual_within_price BEFORE INSERT ON public.payments FOR EACH ROW WHEN ((new.provider = 'manual'::text)) EXECUTE FUNCTION public.payments_manual_within_price();


--
-- Name: TRIGGER payments_manual_within_price ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_manual_within_price ON public.payments IS 'f25ddc312255d7b89e43d7763284788a273ec18c';


--
-- Name: payments payments_method_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_method_stays BEFORE UPDATE ON public.payments FOR EACH ROW WHEN (((old.method IS DISTINCT FROM new.method) AND (old.method IS NOT NULL))) EXECUTE FUNCTION public.refuse('payments_method_stays', 'method', 'How a payment was made, once known, does not change');


--
-- Name: TRIGGER payments_method_stays ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_method_stays ON public.payments IS 'b4d5a7cfc2d228bde708f05911a15bdb9c4c5339';


--
-- Name: payments payments_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_no_truncate BEFORE TRUNCATE ON public.payments FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('payments_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER payments_no_truncate ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_no_truncate ON public.payments IS 'ea0084d951aca8883173c6ddfba365086cc249af';


--
-- Name: payments payments_provider_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_provider_id_stays BEFORE UPDATE ON public.payments FOR EACH ROW WHEN ((((old.provider IS DISTINCT FROM new.provider) OR (old.provider_payment_id IS DISTINCT FROM new.provider_payment_id)) AND (old.provider_payment_id IS NOT NULL))) EXECUTE FUNCTION public.refuse('payments_provider_id_stays', 'provider', 'The provider''s id, once known, does not change');


--
-- Name: TRIGGER payments_provider_id_stays ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_provider_id_stays ON public.payments IS '18621818c83c9ca5a9629d012c3dfc1bba05762b';


--
-- Name: payments payments_receipt_moves_forward; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_receipt_moves_forward BEFORE UPDATE OF receipt_status ON public.payments FOR EACH ROW WHEN ((COALESCE(array_position(ARRAY['pending'::text, 'canceled'::text, 'succeeded'::text], new.receipt_status), 0) < array_position(ARRAY['pending'::text, 'canceled'::text, 'succeeded'::text], old.receipt_status))) EXECUTE FUNCTION public.refuse('payments_receipt_moves_forward', 'receipt_status', 'The status of a tax receipt only moves forward');


--
-- Name: TRIGGER payments_receipt_moves_forward ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_receipt_moves_forward ON public.payments IS '3a80c498b3964a568b0dcd32e0f0ddba7f9377ff';


--
-- Name: payments payments_recorder_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_recorder_stays BEFORE UPDATE ON public.payments FOR EACH ROW WHEN (((old.provider IS DISTINCT FROM new.provider) OR (old.recorded_by_user_id IS DISTINCT FROM new.recorded_by_user_id))) EXECUTE FUNCTION public.refuse('payments_recorder_stays', 'provider', 'Provider and recorder of a payment never change');


--
-- Name: TRIGGER payments_recorder_stays ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_recorder_stays ON public.payments IS '3a517b226f520cff9ab9bb384bd9cc1f247d1e87';


--
-- Name: payments payments_request_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_request_stays BEFORE UPDATE ON public.payments FOR EACH ROW WHEN ((old.idempotency_key IS DISTINCT FROM new.idempotency_key)) EXECUTE FUNCTION public.refuse('payments_request_stays', 'idempotency_key', 'The key under which the provider was asked does not change');


--
-- Name: TRIGGER payments_request_stays ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_request_stays ON public.payments IS '5ec03d27899cd05227d6137a3a919064dfe2b5a7';


--
-- Name: payments payments_status_initial; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_status_initial AFTER INSERT ON public.payments FOR EACH ROW WHEN ((new.status <>
        CASE new.provider
            WHEN 'manual'::text THEN 'succeeded'::text
            ELSE 'pending'::text
        END)) EXECUTE FUNCTION public.refuse('payments_status_initial', 'status', 'A payment starts pending, one taken by staff starts succeeded');


--
-- Name: TRIGGER payments_status_initial ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_status_initial ON public.payments IS '0e898fc71792ecdb3aca6a9115583ceeb75420f5';


--
-- Name: payments payments_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_status_transition BEFORE UPDATE OF status ON public.payments FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT ((((old.status = 'pending'::text) AND (new.status = 'succeeded'::text)) OR ((old.status = 'pending'::text) AND (new.status = 'canceled'::text))) OR ((old.status = 'pending'::text) AND (new.status = 'failed'::text)))))) EXECUTE FUNCTION public.refuse_transition('payments_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER payments_status_transition ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_status_transition ON public.payments IS '9ae7bbead43b541de74c1c04179ae09ce8afae87';


--
-- Name: payments payments_terms_stay; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_terms_stay BEFORE UPDATE ON public.payments FOR EACH ROW WHEN (((old.amount IS DISTINCT FROM new.amount) OR (old.currency IS DISTINCT FROM new.currency) OR (old.purpose IS DISTINCT FROM new.purpose) OR (old.appointment_id IS DISTINCT FROM new.appointment_id))) EXECUTE FUNCTION public.refuse('payments_terms_stay', 'amount', 'Amount, currency, purpose and appointment of a payment never change');


--
-- Name: TRIGGER payments_terms_stay ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_terms_stay ON public.payments IS 'edc83dd7185237660a190877dc631cbfafe0ea79';


--
-- Name: payments payments_time_of_success_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payments_time_of_success_stays BEFORE UPDATE ON public.payments FOR EACH ROW WHEN (((old.confirmed_at IS DISTINCT FROM new.confirmed_at) AND (old.confirmed_at IS NOT NULL))) EXECUTE FUNCTION public.refuse('payments_time_of_success_stays', 'confirmed_at', 'A payment that succeeded keeps its time');


--
-- Name: TRIGGER payments_time_of_success_stays ON payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payments_time_of_success_stays ON public.payments IS '0b6d234b3c8da0b6392de5bdec8f3806bcf494b2';


--
-- Name: question_answers question_answers_answered_keeps_answer; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER question_answers_answered_keeps_answer BEFORE DELETE OR UPDATE OF question_id ON public.question_answers FOR EACH ROW EXECUTE FUNCTION public.question_answers_answered_keeps_answer();


--
-- Name: TRIGGER question_answers_answered_keeps_answer ON question_answers; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER question_answers_answered_keeps_answer ON public.question_answers IS '899621b5b37af57af80cd53dcbb945d9cf9e7951';


--
-- Name: question_answers question_answers_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER question_answers_id_stays BEFORE UPDATE OF id ON public.question_answers FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('question_answers_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER question_answers_id_stays ON question_answers; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER question_answers_id_stays ON public.question_answers IS '59b1c15376df6656a12fa79bd59b6999e05b1417';


--
-- Name: question_answers question_answers_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER question_answers_no_truncate BEFORE TRUNCATE ON public.question_answers FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('question_answers_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER question_answers_no_truncate ON question_answers; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER question_answers_no_truncate ON public.question_answers IS '0adb27e6a11d0e6406fde466f4a81169bafeff45';


--
-- Name: question_answers question_answers_published_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER question_answers_published_at_not_ahead AFTER INSERT OR UPDATE OF published_at ON public.question_answers FOR EACH ROW WHEN ((new.published_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('question_answers_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER question_answers_published_at_not_ahead ON question_answers; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER question_answers_published_at_not_ahead ON public.question_answers IS 'f3835dd22461db0ebb29cfca1bcf687284211352';


--
-- Name: question_answers question_answers_published_is_allowed; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER question_answers_published_is_allowed AFTER INSERT OR UPDATE OF published_at, question_id ON public.question_answers FOR EACH ROW WHEN ((new.published_at IS NOT NULL)) EXECUTE FUNCTION public.question_answers_published_is_allowed();


--
-- Name: TRIGGER question_answers_published_is_allowed ON question_answers; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER question_answers_published_is_allowed ON public.question_answers IS 'ecc9dfff0fd704fea3e99048e5be11fb598db4fe';


--
-- Name: recovery_codes recovery_codes_factor_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER recovery_codes_factor_stays BEFORE UPDATE ON public.recovery_codes FOR EACH ROW WHEN ((old.second_factor_id IS DISTINCT FROM new.second_factor_id)) EXECUTE FUNCTION public.refuse('recovery_codes_factor_stays', 'second_factor_id', 'A recovery code stays with its second factor');


--
-- Name: TRIGGER recovery_codes_factor_stays ON recovery_codes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER recovery_codes_factor_stays ON public.recovery_codes IS 'dd9bbe38a65a780ef208d08b9f2b978a78dd5e7d';


--
-- Name: recovery_codes recovery_codes_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER recovery_codes_id_stays BEFORE UPDATE OF id ON public.recovery_codes FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('recovery_codes_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER recovery_codes_id_stays ON recovery_codes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER recovery_codes_id_stays ON public.recovery_codes IS '6ec3157dad52b14909733b4f8005bb8e4c655a80';


--
-- Name: recovery_codes recovery_codes_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER recovery_codes_update_audited AFTER UPDATE ON public.recovery_codes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.used_at IS DISTINCT FROM new.used_at)) EXECUTE FUNCTION public.audit_change('recovery_code_used', 'id', 'used_at');


--
-- Name: TRIGGER recovery_codes_update_audited ON recovery_codes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER recovery_codes_update_audited ON public.recovery_codes IS '5fab08ba246b32bfc3ac208b3cd31d380e89e777';


--
-- Name: recovery_codes recovery_codes_used_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER recovery_codes_used_at_not_ahead AFTER INSERT OR UPDATE OF used_at ON public.recovery_codes FOR EACH ROW WHEN ((new.used_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('recovery_codes_used_at_not_ahead', 'used_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER recovery_codes_used_at_not_ahead ON recovery_codes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER recovery_codes_used_at_not_ahead ON public.recovery_codes IS 'c24bbc0065119b1ee476f4f4700a0981ea1c54f7';


--
-- Name: recovery_codes recovery_codes_used_once; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER recovery_codes_used_once BEFORE UPDATE ON public.recovery_codes FOR EACH ROW WHEN (((old.used_at IS DISTINCT FROM new.used_at) AND (old.used_at IS NOT NULL))) EXECUTE FUNCTION public.refuse('recovery_codes_used_once', 'used_at', 'A recovery code that was used is not good again');


--
-- Name: TRIGGER recovery_codes_used_once ON recovery_codes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER recovery_codes_used_once ON public.recovery_codes IS '7750cbb38f09029339a87165885ce293d36cfe14';


--
-- Name: refunds refunds_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER refunds_delete_audited AFTER DELETE ON public.refunds DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('refund_deleted', 'id', 'payment_id', 'amount', 'reason', 'status', 'provider_refund_id', 'requested_at', 'sent_at', 'succeeded_at', 'recorded_by_user_id');


--
-- Name: TRIGGER refunds_delete_audited ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_delete_audited ON public.refunds IS '7a73c84e4c8fc44ccd46ac26fc538609cd109474';


--
-- Name: refunds refunds_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_id_stays BEFORE UPDATE OF id ON public.refunds FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('refunds_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER refunds_id_stays ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_id_stays ON public.refunds IS '77d4dfff49785ddaf05bd43f007da102a7b3761b';


--
-- Name: refunds refunds_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER refunds_insert_audited AFTER INSERT ON public.refunds DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('refund_created', 'id', 'payment_id', 'amount', 'reason', 'status');


--
-- Name: TRIGGER refunds_insert_audited ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_insert_audited ON public.refunds IS '9b4acff5ea9119ce5876ad32a5ac1aa505c71f03';


--
-- Name: refunds refunds_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_no_truncate BEFORE TRUNCATE ON public.refunds FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('refunds_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER refunds_no_truncate ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_no_truncate ON public.refunds IS '0ea8a09b5ca6d08df8c6d7fc7fbc9ccbe48b974b';


--
-- Name: refunds refunds_provider_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_provider_id_stays BEFORE UPDATE ON public.refunds FOR EACH ROW WHEN (((old.provider_refund_id IS DISTINCT FROM new.provider_refund_id) AND (old.provider_refund_id IS NOT NULL))) EXECUTE FUNCTION public.refuse('refunds_provider_id_stays', 'provider_refund_id', 'The provider''s id of a refund, once known, does not change');


--
-- Name: TRIGGER refunds_provider_id_stays ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_provider_id_stays ON public.refunds IS 'c852f2a882e9d672ddb3dbe73ca6b0684ac1d2cf';


--
-- Name: refunds refunds_recorder_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_recorder_stays BEFORE UPDATE ON public.refunds FOR EACH ROW WHEN (((old.recorded_by_user_id IS DISTINCT FROM new.recorded_by_user_id) AND (old.recorded_by_user_id IS NOT NULL))) EXECUTE FUNCTION public.refuse('refunds_recorder_stays', 'recorded_by_user_id', 'Who recorded a refund does not change');


--
-- Name: TRIGGER refunds_recorder_stays ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_recorder_stays ON public.refunds IS '91622222cc7f466224d5e0f1f52e543c958508ca';


--
-- Name: refunds refunds_requested_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_requested_at_not_ahead AFTER INSERT OR UPDATE OF requested_at ON public.refunds FOR EACH ROW WHEN ((new.requested_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('refunds_requested_at_not_ahead', 'requested_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER refunds_requested_at_not_ahead ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_requested_at_not_ahead ON public.refunds IS 'f9aac678b1514ec46d1e3820d5c5b2636d7965e5';


--
-- Name: refunds refunds_sent_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_sent_at_not_ahead AFTER INSERT OR UPDATE OF sent_at ON public.refunds FOR EACH ROW WHEN ((new.sent_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('refunds_sent_at_not_ahead', 'sent_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER refunds_sent_at_not_ahead ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_sent_at_not_ahead ON public.refunds IS '56f835b69ac353ce4f9c30ca7c297dc68d138025';


--
-- Name: refunds refunds_status_initial; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_status_initial AFTER INSERT ON public.refunds FOR EACH ROW WHEN ((new.status <> ALL (ARRAY['due'::text, 'succeeded'::text]))) EXECUTE FUNCTION public.refuse('refunds_status_initial', 'status', 'A new record cannot start in this status');


--
-- Name: TRIGGER refunds_status_initial ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_status_initial ON public.refunds IS '22c41b0d70a1c4f1fb1ace4972a3b4e9d994556e';


--
-- Name: refunds refunds_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_status_transition BEFORE UPDATE OF status ON public.refunds FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT ((((((((old.status = 'due'::text) AND (new.status = 'sent'::text)) OR ((old.status = 'due'::text) AND (new.status = 'succeeded'::text))) OR ((old.status = 'due'::text) AND (new.status = 'failed'::text))) OR ((old.status = 'sent'::text) AND (new.status = 'succeeded'::text))) OR ((old.status = 'sent'::text) AND (new.status = 'failed'::text))) OR ((old.status = 'failed'::text) AND (new.status = 'sent'::text))) OR ((old.status = 'failed'::text) AND (new.status = 'succeeded'::text)))))) EXECUTE FUNCTION public.refuse_transition('refunds_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER refunds_status_transition ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_status_transition ON public.refunds IS '36195a4e3d25a675c30a22cdab8bfc15b80c8b8a';


--
-- Name: refunds refunds_succeeded_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_succeeded_at_not_ahead AFTER INSERT OR UPDATE OF succeeded_at ON public.refunds FOR EACH ROW WHEN ((new.succeeded_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('refunds_succeeded_at_not_ahead', 'succeeded_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER refunds_succeeded_at_not_ahead ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_succeeded_at_not_ahead ON public.refunds IS 'bdc784d373874fba2d1f15673d8b526470deb739';


--
-- Name: refunds refunds_terms_stay; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_terms_stay BEFORE UPDATE ON public.refunds FOR EACH ROW WHEN (((old.payment_id IS DISTINCT FROM new.payment_id) OR (old.amount IS DISTINCT FROM new.amount) OR (old.reason IS DISTINCT FROM new.reason) OR (old.requested_at IS DISTINCT FROM new.requested_at))) EXECUTE FUNCTION public.refuse('refunds_terms_stay', 'payment_id', 'Payment, amount, reason and time of request of a refund never change');


--
-- Name: TRIGGER refunds_terms_stay ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_terms_stay ON public.refunds IS '0beb61684a593f86a7063e768af89d2f7daa3e84';


--
-- Name: refunds refunds_time_of_success_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_time_of_success_stays BEFORE UPDATE ON public.refunds FOR EACH ROW WHEN (((old.succeeded_at IS DISTINCT FROM new.succeeded_at) AND (old.succeeded_at IS NOT NULL))) EXECUTE FUNCTION public.refuse('refunds_time_of_success_stays', 'succeeded_at', 'A refund that succeeded keeps its time');


--
-- Name: TRIGGER refunds_time_of_success_stays ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_time_of_success_stays ON public.refunds IS '9d3d7785e1ee3ab31bd0b845c2cb6bd371a3ea7d';


--
-- Name: refunds refunds_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER refunds_update_audited AFTER UPDATE ON public.refunds DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) OR (old.recorded_by_user_id IS DISTINCT FROM new.recorded_by_user_id))) EXECUTE FUNCTION public.audit_change('refund_changed', 'id', 'status', 'recorded_by_user_id');


--
-- Name: TRIGGER refunds_update_audited ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_update_audited ON public.refunds IS '76ae0e454c8b46c9a03208630e4dbed482962c34';


--
-- Name: refunds refunds_within_payment; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER refunds_within_payment AFTER INSERT OR UPDATE OF status ON public.refunds DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW WHEN ((new.status <> 'failed'::text)) EXECUTE FUNCTION public.refunds_within_payment();


--
-- Name: TRIGGER refunds_within_payment ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_within_payment ON public.refunds IS 'f0c3eb82e2addb2e8d5d88e9ef6888a1ab13a0fd';


--
-- Name: review_publication_consents review_publication_consents_are_evidence; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER review_publication_consents_are_evidence BEFORE UPDATE ON public.review_publication_consents FOR EACH ROW WHEN (((old.review_id IS DISTINCT FROM new.review_id) OR (old.user_id IS DISTINCT FROM new.user_id) OR (old.granted IS DISTINCT FROM new.granted) OR (old.version IS DISTINCT FROM new.version) OR (old.granted_at IS DISTINCT FROM new.granted_at))) EXECUTE FUNCTION public.refuse('review_publication_consents_are_evidence', 'review_id', 'A consent is evidence: only its withdrawal can be recorded');


--
-- Name: TRIGGER review_publication_consents_are_evidence ON review_publication_consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER review_publication_consents_are_evidence ON public.review_publication_consents IS '1d20ad74750d9284ec3bee773595656d49124632';


--
-- Name: review_publication_consents review_publication_consents_granted_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER review_publication_consents_granted_at_not_ahead AFTER INSERT OR UPDATE OF granted_at ON public.review_publication_consents FOR EACH ROW WHEN ((new.granted_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('review_publication_consents_granted_at_not_ahead', 'granted_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER review_publication_consents_granted_at_not_ahead ON review_publication_consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER review_publication_consents_granted_at_not_ahead ON public.review_publication_consents IS '26bab0867ae6ffe35b8af89169cb47f7f4c4c334';


--
-- Name: review_publication_consents review_publication_consents_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER review_publication_consents_id_stays BEFORE UPDATE OF id ON public.review_publication_consents FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('review_publication_consents_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER review_publication_consents_id_stays ON review_publication_consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER review_publication_consents_id_stays ON public.review_publication_consents IS '57c06dd9d466d588578e6433b27e9f2febc4d574';


--
-- Name: review_publication_consents review_publication_consents_no_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER review_publication_consents_no_delete BEFORE DELETE ON public.review_publication_consents FOR EACH ROW WHEN (((
        CASE
            WHEN old.granted THEN old.revoked_at
            ELSE old.granted_at
        END < (public.fact_clock() - '3 years'::interval)) IS NOT TRUE)) EXECUTE FUNCTION public.refuse('review_publication_consents_no_delete', 'id', 'These records are kept as evidence and are not deleted');


--
-- Name: TRIGGER review_publication_consents_no_delete ON review_publication_consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER review_publication_consents_no_delete ON public.review_publication_consents IS '430907d576410288b5bb34d1cc1cd5d00e920feb';


--
-- Name: review_publication_consents review_publication_consents_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER review_publication_consents_no_truncate BEFORE TRUNCATE ON public.review_publication_consents FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('review_publication_consents_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER review_publication_consents_no_truncate ON review_publication_consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER review_publication_consents_no_truncate ON public.review_publication_consents IS '60490450706bacbdb6192069c053ea5df007f473';


--
-- Name: review_publication_consents review_publication_consents_revoked_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER review_publication_consents_revoked_at_not_ahead AFTER INSERT OR UPDATE OF revoked_at ON public.review_publication_consents FOR EACH ROW WHEN ((new.revoked_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('review_publication_consents_revoked_at_not_ahead', 'revoked_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER review_publication_consents_revoked_at_not_ahead ON review_publication_consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER review_publication_consents_revoked_at_not_ahead ON public.review_publication_consents IS '8caac0d326c8b503fff9a767c03ac81cf6b01034';


--
-- Name: review_publication_consents review_publication_consents_revoked_once; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER review_publication_consents_revoked_once BEFORE UPDATE ON public.review_publication_consents FOR EACH ROW WHEN (((old.revoked_at IS DISTINCT FROM new.revoked_at) AND (old.revoked_at IS NOT NULL))) EXECUTE FUNCTION public.refuse('review_publication_consents_revoked_once', 'revoked_at', 'A consent is withdrawn once');


--
-- Name: TRIGGER review_publication_consents_revoked_once ON review_publication_consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER review_publication_consents_revoked_once ON public.review_publication_consents IS 'e8ed7be195d8022f8a0c573331bd4b71f62d1ee5';


--
-- Name: review_publication_consents review_publication_consents_unpublish; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER review_publication_consents_unpublish AFTER UPDATE OF revoked_at ON public.review_publication_consents FOR EACH ROW WHEN (((new.revoked_at IS NOT NULL) AND (old.revoked_at IS NULL))) EXECUTE FUNCTION public.review_publication_consents_unpublish();


--
-- Name: TRIGGER review_publication_consents_unpublish ON review_publication_consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER review_publication_consents_unpublish ON public.review_publication_consents IS '03d7a1130414968f9e62fd418e327619bad803f0';


--
-- Name: review_publication_consents review_publication_consents_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER review_publication_consents_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.review_publication_consents FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('review_publication_consents_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER review_publication_consents_user_id_not_erased ON review_publication_consents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER review_publication_consents_user_id_not_erased ON public.review_publication_consents IS '354fdd2804a4953910f8fdd0104a8d2e765ca75b';


--
-- Name: reviews reviews_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reviews_id_stays BEFORE UPDATE OF id ON public.reviews FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('reviews_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER reviews_id_stays ON reviews; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reviews_id_stays ON public.reviews IS 'f797b82cb557c8fe2c454bb41167270ed845b262';


--
-- Name: reviews reviews_published_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reviews_published_at_not_ahead AFTER INSERT OR UPDATE OF published_at ON public.reviews FOR EACH ROW WHEN ((new.published_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('reviews_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER reviews_published_at_not_ahead ON reviews; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reviews_published_at_not_ahead ON public.reviews IS '3409d5b344fae8d447f63709a5700dc8bed74da8';


--
-- Name: reviews reviews_published_has_consent; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reviews_published_has_consent BEFORE UPDATE OF status ON public.reviews FOR EACH ROW WHEN (((new.status = 'published'::text) AND (old.status <> 'published'::text))) EXECUTE FUNCTION public.reviews_published_has_consent();


--
-- Name: TRIGGER reviews_published_has_consent ON reviews; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reviews_published_has_consent ON public.reviews IS '6e6fe1531637164ce72042f9b4932f00517dea6a';


--
-- Name: reviews reviews_status_initial; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reviews_status_initial AFTER INSERT ON public.reviews FOR EACH ROW WHEN ((new.status <> ALL (ARRAY['draft'::text, 'pending'::text]))) EXECUTE FUNCTION public.refuse('reviews_status_initial', 'status', 'A new record cannot start in this status');


--
-- Name: TRIGGER reviews_status_initial ON reviews; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reviews_status_initial ON public.reviews IS '7596778621c886944b90511b032790961293897e';


--
-- Name: reviews reviews_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reviews_status_transition BEFORE UPDATE OF status ON public.reviews FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT ((((((old.status = 'draft'::text) AND (new.status = 'pending'::text)) OR ((old.status = 'pending'::text) AND (new.status = 'published'::text))) OR ((old.status = 'pending'::text) AND (new.status = 'unpublished'::text))) OR ((old.status = 'published'::text) AND (new.status = 'unpublished'::text))) OR ((old.status = 'unpublished'::text) AND (new.status = 'published'::text)))))) EXECUTE FUNCTION public.refuse_transition('reviews_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER reviews_status_transition ON reviews; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reviews_status_transition ON public.reviews IS 'd162af70eb20f64f369438cda60c0788362c1665';


--
-- Name: reviews reviews_submitted_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reviews_submitted_at_not_ahead AFTER INSERT OR UPDATE OF submitted_at ON public.reviews FOR EACH ROW WHEN ((new.submitted_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('reviews_submitted_at_not_ahead', 'submitted_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER reviews_submitted_at_not_ahead ON reviews; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reviews_submitted_at_not_ahead ON public.reviews IS '34323c592fd6ed054cd850659b28f9d08336ecf1';


--
-- Name: reviews reviews_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER reviews_update_audited AFTER UPDATE ON public.reviews DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.audit_change('review_status_changed', 'id', 'status');


--
-- Name: TRIGGER reviews_update_audited ON reviews; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reviews_update_audited ON public.reviews IS '27b8e7e4fcbb7a8cdafa90eb6173baa6f055e554';


--
-- Name: reviews reviews_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reviews_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.reviews FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('reviews_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER reviews_user_id_not_erased ON reviews; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reviews_user_id_not_erased ON public.reviews IS 'b5ed38064d4514193573b1a334873ab8d91eff1a';


--
-- Name: schedule_exceptions schedule_exceptions_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER schedule_exceptions_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.schedule_exceptions FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('schedule_exceptions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER schedule_exceptions_created_at_not_ahead ON schedule_exceptions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER schedule_exceptions_created_at_not_ahead ON public.schedule_exceptions IS '3bd2fdbf72328773c11a33498511edf40aee8eb9';


--
-- Name: schedule_exceptions schedule_exceptions_created_by_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER schedule_exceptions_created_by_user_id_not_erased AFTER INSERT OR UPDATE OF created_by_user_id ON public.schedule_exceptions FOR EACH ROW WHEN ((new.created_by_user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('schedule_exceptions_created_by_user_id_not_erased', 'created_by_user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER schedule_exceptions_created_by_user_id_not_erased ON schedule_exceptions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER schedule_exceptions_created_by_user_id_not_erased ON public.schedule_exceptions IS '54bd1ef1a39eb2cab58cb4719d9aa2686737dd4a';


--
-- Name: schedule_exceptions schedule_exceptions_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER schedule_exceptions_delete_audited AFTER DELETE ON public.schedule_exceptions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('schedule_exception_deleted', 'id', 'service_id', 'starts_on', 'ends_on', 'timezone', 'kind', 'start_local', 'end_local', 'created_at');


--
-- Name: TRIGGER schedule_exceptions_delete_audited ON schedule_exceptions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER schedule_exceptions_delete_audited ON public.schedule_exceptions IS '9bad6ea054d2a8b1e6b877d459d386afde1c5cc7';


--
-- Name: schedule_exceptions schedule_exceptions_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER schedule_exceptions_id_stays BEFORE UPDATE OF id ON public.schedule_exceptions FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('schedule_exceptions_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER schedule_exceptions_id_stays ON schedule_exceptions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER schedule_exceptions_id_stays ON public.schedule_exceptions IS '02583196e022b04f9850ca21f555927c32a226bd';


--
-- Name: schedule_exceptions schedule_exceptions_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER schedule_exceptions_insert_audited AFTER INSERT ON public.schedule_exceptions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('schedule_exception_created', 'id', 'service_id', 'starts_on', 'ends_on', 'timezone', 'kind', 'start_local', 'end_local');


--
-- Name: TRIGGER schedule_exceptions_insert_audited ON schedule_exceptions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER schedule_exceptions_insert_audited ON public.schedule_exceptions IS 'a51493e6541337c9179e01653542b7c76c8393ac';


--
-- Name: schedule_exceptions schedule_exceptions_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER schedule_exceptions_no_truncate BEFORE TRUNCATE ON public.schedule_exceptions FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('schedule_exceptions_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER schedule_exceptions_no_truncate ON schedule_exceptions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER schedule_exceptions_no_truncate ON public.schedule_exceptions IS '00250db9c16a57e9254ff4bd66f8a6a2569b9108';


--
-- Name: schedule_exceptions schedule_exceptions_timezone_is_known; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER schedule_exceptions_timezone_is_known AFTER INSERT OR UPDATE OF timezone ON public.schedule_exceptions FOR EACH ROW WHEN ((NOT public.is_time_zone(new.timezone))) EXECUTE FUNCTION public.schedule_exceptions_timezone_is_known();


--
-- Name: TRIGGER schedule_exceptions_timezone_is_known ON schedule_exceptions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER schedule_exceptions_timezone_is_known ON public.schedule_exceptions IS '6c0bead97d9e2380eb2ba103593ff85526667ee5';


--
-- Name: schedule_exceptions schedule_exceptions_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER schedule_exceptions_update_audited AFTER UPDATE ON public.schedule_exceptions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((old.service_id IS DISTINCT FROM new.service_id) OR (old.starts_on IS DISTINCT FROM new.starts_on) OR (old.ends_on IS DISTINCT FROM new.ends_on) OR (old.timezone IS DISTINCT FROM new.timezone) OR (old.kind IS DISTINCT FROM new.kind) OR (old.start_local IS DISTINCT FROM new.start_local) OR (old.end_local IS DISTINCT FROM new.end_local))) EXECUTE FUNCTION public.audit_change('schedule_exception_changed', 'id', 'service_id', 'starts_on', 'ends_on', 'timezone', 'kind', 'start_local', 'end_local');


--
-- Name: TRIGGER schedule_exceptions_update_audited ON schedule_exceptions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER schedule_exceptions_update_audited ON public.schedule_exceptions IS '1ed2725017e6dcf8784199179ad7f1f77ff3499e';


--
-- Name: schedule_rules schedule_rules_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER schedule_rules_id_stays BEFORE UPDATE OF id ON public.schedule_rules FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('schedule_rules_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER schedule_rules_id_stays ON schedule_rules; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER schedule_rules_id_stays ON public.schedule_rules IS '5c18530fe8cec1eec0b543577773d7382ff1e6f2';


--
-- Name: schedule_rules schedule_rules_timezone_is_known; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER schedule_rules_timezone_is_known AFTER INSERT OR UPDATE OF timezone ON public.schedule_rules FOR EACH ROW WHEN ((NOT public.is_time_zone(new.timezone))) EXECUTE FUNCTION public.schedule_rules_timezone_is_known();


--
-- Name: TRIGGER schedule_rules_timezone_is_known ON schedule_rules; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER schedule_rules_timezone_is_known ON public.schedule_rules IS 'e5d2eec1fb79706c56363e8ba4ff6e6a39a3e2d0';


--
-- Name: second_factors second_factors_code_is_good_once; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER second_factors_code_is_good_once BEFORE UPDATE OF last_step ON public.second_factors FOR EACH ROW WHEN ((new.last_step < old.last_step)) EXECUTE FUNCTION public.refuse('second_factors_code_is_good_once', 'last_step', 'A code that was used is not good again');


--
-- Name: TRIGGER second_factors_code_is_good_once ON second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER second_factors_code_is_good_once ON public.second_factors IS '17efbddc588a4dc441deee7df0ec7c3b307c51ef';


--
-- Name: second_factors second_factors_confirmed_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER second_factors_confirmed_at_not_ahead AFTER INSERT OR UPDATE OF confirmed_at ON public.second_factors FOR EACH ROW WHEN ((new.confirmed_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('second_factors_confirmed_at_not_ahead', 'confirmed_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER second_factors_confirmed_at_not_ahead ON second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER second_factors_confirmed_at_not_ahead ON public.second_factors IS '989141ec7b692b977d4e5f342099d38e2a9c12d5';


--
-- Name: second_factors second_factors_confirmed_once; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER second_factors_confirmed_once BEFORE UPDATE ON public.second_factors FOR EACH ROW WHEN (((old.confirmed_at IS DISTINCT FROM new.confirmed_at) AND (old.confirmed_at IS NOT NULL))) EXECUTE FUNCTION public.refuse('second_factors_confirmed_once', 'confirmed_at', 'A second factor is confirmed once');


--
-- Name: TRIGGER second_factors_confirmed_once ON second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER second_factors_confirmed_once ON public.second_factors IS '68208488b744d06bc79124bdef892cca14460107';


--
-- Name: second_factors second_factors_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER second_factors_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.second_factors FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('second_factors_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER second_factors_created_at_not_ahead ON second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER second_factors_created_at_not_ahead ON public.second_factors IS 'ef3d80fe04be68339b4b25787250c1899353dc4d';


--
-- Name: second_factors second_factors_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER second_factors_delete_audited AFTER DELETE ON public.second_factors DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.confirmed_at IS NOT NULL)) EXECUTE FUNCTION public.audit_change('second_factor_removed', 'id', 'user_id', 'last_step', 'confirmed_at', 'created_at');


--
-- Name: TRIGGER second_factors_delete_audited ON second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER second_factors_delete_audited ON public.second_factors IS '50e79bbc6b1a159191893a2b3cf8ebd85f1aa555';


--
-- Name: second_factors second_factors_end_sessions; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER second_factors_end_sessions AFTER DELETE OR UPDATE OF confirmed_at ON public.second_factors FOR EACH ROW EXECUTE FUNCTION public.second_factors_end_sessions();


--
-- Name: TRIGGER second_factors_end_sessions ON second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER second_factors_end_sessions ON public.second_factors IS '47ce9645db0e843d7c0f14beb9f3f7488bd79ecf';


--
-- Name: second_factors second_factors_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER second_factors_id_stays BEFORE UPDATE OF id ON public.second_factors FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('second_factors_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER second_factors_id_stays ON second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER second_factors_id_stays ON public.second_factors IS '5448616771e90484edf7f39fc37a1a6f7e2c65b7';


--
-- Name: second_factors second_factors_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER second_factors_no_truncate BEFORE TRUNCATE ON public.second_factors FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('second_factors_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER second_factors_no_truncate ON second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER second_factors_no_truncate ON public.second_factors IS '0b79e0e02eb73a42316ac8446aedafa03b58023c';


--
-- Name: second_factors second_factors_person_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER second_factors_person_stays BEFORE UPDATE ON public.second_factors FOR EACH ROW WHEN (((old.user_id IS DISTINCT FROM new.user_id) OR (old.created_at IS DISTINCT FROM new.created_at))) EXECUTE FUNCTION public.refuse('second_factors_person_stays', 'user_id', 'A second factor stays with its person');


--
-- Name: TRIGGER second_factors_person_stays ON second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER second_factors_person_stays ON public.second_factors IS '2d0b94ba094e425d1a92c2e9135674627e6c3a0e';


--
-- Name: second_factors second_factors_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER second_factors_update_audited AFTER UPDATE ON public.second_factors DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.confirmed_at IS DISTINCT FROM new.confirmed_at)) EXECUTE FUNCTION public.audit_change('second_factor_set', 'id', 'confirmed_at');


--
-- Name: TRIGGER second_factors_update_audited ON second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER second_factors_update_audited ON public.second_factors IS '51e7085fa39bb990eec1ee075ee2a42a20fb1d7d';


--
-- Name: second_factors second_factors_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER second_factors_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.second_factors FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('second_factors_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER second_factors_user_id_not_erased ON second_factors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER second_factors_user_id_not_erased ON public.second_factors IS '5c88154a096e23814412cb20fb452f3fc60e0583';


--
-- Name: services services_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER services_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.services FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('services_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER services_created_at_not_ahead ON services; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER services_created_at_not_ahead ON public.services IS '8ff4120e3afc38c2aac3d5406dc064b5a8e11a5b';


--
-- Name: services services_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER services_delete_audited AFTER DELETE ON public.services DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('service_deleted', 'id', 'slug', 'title', 'description_markdown', 'format', 'offline_address', 'duration_minutes', 'price_amount', 'deposit_amount', 'cancel_free_hours', 'cancel_partial_hours', 'reschedule_min_hours', 'reschedule_max_count', 'status', 'topic_code', 'position', 'created_at', 'updated_at');


--
-- Name: TRIGGER services_delete_audited ON services; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER services_delete_audited ON public.services IS 'cf9f3f0123e206a5770bc12dea8d0b0ef8b6d54c';


--
-- Name: services services_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER services_id_stays BEFORE UPDATE OF id ON public.services FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('services_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER services_id_stays ON services; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER services_id_stays ON public.services IS '9be9676284dea2ec0ef717a2eb7afc314876c6ab';


--
-- Name: services services_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER services_insert_audited AFTER INSERT ON public.services DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('service_created', 'id', 'price_amount', 'deposit_amount', 'cancel_free_hours', 'cancel_partial_hours', 'reschedule_min_hours', 'reschedule_max_count', 'status');


--
-- Name: TRIGGER services_insert_audited ON services; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER services_insert_audited ON public.services IS '9de2b3eea80df0d6dba35b0b834fd7e0dcc6c165';


--
-- Name: services services_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER services_no_truncate BEFORE TRUNCATE ON public.services FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('services_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER services_no_truncate ON services; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER services_no_truncate ON public.services IS 'c31c707b9a6e196b6cafedbd669793a5cb6a009f';


--
-- Name: services services_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER services_status_transition BEFORE UPDATE OF status ON public.services FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT (((((old.status = 'draft'::text) AND (new.status = 'published'::text)) OR ((old.status = 'published'::text) AND (new.status = 'archived'::text))) OR ((old.status = 'published'::text) AND (new.status = 'draft'::text))) OR ((old.status = 'archived'::text) AND (new.status = 'draft'::text)))))) EXECUTE FUNCTION public.refuse_transition('services_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER services_status_transition ON services; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER services_status_transition ON public.services IS '39c2831d084f3e2fba795ca5f902fa37f6127da7';


--
-- Name: services services_touch_updated_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER services_touch_updated_at BEFORE UPDATE ON public.services FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();


--
-- Name: TRIGGER services_touch_updated_at ON services; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER services_touch_updated_at ON public.services IS 'c176949efb73227cb51a395986ea8d94c2df2865';


--
-- Name: services services_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER services_update_audited AFTER UPDATE ON public.services DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((old.price_amount IS DISTINCT FROM new.price_amount) OR (old.deposit_amount IS DISTINCT FROM new.deposit_amount) OR (old.cancel_free_hours IS DISTINCT FROM new.cancel_free_hours) OR (old.cancel_partial_hours IS DISTINCT FROM new.cancel_partial_hours) OR (old.reschedule_min_hours IS DISTINCT FROM new.reschedule_min_hours) OR (old.reschedule_max_count IS DISTINCT FROM new.reschedule_max_count) OR (old.status IS DISTINCT FROM new.status))) EXECUTE FUNCTION public.audit_change('service_changed', 'id', 'price_amount', 'deposit_amount', 'cancel_free_hours', 'cancel_partial_hours', 'reschedule_min_hours', 'reschedule_max_count', 'status');


--
-- Name: TRIGGER services_update_audited ON services; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER services_update_audited ON public.services IS 'a554e7df23cb89bb39fe9309585d54eaa4c7d6c8';


--
-- Name: services services_updated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER services_updated_at_not_ahead AFTER INSERT OR UPDATE OF updated_at ON public.services FOR EACH ROW WHEN ((new.updated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('services_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER services_updated_at_not_ahead ON services; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER services_updated_at_not_ahead ON public.services IS '4835fce62f4ae092e85fdaa7b052575de385b345';


--
-- Name: session_notes session_notes_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER session_notes_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.session_notes FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('session_notes_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER session_notes_created_at_not_ahead ON session_notes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER session_notes_created_at_not_ahead ON public.session_notes IS '11aca63517a1986108f50c7768063cd7f9636daa';


--
-- Name: session_notes session_notes_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER session_notes_id_stays BEFORE UPDATE OF id ON public.session_notes FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('session_notes_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER session_notes_id_stays ON session_notes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER session_notes_id_stays ON public.session_notes IS 'afe863dd541f09abdc41ae338b6cb62ff47c38c9';


--
-- Name: session_notes session_notes_origin_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER session_notes_origin_stays BEFORE UPDATE ON public.session_notes FOR EACH ROW WHEN (((old.appointment_id IS DISTINCT FROM new.appointment_id) OR (old.author_user_id IS DISTINCT FROM new.author_user_id))) EXECUTE FUNCTION public.refuse('session_notes_origin_stays', 'appointment_id', 'A note keeps its session and its author');


--
-- Name: TRIGGER session_notes_origin_stays ON session_notes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER session_notes_origin_stays ON public.session_notes IS '932291b87b2250bcb258943b44446c71254207c1';


--
-- Name: session_notes session_notes_touch_updated_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER session_notes_touch_updated_at BEFORE UPDATE ON public.session_notes FOR EACH ROW WHEN ((public.is_resealing('session_notes'::text, old.note_encrypted, new.note_encrypted) IS NOT TRUE)) EXECUTE FUNCTION public.touch_updated_at();


--
-- Name: TRIGGER session_notes_touch_updated_at ON session_notes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER session_notes_touch_updated_at ON public.session_notes IS '0fc7f1282d888d9bba68af118178974675329468';


--
-- Name: session_notes session_notes_updated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER session_notes_updated_at_not_ahead AFTER INSERT OR UPDATE OF updated_at ON public.session_notes FOR EACH ROW WHEN ((new.updated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('session_notes_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER session_notes_updated_at_not_ahead ON session_notes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER session_notes_updated_at_not_ahead ON public.session_notes IS 'be8bb269baf72a01ef954bda3eb066e01095bdb1';


--
-- Name: system_settings system_settings_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER system_settings_delete_audited AFTER DELETE ON public.system_settings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('setting_removed', 'key', 'value', 'updated_by_user_id', 'updated_at');


--
-- Name: TRIGGER system_settings_delete_audited ON system_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER system_settings_delete_audited ON public.system_settings IS '43f4b58cfd9f0b243faf3f23000a46abfe28da41';


--
-- Name: system_settings system_settings_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER system_settings_insert_audited AFTER INSERT ON public.system_settings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('setting_added', 'key', 'value');


--
-- Name: TRIGGER system_settings_insert_audited ON system_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER system_settings_insert_audited ON public.system_settings IS '38b7b1614b9c4adeabe302d8bbec164be065f7a4';


--
-- Name: system_settings system_settings_key_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER system_settings_key_stays BEFORE UPDATE OF key ON public.system_settings FOR EACH ROW WHEN ((old.key IS DISTINCT FROM new.key)) EXECUTE FUNCTION public.refuse('system_settings_key_stays', 'key', 'The key of a record never changes');


--
-- Name: TRIGGER system_settings_key_stays ON system_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER system_settings_key_stays ON public.system_settings IS '6ffae98348b68a8b6e8fa1775e8c3802b1bae5ea';


--
-- Name: system_settings system_settings_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER system_settings_no_truncate BEFORE TRUNCATE ON public.system_settings FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('system_settings_no_truncate', 'key', 'This table cannot be emptied');


--
-- Name: TRIGGER system_settings_no_truncate ON system_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER system_settings_no_truncate ON public.system_settings IS 'cf8545d50213f89dc7bdd3e26a9a56a546479de0';


--
-- Name: system_settings system_settings_practice_timezone_is_known; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER system_settings_practice_timezone_is_known AFTER INSERT OR UPDATE OF value ON public.system_settings FOR EACH ROW WHEN (((new.key = 'practice_timezone'::text) AND (NOT public.is_time_zone(COALESCE((new.value #>> '{}'::text[]), ''::text))))) EXECUTE FUNCTION public.refuse('system_settings_practice_timezone_is_known', 'value', 'The server does not know this time zone');


--
-- Name: TRIGGER system_settings_practice_timezone_is_known ON system_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER system_settings_practice_timezone_is_known ON public.system_settings IS '6c02b2d4fc6c51e979c83a055b89c998135643e3';


--
-- Name: system_settings system_settings_touch_updated_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER system_settings_touch_updated_at BEFORE UPDATE ON public.system_settings FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();


--
-- Name: TRIGGER system_settings_touch_updated_at ON system_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER system_settings_touch_updated_at ON public.system_settings IS '47ef4cd863c4325f245794e39943c074deaa91c8';


--
-- Name: system_settings system_settings_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER system_settings_update_audited AFTER UPDATE ON public.system_settings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.value IS DISTINCT FROM new.value)) EXECUTE FUNCTION public.audit_change('setting_changed', 'key', 'value');


--
-- Name: TRIGGER system_settings_update_audited ON system_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER system_settings_update_audited ON public.system_settings IS 'be5bdbebc319bff28b0cbb51fd41f4c734c857be';


--
-- Name: system_settings system_settings_updated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER system_settings_updated_at_not_ahead AFTER INSERT OR UPDATE OF updated_at ON public.system_settings FOR EACH ROW WHEN ((new.updated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('system_settings_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER system_settings_updated_at_not_ahead ON system_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER system_settings_updated_at_not_ahead ON public.system_settings IS '0bbf6fffcfda71d3b3f25ede8567320a260f44d4';


--
-- Name: tags tags_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER tags_id_stays BEFORE UPDATE OF id ON public.tags FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('tags_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER tags_id_stays ON tags; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER tags_id_stays ON public.tags IS '96e9e4efbad16310a2784ff55364566a8904c403';


--
-- Name: tracking_event_params tracking_event_params_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER tracking_event_params_id_stays BEFORE UPDATE OF id ON public.tracking_event_params FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('tracking_event_params_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER tracking_event_params_id_stays ON tracking_event_params; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER tracking_event_params_id_stays ON public.tracking_event_params IS '27aaa868cb2519ee3d8ce2b01d7c4a4010dd1578';


--
-- Name: ugc_moderation_actions ugc_moderation_actions_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ugc_moderation_actions_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.ugc_moderation_actions FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('ugc_moderation_actions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER ugc_moderation_actions_created_at_not_ahead ON ugc_moderation_actions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ugc_moderation_actions_created_at_not_ahead ON public.ugc_moderation_actions IS 'b4dfc26877877bb88b9b15297844794895dcb4f8';


--
-- Name: ugc_moderation_actions ugc_moderation_actions_immutable; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ugc_moderation_actions_immutable BEFORE UPDATE ON public.ugc_moderation_actions FOR EACH ROW EXECUTE FUNCTION public.refuse('ugc_moderation_actions_immutable', 'id', 'These records are only added, never changed or deleted');


--
-- Name: TRIGGER ugc_moderation_actions_immutable ON ugc_moderation_actions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ugc_moderation_actions_immutable ON public.ugc_moderation_actions IS '203243f2ac2e835267c57d447e0f81bca7bf1c7e';


--
-- Name: ugc_moderation_actions ugc_moderation_actions_no_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ugc_moderation_actions_no_delete BEFORE DELETE ON public.ugc_moderation_actions FOR EACH ROW EXECUTE FUNCTION public.refuse('ugc_moderation_actions_no_delete', 'id', 'These records are only added, never changed or deleted');


--
-- Name: TRIGGER ugc_moderation_actions_no_delete ON ugc_moderation_actions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ugc_moderation_actions_no_delete ON public.ugc_moderation_actions IS '104b633f4707c449e220039ba1c9bb4ff35ba18a';


--
-- Name: ugc_moderation_actions ugc_moderation_actions_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ugc_moderation_actions_no_truncate BEFORE TRUNCATE ON public.ugc_moderation_actions FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('ugc_moderation_actions_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER ugc_moderation_actions_no_truncate ON ugc_moderation_actions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ugc_moderation_actions_no_truncate ON public.ugc_moderation_actions IS 'f17f42a8761744beabfa4c801e829c328fe750df';


--
-- Name: ugc_moderation_actions ugc_moderation_actions_target_exists; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ugc_moderation_actions_target_exists AFTER INSERT ON public.ugc_moderation_actions FOR EACH ROW EXECUTE FUNCTION public.ugc_moderation_actions_target_exists();


--
-- Name: TRIGGER ugc_moderation_actions_target_exists ON ugc_moderation_actions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ugc_moderation_actions_target_exists ON public.ugc_moderation_actions IS 'c6acdc2a8cc9ea9958a24a4a1b54c5740d0ad990';


--
-- Name: user_roles user_roles_actor_keeps_role; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER user_roles_actor_keeps_role BEFORE INSERT OR DELETE OR UPDATE ON public.user_roles FOR EACH STATEMENT EXECUTE FUNCTION public.remember_acting_role();


--
-- Name: TRIGGER user_roles_actor_keeps_role ON user_roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER user_roles_actor_keeps_role ON public.user_roles IS '6ccd6a193f282770a4d2bd4d5edda9e9f096006e';


--
-- Name: user_roles user_roles_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER user_roles_delete_audited AFTER DELETE ON public.user_roles DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('role_taken', 'id', 'user_id', 'role_code', 'granted_at');


--
-- Name: TRIGGER user_roles_delete_audited ON user_roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER user_roles_delete_audited ON public.user_roles IS 'a093e1d70e7ec28f7ac1d97124e4be3e20a0d9a2';


--
-- Name: user_roles user_roles_end_sessions; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER user_roles_end_sessions BEFORE DELETE OR UPDATE ON public.user_roles FOR EACH ROW EXECUTE FUNCTION public.user_roles_end_sessions();


--
-- Name: TRIGGER user_roles_end_sessions ON user_roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER user_roles_end_sessions ON public.user_roles IS '3d816b6053d070608c8d44889baeed5b725735bd';


--
-- Name: user_roles user_roles_granted_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER user_roles_granted_at_not_ahead AFTER INSERT OR UPDATE OF granted_at ON public.user_roles FOR EACH ROW WHEN ((new.granted_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('user_roles_granted_at_not_ahead', 'granted_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER user_roles_granted_at_not_ahead ON user_roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER user_roles_granted_at_not_ahead ON public.user_roles IS '1e87bf8f0ad9920a1f97f454677bd6fc36056c91';


--
-- Name: user_roles user_roles_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER user_roles_id_stays BEFORE UPDATE OF id ON public.user_roles FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('user_roles_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER user_roles_id_stays ON user_roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER user_roles_id_stays ON public.user_roles IS '157c27d18681979c3e052c2d3295edbdd8867be5';


--
-- Name: user_roles user_roles_insert_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER user_roles_insert_audited AFTER INSERT ON public.user_roles DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('role_granted', 'id', 'user_id', 'role_code');


--
-- Name: TRIGGER user_roles_insert_audited ON user_roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER user_roles_insert_audited ON public.user_roles IS '444cf35e27bcff3e47ec77734aeb9c711bf51945';


--
-- Name: user_roles user_roles_last_owner_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER user_roles_last_owner_stays BEFORE DELETE OR UPDATE ON public.user_roles FOR EACH ROW WHEN ((old.role_code = 'owner'::text)) EXECUTE FUNCTION public.user_roles_last_owner_stays();


--
-- Name: TRIGGER user_roles_last_owner_stays ON user_roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER user_roles_last_owner_stays ON public.user_roles IS '7b4c26530d43df9e9ad0a5795275dacfa1841cc0';


--
-- Name: user_roles user_roles_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER user_roles_no_truncate BEFORE TRUNCATE ON public.user_roles FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('user_roles_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER user_roles_no_truncate ON user_roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER user_roles_no_truncate ON public.user_roles IS 'e37e967cf358338c9ad9cb0183120fadef900be9';


--
-- Name: user_roles user_roles_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER user_roles_update_audited AFTER UPDATE ON public.user_roles DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((old.user_id IS DISTINCT FROM new.user_id) OR (old.role_code IS DISTINCT FROM new.role_code))) EXECUTE FUNCTION public.audit_change('role_changed', 'id', 'user_id', 'role_code');


--
-- Name: TRIGGER user_roles_update_audited ON user_roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER user_roles_update_audited ON public.user_roles IS 'f8182c8a8598a298a60e8cb107660938fbef77fa';


--
-- Name: user_roles user_roles_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER user_roles_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.user_roles FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('user_roles_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER user_roles_user_id_not_erased ON user_roles; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER user_roles_user_id_not_erased ON public.user_roles IS '28450ef27027e8b6378b3604b46348c8f8ed8bba';


--
-- Name: users users_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER users_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.users FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('users_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER users_created_at_not_ahead ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_created_at_not_ahead ON public.users IS 'bfc281edfd2a1d34aefda7078da63026cd297662';


--
-- Name: users users_delete_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER users_delete_audited AFTER DELETE ON public.users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.audit_change('user_deleted', 'id', 'status', 'created_at', 'updated_at', 'deleted_at', 'is_superuser', 'session_stamp');


--
-- Name: TRIGGER users_delete_audited ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_delete_audited ON public.users IS '8cc043f6e18debe6e2517c493c7115f4c40feac9';


--
-- Name: users users_deleted_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER users_deleted_at_not_ahead AFTER INSERT OR UPDATE OF deleted_at ON public.users FOR EACH ROW WHEN ((new.deleted_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('users_deleted_at_not_ahead', 'deleted_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER users_deleted_at_not_ahead ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_deleted_at_not_ahead ON public.users IS 'a95fd3f74877f9e8d296bf62ff0fe4805991b911';


--
-- Name: users users_email_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER users_email_audited AFTER UPDATE ON public.users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.email IS DISTINCT FROM new.email)) EXECUTE FUNCTION public.audit_staff_secret('email_changed');


--
-- Name: TRIGGER users_email_audited ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_email_audited ON public.users IS '2a50bd6b00fa3f9373a4d4f3bd8a5f851d193ad8';


--
-- Name: users users_end_sessions; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER users_end_sessions BEFORE UPDATE ON public.users FOR EACH ROW WHEN (((((old.password IS DISTINCT FROM new.password) OR (old.email IS DISTINCT FROM new.email)) OR (old.status IS DISTINCT FROM new.status)) OR (old.session_stamp IS DISTINCT FROM new.session_stamp))) EXECUTE FUNCTION public.users_end_sessions();


--
-- Name: TRIGGER users_end_sessions ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_end_sessions ON public.users IS '2ff28b09eb4abd530fd267536afa001f5e7ed6a2';


--
-- Name: users users_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER users_id_stays BEFORE UPDATE OF id ON public.users FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('users_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER users_id_stays ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_id_stays ON public.users IS 'c9ce8417192f23b87a61a481df9d93dbeb74a3f2';


--
-- Name: users users_last_login_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER users_last_login_not_ahead AFTER INSERT OR UPDATE OF last_login ON public.users FOR EACH ROW WHEN ((new.last_login > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('users_last_login_not_ahead', 'last_login', 'This time lies ahead of the clock');


--
-- Name: TRIGGER users_last_login_not_ahead ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_last_login_not_ahead ON public.users IS '068105e9f541a5653e0eadf70d7abf9c571850f0';


--
-- Name: users users_last_owner_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER users_last_owner_stays BEFORE DELETE OR UPDATE OF status ON public.users FOR EACH ROW EXECUTE FUNCTION public.users_last_owner_stays();


--
-- Name: TRIGGER users_last_owner_stays ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_last_owner_stays ON public.users IS 'e77e97af68524ea492151f163e0c6e7b098900da';


--
-- Name: users users_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER users_no_truncate BEFORE TRUNCATE ON public.users FOR EACH STATEMENT EXECUTE FUNCTION public.refuse('users_no_truncate', 'id', 'This table cannot be emptied');


--
-- Name: TRIGGER users_no_truncate ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_no_truncate ON public.users IS '10f7abe9dfa1a4cc70b462e23f02067a17ff7cfd';


--
-- Name: users users_password_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER users_password_audited AFTER UPDATE ON public.users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.password IS DISTINCT FROM new.password)) EXECUTE FUNCTION public.audit_staff_secret('password_changed');


--
-- Name: TRIGGER users_password_audited ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_password_audited ON public.users IS 'e046426f0a8394a00832877ff1b86f3a1d351411';


--
-- Name: users users_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER users_status_transition BEFORE UPDATE OF status ON public.users FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT (((((old.status = 'active'::text) AND (new.status = 'blocked'::text)) OR ((old.status = 'active'::text) AND (new.status = 'deleted'::text))) OR ((old.status = 'blocked'::text) AND (new.status = 'active'::text))) OR ((old.status = 'blocked'::text) AND (new.status = 'deleted'::text)))))) EXECUTE FUNCTION public.refuse_transition('users_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER users_status_transition ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_status_transition ON public.users IS 'dd57cfd88fa195b6ef2acd232febf3334f822c65';


--
-- Name: users users_timezone_is_known; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER users_timezone_is_known AFTER INSERT OR UPDATE OF timezone ON public.users FOR EACH ROW WHEN ((NOT public.is_time_zone(new.timezone))) EXECUTE FUNCTION public.users_timezone_is_known();


--
-- Name: TRIGGER users_timezone_is_known ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_timezone_is_known ON public.users IS 'e8a6606cabb784c733d018d181488f5695eacd3c';


--
-- Name: users users_touch_updated_at; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER users_touch_updated_at BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();


--
-- Name: TRIGGER users_touch_updated_at ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_touch_updated_at ON public.users IS 'f58ecd41fe25b5b01d9506d983737f7af675069f';


--
-- Name: users users_update_audited; Type: TRIGGER; Schema: public; Owner: -
--

CREATE CONSTRAINT TRIGGER users_update_audited AFTER UPDATE ON public.users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.audit_change('user_status_changed', 'id', 'status');


--
-- Name: TRIGGER users_update_audited ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_update_audited ON public.users IS '9a8f1096313930fb37be0047f3ebe30f381ca868';


--
-- Name: users users_updated_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER users_updated_at_not_ahead AFTER INSERT OR UPDATE OF updated_at ON public.users FOR EACH ROW WHEN ((new.updated_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('users_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER users_updated_at_not_ahead ON users; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER users_updated_at_not_ahead ON public.users IS '1695424226da5ccb347ecfde4a26e81dd1e29f59';


--
-- Name: waitlist_requests waitlist_requests_closed_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER waitlist_requests_closed_at_not_ahead AFTER INSERT OR UPDATE OF closed_at ON public.waitlist_requests FOR EACH ROW WHEN ((new.closed_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('waitlist_requests_closed_at_not_ahead', 'closed_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER waitlist_requests_closed_at_not_ahead ON waitlist_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER waitlist_requests_closed_at_not_ahead ON public.waitlist_requests IS '49d20233052dc751f4acaa1a23641ef082264da6';


--
-- Name: waitlist_requests waitlist_requests_closing_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER waitlist_requests_closing_stays BEFORE UPDATE ON public.waitlist_requests FOR EACH ROW WHEN (((old.closed_at IS DISTINCT FROM new.closed_at) AND (old.closed_at IS NOT NULL))) EXECUTE FUNCTION public.refuse('waitlist_requests_closing_stays', 'closed_at', 'The closing time of a request is not changed');


--
-- Name: TRIGGER waitlist_requests_closing_stays ON waitlist_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER waitlist_requests_closing_stays ON public.waitlist_requests IS '0aace651234b837c9faaf0f6b32be58b5e35daf7';


--
-- Name: waitlist_requests waitlist_requests_created_at_not_ahead; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER waitlist_requests_created_at_not_ahead AFTER INSERT OR UPDATE OF created_at ON public.waitlist_requests FOR EACH ROW WHEN ((new.created_at > (public.fact_clock() + '00:05:00'::interval))) EXECUTE FUNCTION public.refuse_new_value('waitlist_requests_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock');


--
-- Name: TRIGGER waitlist_requests_created_at_not_ahead ON waitlist_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER waitlist_requests_created_at_not_ahead ON public.waitlist_requests IS '86c44f50e7c02767701e9243c7574c080e05c806';


--
-- Name: waitlist_requests waitlist_requests_id_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER waitlist_requests_id_stays BEFORE UPDATE OF id ON public.waitlist_requests FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION public.refuse('waitlist_requests_id_stays', 'id', 'The key of a record never changes');


--
-- Name: TRIGGER waitlist_requests_id_stays ON waitlist_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER waitlist_requests_id_stays ON public.waitlist_requests IS '7bdb78c5ee25f2fc0f9674d1e98bcb5f51f901d9';


--
-- Name: waitlist_requests waitlist_requests_status_initial; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER waitlist_requests_status_initial AFTER INSERT ON public.waitlist_requests FOR EACH ROW WHEN ((new.status <> 'new'::text)) EXECUTE FUNCTION public.refuse('waitlist_requests_status_initial', 'status', 'A new record cannot start in this status');


--
-- Name: TRIGGER waitlist_requests_status_initial ON waitlist_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER waitlist_requests_status_initial ON public.waitlist_requests IS '0802d73b2f02982a10da3dc675186b231247ba11';


--
-- Name: waitlist_requests waitlist_requests_status_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER waitlist_requests_status_transition BEFORE UPDATE OF status ON public.waitlist_requests FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (NOT ((((old.status = 'new'::text) AND (new.status = 'contacted'::text)) OR ((old.status = 'new'::text) AND (new.status = 'closed'::text))) OR ((old.status = 'contacted'::text) AND (new.status = 'closed'::text)))))) EXECUTE FUNCTION public.refuse_transition('waitlist_requests_status_transition', 'status', 'This change of status is not allowed');


--
-- Name: TRIGGER waitlist_requests_status_transition ON waitlist_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER waitlist_requests_status_transition ON public.waitlist_requests IS '074bd32341c61466cd5212046144e880dfdcb311';


--
-- Name: waitlist_requests waitlist_requests_user_id_not_erased; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER waitlist_requests_user_id_not_erased AFTER INSERT OR UPDATE OF user_id ON public.waitlist_requests FOR EACH ROW WHEN ((new.user_id IS NOT NULL)) EXECUTE FUNCTION public.refuse_for_erased_person('waitlist_requests_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them');


--
-- Name: TRIGGER waitlist_requests_user_id_not_erased ON waitlist_requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER waitlist_requests_user_id_not_erased ON public.waitlist_requests IS '4e1df59ab3f1d270bc2f33f5db39bb2b660d7549';


--
-- Name: analytics_events analytics_events_event_name_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.analytics_events
    ADD CONSTRAINT analytics_events_event_name_fk FOREIGN KEY (event_name) REFERENCES public.tracking_events(event_name) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: anonymous_questions anonymous_questions_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.anonymous_questions
    ADD CONSTRAINT anonymous_questions_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: appointments appointments_client_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.appointments
    ADD CONSTRAINT appointments_client_user_id_fk FOREIGN KEY (client_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: appointments appointments_lead_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.appointments
    ADD CONSTRAINT appointments_lead_id_fk FOREIGN KEY (lead_id) REFERENCES public.leads(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: appointments appointments_rescheduled_from_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.appointments
    ADD CONSTRAINT appointments_rescheduled_from_id_fk FOREIGN KEY (rescheduled_from_id) REFERENCES public.appointments(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: appointments appointments_service_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.appointments
    ADD CONSTRAINT appointments_service_id_fk FOREIGN KEY (service_id) REFERENCES public.services(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: appointments appointments_slot_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.appointments
    ADD CONSTRAINT appointments_slot_id_fk FOREIGN KEY (slot_id) REFERENCES public.availability_slots(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: appointments appointments_topic_code_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.appointments
    ADD CONSTRAINT appointments_topic_code_fk FOREIGN KEY (topic_code) REFERENCES public.topics(code) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: audit_log_entries audit_log_entries_actor_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_log_entries
    ADD CONSTRAINT audit_log_entries_actor_user_id_fk FOREIGN KEY (actor_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: auth_group_permissions auth_group_permissions_group_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_fk FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE;


--
-- Name: auth_group_permissions auth_group_permissions_permission_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_permission_id_fk FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE;


--
-- Name: auth_permission auth_permission_content_type_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_fk FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE;


--
-- Name: availability_slots availability_slots_schedule_rule_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.availability_slots
    ADD CONSTRAINT availability_slots_schedule_rule_id_fk FOREIGN KEY (schedule_rule_id) REFERENCES public.schedule_rules(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: availability_slots availability_slots_service_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.availability_slots
    ADD CONSTRAINT availability_slots_service_id_fk FOREIGN KEY (service_id) REFERENCES public.services(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: consents consents_lead_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.consents
    ADD CONSTRAINT consents_lead_id_fk FOREIGN KEY (lead_id) REFERENCES public.leads(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: consents consents_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.consents
    ADD CONSTRAINT consents_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: content_item_tags content_item_tags_content_item_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_item_tags
    ADD CONSTRAINT content_item_tags_content_item_id_fk FOREIGN KEY (content_item_id) REFERENCES public.content_items(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: content_item_tags content_item_tags_tag_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_item_tags
    ADD CONSTRAINT content_item_tags_tag_id_fk FOREIGN KEY (tag_id) REFERENCES public.tags(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: content_item_topics content_item_topics_content_item_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_item_topics
    ADD CONSTRAINT content_item_topics_content_item_id_fk FOREIGN KEY (content_item_id) REFERENCES public.content_items(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: content_item_topics content_item_topics_topic_code_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_item_topics
    ADD CONSTRAINT content_item_topics_topic_code_fk FOREIGN KEY (topic_code) REFERENCES public.topics(code) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: content_items content_items_author_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_items
    ADD CONSTRAINT content_items_author_user_id_fk FOREIGN KEY (author_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: content_media content_media_content_item_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_media
    ADD CONSTRAINT content_media_content_item_id_fk FOREIGN KEY (content_item_id) REFERENCES public.content_items(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: content_media content_media_media_asset_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_media
    ADD CONSTRAINT content_media_media_asset_id_fk FOREIGN KEY (media_asset_id) REFERENCES public.media_assets(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: content_revisions content_revisions_changed_by_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_revisions
    ADD CONSTRAINT content_revisions_changed_by_user_id_fk FOREIGN KEY (changed_by_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: content_revisions content_revisions_content_item_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.content_revisions
    ADD CONSTRAINT content_revisions_content_item_id_fk FOREIGN KEY (content_item_id) REFERENCES public.content_items(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: curated_collections curated_collections_topic_code_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curated_collections
    ADD CONSTRAINT curated_collections_topic_code_fk FOREIGN KEY (topic_code) REFERENCES public.topics(code) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: curated_items curated_items_collection_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curated_items
    ADD CONSTRAINT curated_items_collection_id_fk FOREIGN KEY (collection_id) REFERENCES public.curated_collections(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: curated_items curated_items_content_item_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curated_items
    ADD CONSTRAINT curated_items_content_item_id_fk FOREIGN KEY (content_item_id) REFERENCES public.content_items(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: curated_items curated_items_interactive_definition_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curated_items
    ADD CONSTRAINT curated_items_interactive_definition_id_fk FOREIGN KEY (interactive_definition_id) REFERENCES public.interactive_definitions(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: data_export_requests data_export_requests_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.data_export_requests
    ADD CONSTRAINT data_export_requests_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: deep_links deep_links_lead_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.deep_links
    ADD CONSTRAINT deep_links_lead_id_fk FOREIGN KEY (lead_id) REFERENCES public.leads(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: deep_links deep_links_topic_code_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.deep_links
    ADD CONSTRAINT deep_links_topic_code_fk FOREIGN KEY (topic_code) REFERENCES public.topics(code) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: diary_entries diary_entries_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.diary_entries
    ADD CONSTRAINT diary_entries_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: django_admin_log django_admin_log_content_type_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_content_type_id_fk FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE;


--
-- Name: django_admin_log django_admin_log_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) DEFERRABLE;


--
-- Name: erasure_requests erasure_requests_requested_by_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.erasure_requests
    ADD CONSTRAINT erasure_requests_requested_by_user_id_fk FOREIGN KEY (requested_by_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: erasure_requests erasure_requests_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.erasure_requests
    ADD CONSTRAINT erasure_requests_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: glossary_term_links glossary_term_links_content_item_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.glossary_term_links
    ADD CONSTRAINT glossary_term_links_content_item_id_fk FOREIGN KEY (content_item_id) REFERENCES public.content_items(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: glossary_term_links glossary_term_links_term_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.glossary_term_links
    ADD CONSTRAINT glossary_term_links_term_id_fk FOREIGN KEY (term_id) REFERENCES public.glossary_terms(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: glossary_term_synonyms glossary_term_synonyms_term_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.glossary_term_synonyms
    ADD CONSTRAINT glossary_term_synonyms_term_id_fk FOREIGN KEY (term_id) REFERENCES public.glossary_terms(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: intake_forms intake_forms_appointment_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.intake_forms
    ADD CONSTRAINT intake_forms_appointment_id_fk FOREIGN KEY (appointment_id) REFERENCES public.appointments(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: interactive_definitions interactive_definitions_topic_code_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_definitions
    ADD CONSTRAINT interactive_definitions_topic_code_fk FOREIGN KEY (topic_code) REFERENCES public.topics(code) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: interactive_run_totals interactive_run_totals_interactive_definition_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_run_totals
    ADD CONSTRAINT interactive_run_totals_interactive_definition_id_fk FOREIGN KEY (interactive_definition_id) REFERENCES public.interactive_definitions(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: interactive_runs interactive_runs_interactive_definition_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_runs
    ADD CONSTRAINT interactive_runs_interactive_definition_id_fk FOREIGN KEY (interactive_definition_id) REFERENCES public.interactive_definitions(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: interactive_runs interactive_runs_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_runs
    ADD CONSTRAINT interactive_runs_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: interactive_versions interactive_versions_created_by_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_versions
    ADD CONSTRAINT interactive_versions_created_by_user_id_fk FOREIGN KEY (created_by_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: interactive_versions interactive_versions_interactive_definition_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.interactive_versions
    ADD CONSTRAINT interactive_versions_interactive_definition_id_fk FOREIGN KEY (interactive_definition_id) REFERENCES public.interactive_definitions(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: lead_identities lead_identities_lead_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_identities
    ADD CONSTRAINT lead_identities_lead_id_fk FOREIGN KEY (lead_id) REFERENCES public.leads(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: lead_identities lead_identities_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_identities
    ADD CONSTRAINT lead_identities_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: lead_notes lead_notes_author_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_notes
    ADD CONSTRAINT lead_notes_author_user_id_fk FOREIGN KEY (author_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: lead_notes lead_notes_lead_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_notes
    ADD CONSTRAINT lead_notes_lead_id_fk FOREIGN KEY (lead_id) REFERENCES public.leads(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: lead_timeline_events lead_timeline_events_event_name_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_timeline_events
    ADD CONSTRAINT lead_timeline_events_event_name_fk FOREIGN KEY (event_name) REFERENCES public.tracking_events(event_name) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: lead_timeline_events lead_timeline_events_lead_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lead_timeline_events
    ADD CONSTRAINT lead_timeline_events_lead_id_fk FOREIGN KEY (lead_id) REFERENCES public.leads(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: leads leads_merged_into_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leads
    ADD CONSTRAINT leads_merged_into_id_fk FOREIGN KEY (merged_into_id) REFERENCES public.leads(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: leads leads_topic_code_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leads
    ADD CONSTRAINT leads_topic_code_fk FOREIGN KEY (topic_code) REFERENCES public.topics(code) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: media_assets media_assets_uploaded_by_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.media_assets
    ADD CONSTRAINT media_assets_uploaded_by_user_id_fk FOREIGN KEY (uploaded_by_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: message_deliveries message_deliveries_appointment_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_deliveries
    ADD CONSTRAINT message_deliveries_appointment_id_fk FOREIGN KEY (appointment_id) REFERENCES public.appointments(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: message_deliveries message_deliveries_lead_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_deliveries
    ADD CONSTRAINT message_deliveries_lead_id_fk FOREIGN KEY (lead_id) REFERENCES public.leads(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: message_deliveries message_deliveries_template_version_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_deliveries
    ADD CONSTRAINT message_deliveries_template_version_id_fk FOREIGN KEY (template_version_id) REFERENCES public.message_template_versions(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: message_deliveries message_deliveries_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_deliveries
    ADD CONSTRAINT message_deliveries_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: message_template_versions message_template_versions_template_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_template_versions
    ADD CONSTRAINT message_template_versions_template_id_fk FOREIGN KEY (template_id) REFERENCES public.message_templates(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: message_template_versions message_template_versions_updated_by_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.message_template_versions
    ADD CONSTRAINT message_template_versions_updated_by_user_id_fk FOREIGN KEY (updated_by_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: payments payments_appointment_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_appointment_id_fk FOREIGN KEY (appointment_id) REFERENCES public.appointments(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: payments payments_recorded_by_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_recorded_by_user_id_fk FOREIGN KEY (recorded_by_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: question_answers question_answers_answered_by_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.question_answers
    ADD CONSTRAINT question_answers_answered_by_user_id_fk FOREIGN KEY (answered_by_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: question_answers question_answers_question_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.question_answers
    ADD CONSTRAINT question_answers_question_id_fk FOREIGN KEY (question_id) REFERENCES public.anonymous_questions(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: recovery_codes recovery_codes_second_factor_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT recovery_codes_second_factor_id_fk FOREIGN KEY (second_factor_id) REFERENCES public.second_factors(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: refunds refunds_payment_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_payment_id_fk FOREIGN KEY (payment_id) REFERENCES public.payments(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: refunds refunds_recorded_by_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_recorded_by_user_id_fk FOREIGN KEY (recorded_by_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: review_publication_consents review_publication_consents_review_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.review_publication_consents
    ADD CONSTRAINT review_publication_consents_review_id_fk FOREIGN KEY (review_id) REFERENCES public.reviews(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: review_publication_consents review_publication_consents_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.review_publication_consents
    ADD CONSTRAINT review_publication_consents_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: reviews reviews_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reviews
    ADD CONSTRAINT reviews_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: schedule_exceptions schedule_exceptions_created_by_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schedule_exceptions
    ADD CONSTRAINT schedule_exceptions_created_by_user_id_fk FOREIGN KEY (created_by_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: schedule_exceptions schedule_exceptions_service_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schedule_exceptions
    ADD CONSTRAINT schedule_exceptions_service_id_fk FOREIGN KEY (service_id) REFERENCES public.services(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: schedule_rules schedule_rules_service_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schedule_rules
    ADD CONSTRAINT schedule_rules_service_id_fk FOREIGN KEY (service_id) REFERENCES public.services(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: second_factors second_factors_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.second_factors
    ADD CONSTRAINT second_factors_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: services services_topic_code_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.services
    ADD CONSTRAINT services_topic_code_fk FOREIGN KEY (topic_code) REFERENCES public.topics(code) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: session_notes session_notes_appointment_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.session_notes
    ADD CONSTRAINT session_notes_appointment_id_fk FOREIGN KEY (appointment_id) REFERENCES public.appointments(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: session_notes session_notes_author_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.session_notes
    ADD CONSTRAINT session_notes_author_user_id_fk FOREIGN KEY (author_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: system_settings system_settings_updated_by_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.system_settings
    ADD CONSTRAINT system_settings_updated_by_user_id_fk FOREIGN KEY (updated_by_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: tracking_event_params tracking_event_params_event_name_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tracking_event_params
    ADD CONSTRAINT tracking_event_params_event_name_fk FOREIGN KEY (event_name) REFERENCES public.tracking_events(event_name) ON DELETE CASCADE DEFERRABLE;


--
-- Name: ugc_moderation_actions ugc_moderation_actions_moderator_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ugc_moderation_actions
    ADD CONSTRAINT ugc_moderation_actions_moderator_user_id_fk FOREIGN KEY (moderator_user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: user_roles user_roles_role_code_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.user_roles
    ADD CONSTRAINT user_roles_role_code_fk FOREIGN KEY (role_code) REFERENCES public.roles(code) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: user_roles user_roles_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.user_roles
    ADD CONSTRAINT user_roles_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE DEFERRABLE;


--
-- Name: waitlist_requests waitlist_requests_lead_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.waitlist_requests
    ADD CONSTRAINT waitlist_requests_lead_id_fk FOREIGN KEY (lead_id) REFERENCES public.leads(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: waitlist_requests waitlist_requests_service_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.waitlist_requests
    ADD CONSTRAINT waitlist_requests_service_id_fk FOREIGN KEY (service_id) REFERENCES public.services(id) ON DELETE RESTRICT DEFERRABLE;


--
-- Name: waitlist_requests waitlist_requests_user_id_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.waitlist_requests
    ADD CONSTRAINT waitlist_requests_user_id_fk FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE RESTRICT DEFERRABLE;


--
-- PostgreSQL database dump complete
--
