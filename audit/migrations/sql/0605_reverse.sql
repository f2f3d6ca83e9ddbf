-- The chain as it was before: audit_log_entries has neither salt nor hash of the origin then.
CREATE OR REPLACE FUNCTION public.chain_audit_entry() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('public.audit_log_entries'));
    SELECT a.seq, a.row_hash INTO last
    FROM public.audit_log_entries a ORDER BY a.seq DESC LIMIT 1;
    NEW.seq := coalesce(last.seq, 0) + 1;
    NEW.prev_hash := coalesce(last.row_hash, '\x'::bytea);
    NEW.row_hash := public.audit_entry_hash(NEW.prev_hash, NEW.seq, NEW.actor_user_id,
        NEW.actor_role, NEW.action, NEW.entity_type, NEW.entity_id, NEW.entity_key,
        NEW.old_value, NEW.new_value, NEW.created_at);
    RETURN NEW;
END $$;
