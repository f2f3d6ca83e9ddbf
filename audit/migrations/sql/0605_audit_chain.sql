-- The second canonical form: over the whole row. Address and user agent stand in it by a salted
-- hash, so that they can be emptied when a person is erased and the row still verifies.
CREATE OR REPLACE FUNCTION public.audit_origin_hash(salt uuid, ip_address inet, user_agent text)
RETURNS bytea LANGUAGE sql STABLE
    RETURN sha256(uuid_send(salt)
        || convert_to(jsonb_build_array(ip_address::text, user_agent)::text, 'UTF8'));
COMMENT ON FUNCTION public.audit_origin_hash(uuid, inet, text) IS
    'SHA-256 over where a request came from, salted';

CREATE OR REPLACE FUNCTION public.audit_entry_hash(
    prev_hash bytea, id uuid, seq bigint, actor_user_id uuid, actor_role text, action text,
    entity_type text, entity_id uuid, entity_key text, old_value jsonb, new_value jsonb,
    created_at timestamptz, origin_hash bytea
) RETURNS bytea LANGUAGE sql STABLE
    RETURN sha256(prev_hash || convert_to(jsonb_build_array(
        2, id, seq, actor_user_id, actor_role, action, entity_type, entity_id, entity_key,
        old_value, new_value,
        to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        encode(origin_hash, 'hex'))::text, 'UTF8'));
COMMENT ON FUNCTION public.audit_entry_hash(bytea, uuid, bigint, uuid, text, text, text, uuid, text, jsonb, jsonb, timestamptz, bytea)
    IS 'SHA-256 over the hash before and the second canonical form of an audit row';

CREATE OR REPLACE FUNCTION public.chain_audit_entry() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last record;
BEGIN
    -- A moment still to come would keep retention from ever passing the entry.
    IF NEW.created_at > now() AND public.is_finite(NEW.created_at) THEN
        NEW.created_at := now();
    END IF;
    NEW.origin_salt := NULL;
    NEW.origin_hash := NULL;
    IF NEW.ip_address IS NOT NULL OR NEW.user_agent IS NOT NULL THEN
        NEW.origin_salt := gen_random_uuid();
        NEW.origin_hash := public.audit_origin_hash(NEW.origin_salt, NEW.ip_address, NEW.user_agent);
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('public.audit_log_entries'));
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
