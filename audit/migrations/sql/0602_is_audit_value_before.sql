CREATE OR REPLACE FUNCTION public.is_audit_value(value jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
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
                    AND NOT public.is_p0_value('timestamp', NULL, node))
            ELSE false END);
END $$;
