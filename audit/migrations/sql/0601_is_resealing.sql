CREATE FUNCTION public.is_resealing(rotated text, before text, after text) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN split_part(before, '.', 2) <> split_part(after, '.', 2) AND EXISTS (
        SELECT FROM public.key_rotations r
        WHERE r.table_name = rotated AND r.to_key = split_part(after, '.', 2)
          AND r.finished_at IS NULL
          AND r.batch_transaction = pg_current_xact_id_if_assigned()::text::bigint);
COMMENT ON FUNCTION public.is_resealing(text, text, text) IS
    'Whether rotate_keys moves this value of the table to another key, in this transaction';
