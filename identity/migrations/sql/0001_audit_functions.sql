-- What the database writes into the audit log by itself (access.md §3), and the refusal of new rows
-- about an erased person.

-- The role somebody acts in: the highest they have, or had before this transaction changed it.
CREATE FUNCTION public.acting_role(actor uuid) RETURNS text LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp AS $$
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
COMMENT ON FUNCTION public.acting_role(uuid) IS
    'The highest role a person has, or had before this transaction changed it';

-- Who gives themselves a role does it in the one they had, and so does who gives up theirs.
CREATE FUNCTION public.remember_acting_role() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said text := lower(current_setting('ebalance.actor_user_id', true));
BEGIN
    IF said ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        PERFORM set_config(
            'ebalance.role_before', said || ' ' || public.acting_role(said::uuid), true);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION public.remember_acting_role() IS
    'Trigger: keep for this transaction in which role its actor began to change roles';

-- One entry, with the actor of the session variables (ebalance/actor.py). Without one it is the
-- system's.
CREATE FUNCTION public.record_audit_entry(
    action text, entity_type text, entity_id uuid, entity_key text, old_value jsonb, new_value jsonb
) RETURNS uuid LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
END $$;
COMMENT ON FUNCTION public.record_audit_entry(text, text, uuid, text, jsonb, jsonb) IS
    'Write an entry of the audit log; who acts is told by the session variables ebalance.*';

-- Times are told in UTC, whatever the writer's zone. What is long is not looked into: that takes
-- its time, and others wait for the chain meanwhile.
CREATE FUNCTION public.audit_change() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
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
END $$;
COMMENT ON FUNCTION public.audit_change() IS
    'Trigger: write what happened to a row into the audit log; arguments are action, key column, columns told';

CREATE FUNCTION public.audit_staff_secret() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.status <> 'deleted' AND EXISTS (
        SELECT FROM public.user_roles r WHERE r.user_id = NEW.id AND r.role_code <> 'client'
    ) THEN
        PERFORM public.record_audit_entry(TG_ARGV[0], TG_TABLE_NAME, NEW.id, NULL, NULL, NULL);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION public.audit_staff_secret() IS
    'Trigger: record that a secret of a member of staff changed, without the value; the argument is the action';

-- The row is read under a lock, so that an erasure under way is waited for.
CREATE FUNCTION public.refuse_for_erased_person() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
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
COMMENT ON FUNCTION public.refuse_for_erased_person() IS
    'Trigger: nothing new is written of an erased person; arguments are rule, column, sentence';
