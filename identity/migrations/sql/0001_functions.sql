-- The kit's functions. Frozen once released: a change is a new migration with CREATE OR REPLACE.
--
-- A caller's search_path or temporary types must not change what a rule means. A body that is
-- parsed here (RETURN …) is safe by itself. PL/pgSQL is parsed when it runs: what a trigger or a
-- CHECK calls sets its own search_path; what only such functions call (marked "inner") declares
-- its variables with qualified types, since those are looked up once per session. Tables are
-- always named with their schema.

-- What is stored depends on lower() knowing Cyrillic: a database with LC_CTYPE C does not.
DO $do$
BEGIN
    IF lower('Ё') <> 'ё' THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE =
            'The database must have a UTF-8 locale that knows Cyrillic letters; create it anew, '
            'for example with LOCALE ''C.UTF-8'' TEMPLATE template0';
    END IF;
END $do$;

-- UUIDv7 for writers other than the ORM: 48 bits of milliseconds and 12 of their fraction. The last
-- value of the session is remembered, so that a session's ids only grow even within one clock tick.
-- PostgreSQL 18 has uuidv7(), which is faster. One body on every version keeps a dump, an upgraded
-- server and a new database equal.
CREATE FUNCTION public.uuid7() RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
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
COMMENT ON FUNCTION public.uuid7() IS 'A new UUIDv7, greater than the session''s earlier ones';

-- One way to refuse: class 23 with the rule as CONSTRAINT, and a sentence for people.
CREATE FUNCTION public.raise_refusal(rule text, table_name text, column_name text, sentence text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation',
        MESSAGE = sentence || ' (' || rule || ').',
        CONSTRAINT = rule, TABLE = table_name, COLUMN = column_name, SCHEMA = 'public';
END $$;
COMMENT ON FUNCTION public.raise_refusal(text, text, text, text) IS
    'Raise 23514 with CONSTRAINT, TABLE and COLUMN set';

CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.raise_refusal(TG_ARGV[0], TG_TABLE_NAME, TG_ARGV[1], TG_ARGV[2]);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION public.refuse() IS
    'Trigger: refuse the statement; arguments are rule, column, sentence';

CREATE FUNCTION public.refuse_new_value() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) -> TG_ARGV[1] = to_jsonb(OLD) -> TG_ARGV[1] THEN
        RETURN NULL;
    END IF;
    PERFORM public.raise_refusal(TG_ARGV[0], TG_TABLE_NAME, TG_ARGV[1], TG_ARGV[2]);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION public.refuse_new_value() IS
    'Trigger: refuse a value that the row did not have before; arguments as refuse()';

CREATE FUNCTION public.refuse_transition() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.raise_refusal(TG_ARGV[0], TG_TABLE_NAME, TG_ARGV[1],
        TG_ARGV[2] || ': ' || (to_jsonb(OLD) ->> TG_ARGV[1]) || ' to ' || (to_jsonb(NEW) ->> TG_ARGV[1]));
    RETURN NULL;
END $$;
COMMENT ON FUNCTION public.refuse_transition() IS
    'Trigger: refuse a change of status and say which; arguments as refuse()';

CREATE FUNCTION public.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := pg_catalog.now();
    RETURN NEW;
END $$;
COMMENT ON FUNCTION public.touch_updated_at() IS 'Trigger: updated_at is the database''s';

-- The time that rules compare with. Tests replace this function in their own database.
-- It is the clock itself and not now(): a transaction may be older than the facts it writes.
CREATE FUNCTION public.fact_clock() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN clock_timestamp();
COMMENT ON FUNCTION public.fact_clock() IS 'The current time, for every rule that depends on it';

CREATE FUNCTION public.is_finite(value timestamptz) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN value AT TIME ZONE 'UTC' BETWEEN timestamp '0001-01-02' AND timestamp '9999-12-30';
COMMENT ON FUNCTION public.is_finite(timestamptz) IS
    'A real moment, in a year that every client can read (1 to 9999)';
-- A date has a function of its own: the cast of a date to timestamptz asks the session's time zone.
-- A bare NULL is a timestamptz, the preferred type.
CREATE FUNCTION public.is_finite(value date) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN value BETWEEN date '0001-01-02' AND date '9999-12-30';
COMMENT ON FUNCTION public.is_finite(date) IS
    'A real day, in a year that every client can read (1 to 9999)';
CREATE FUNCTION public.has_lengths(value text[], items integer, longest integer) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN cardinality(value) <= items
        AND NOT EXISTS (SELECT FROM unnest(value) word WHERE length(word) > longest);
COMMENT ON FUNCTION public.has_lengths(text[], integer, integer) IS
    'Few enough texts, each short enough';
CREATE FUNCTION public.json_has_length(value jsonb, longest integer) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN length(value::text) <= longest;
COMMENT ON FUNCTION public.json_has_length(jsonb, integer) IS
    'Whether a JSON value is short enough as text';
-- White space, control characters and others that show as nothing.
CREATE FUNCTION public.is_visible(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN value ~ '[^\s\x01-\x1F\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u180B-\u180E\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB]';
COMMENT ON FUNCTION public.is_visible(text) IS 'Whether a text shows anything to a reader';
CREATE FUNCTION public.is_email(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN value ~ '^[^@\s\x01-\x1F\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u180B-\u180E\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB]+@[^@\s\x01-\x1F\x7F-\xA0\xAD\u034F\u061C\u115F\u1160\u1680\u180B-\u180E\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB]+$';
COMMENT ON FUNCTION public.is_email(text) IS 'One @ between characters that show';
CREATE FUNCTION public.is_code(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN value ~ '^[a-z][a-z0-9_]*$' AND length(value) <= 60;
CREATE FUNCTION public.is_p0_key(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN public.is_code(value) AND value !~ '[0-9]{7}';
COMMENT ON FUNCTION public.is_p0_key(text) IS 'A code that cannot be a phone number';
CREATE FUNCTION public.are_p0_codes(value text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN NOT EXISTS (
        SELECT FROM unnest(value) word
        WHERE word IS NULL OR word !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$' OR word ~ '[0-9]{7}');
COMMENT ON FUNCTION public.are_p0_codes(text[]) IS 'Codes of the tracking plan, no free text';
CREATE FUNCTION public.is_json_object(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN jsonb_typeof(value) = 'object';
CREATE FUNCTION public.has_no_duplicates(value text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(array_ndims(value), 1) = 1
        AND cardinality(value) = (SELECT count(DISTINCT x) FROM unnest(value) x);

-- Unpadded base64url never has 4n+1 characters; 39 of them are the 29 bytes of privacy.md §2.
CREATE FUNCTION public.is_sealed(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN value ~ '^v1\.[a-z0-9]{1,16}\.[A-Za-z0-9_-]{39,}$'
        AND length(split_part(value, '.', 3)) % 4 <> 1;

-- The form of an IANA name, in its own spelling: no abbreviation such as MSK, no POSIX rule such as
-- Foo+3. It depends on the name alone, so CHECKs and guards of events ask it. The areas and the
-- names without an area are closed lists in the IANA database.
CREATE FUNCTION public.is_zone_form(name text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN length(name) <= 60 AND name ~ '^((Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Brazil|Canada|Chile|Europe|Indian|Mexico|Pacific|US)(/[A-Z][A-Za-z_]*(-[A-Za-z_]+)*){1,2}|(Etc/)?(GMT([+-]?0)?|Greenwich|UCT|UTC|Universal|Zulu)|Etc/GMT([+]([1-9]|1[0-2])|-([1-9]|1[0-4]))|(EST5E|CST6C|MST7M|PST8P)DT|CET|Cuba|EET|EST|Egypt|Eire|Factory|GB|GB-Eire|HST|Hongkong|Iceland|Iran|Israel|Jamaica|Japan|Kwajalein|Libya|MET|MST|NZ|NZ-CHAT|Navajo|PRC|Poland|Portugal|ROC|ROK|Singapore|Turkey|W-SU|WET)$';
COMMENT ON FUNCTION public.is_zone_form(text) IS 'Whether a name has the form of an IANA time zone';

-- What the server knows changes with its zone files: only triggers and services ask it, no CHECK.
-- The server's own spelling comes back from the setting, which the SET clause restores.
CREATE FUNCTION public.find_time_zone(names text[]) RETURNS text
    LANGUAGE plpgsql STABLE SET timezone = 'UTC' SET search_path = pg_catalog, pg_temp AS $$
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
COMMENT ON FUNCTION public.find_time_zone(text[]) IS
    'The first of these IANA time zones that the server knows, in its spelling';
CREATE FUNCTION public.is_time_zone(name text) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN CASE WHEN name IS NOT NULL
        THEN coalesce(public.find_time_zone(ARRAY[name]) = name, false) END;
COMMENT ON FUNCTION public.is_time_zone(text) IS
    'Whether the server knows this IANA time zone, in this spelling';

-- What an appointment keeps busy: [start, end + buffer). In UTC without zone, because
-- timestamptz + interval is not immutable and could not stand in an index.
CREATE FUNCTION public.busy_range(starts timestamptz, ends timestamptz, buffer_minutes integer)
RETURNS tsrange LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN tsrange(starts AT TIME ZONE 'UTC',
                   (ends AT TIME ZONE 'UTC') + buffer_minutes * interval '1 minute');
COMMENT ON FUNCTION public.busy_range(timestamptz, timestamptz, integer) IS
    'The time a session keeps busy, its break included';

-- Inner. The kinds of the tracking plan (privacy.md §3). No kind admits free text. CHECKs call it:
-- a topic has the form of a code, and the guard of events asks for the row.
CREATE FUNCTION public.is_p0_value(kind text, allowed text[], value jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE AS $$
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
END $$;
COMMENT ON FUNCTION public.is_p0_value(text, text[], jsonb) IS
    'Whether a JSON value is of a kind of the tracking plan';

-- Inner. The envelope that every event shares (events.json): key to kind.
CREATE FUNCTION public.is_p0_envelope_value(section text, key text, value jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE AS $$
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

-- Inner.
CREATE FUNCTION public.is_p0_envelope(section text, value jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE AS $$
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
CREATE FUNCTION public.is_utm(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    RETURN public.is_p0_envelope('utm', value);

CREATE FUNCTION public.is_outbox_payload(value jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
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
COMMENT ON FUNCTION public.is_outbox_payload(jsonb) IS
    'A flat object: keys are codes, values of a P0 kind';

-- A setting's value may be any JSON, so what was changed is not held to kinds. It is held to what
-- no P0 value needs: an address sign, a long number outside ids and times, a long text.
CREATE FUNCTION public.is_audit_value(value jsonb) RETURNS boolean
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
COMMENT ON FUNCTION public.is_audit_value(jsonb) IS
    'An object without addresses, phone numbers or long texts at any depth';

-- Inner. What the tracking plan has against an event: {suffix of the rule, column, detail}, or NULL for
-- nothing. One index scan of the plan per event; everything else is plain expressions, because
-- each further query would cost more than the INSERT itself (benchmarks/event_guard.py).
-- The detail names a key, never a value: that may be somebody's words.
CREATE FUNCTION public.event_offence(
    event text, event_source text, properties jsonb, page jsonb, acquisition jsonb
) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
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
END $$;
COMMENT ON FUNCTION public.event_offence(text, text, jsonb, jsonb, jsonb) IS
    'What the tracking plan has against an event: {suffix of the rule, column, detail} or NULL';

CREATE FUNCTION public.guard_p0_event() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
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
COMMENT ON FUNCTION public.guard_p0_event() IS
    'Trigger: an event holds what the tracking plan lists; arguments are suffix, sentence, …';

CREATE FUNCTION public.is_lower_case(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN value = lower(value);
CREATE FUNCTION public.is_row_counts(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN jsonb_typeof(value) = 'object' THEN NOT EXISTS (
        SELECT FROM jsonb_each(value) item
        WHERE NOT public.is_p0_key(item.key) OR item.value::text !~ '^[0-9]{1,9}$')
    ELSE false END;
COMMENT ON FUNCTION public.is_row_counts(jsonb) IS 'An object of table names and whole numbers';

CREATE FUNCTION public.is_session_length(starts timestamptz, ends timestamptz) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN NOT (public.is_finite(starts) AND public.is_finite(ends)) THEN false
        ELSE (ends AT TIME ZONE 'UTC') > (starts AT TIME ZONE 'UTC')
            AND (ends AT TIME ZONE 'UTC') <= (starts AT TIME ZONE 'UTC') + interval '12 hours'
        END;
COMMENT ON FUNCTION public.is_session_length(timestamptz, timestamptz) IS
    'Ends after it starts, at most 12 hours later';
CREATE FUNCTION public.is_link_lifetime(created timestamptz, expires timestamptz) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN NOT (public.is_finite(created) AND public.is_finite(expires)) THEN false
        ELSE (expires AT TIME ZONE 'UTC') > (created AT TIME ZONE 'UTC')
            AND (expires AT TIME ZONE 'UTC') <= (created AT TIME ZONE 'UTC') + interval '30 days'
        END;
COMMENT ON FUNCTION public.is_link_lifetime(timestamptz, timestamptz) IS
    'Expires after it was created, at most 30 days later';

-- A lock is a row: any role may take an advisory lock, and only a role with the UPDATE privilege may
-- lock a row. The first transaction that needs a lock adds its row.
CREATE FUNCTION public.take_lock(what text, part integer DEFAULT 0) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
COMMENT ON FUNCTION public.take_lock(text, integer) IS
    'Wait until no other transaction has the lock, and keep it until this one ends';

-- The audit chain: number, time and hash are given inside the chain's lock (access.md §3).
-- Address and user agent are part of the row by a salted hash, so that they can be emptied when a
-- person is erased and the row still verifies.
CREATE FUNCTION public.audit_origin_hash(salt uuid, ip_address inet, user_agent text)
RETURNS bytea LANGUAGE sql STABLE
    RETURN sha256(uuid_send(salt)
        || convert_to(jsonb_build_array(ip_address::text, user_agent)::text, 'UTF8'));
COMMENT ON FUNCTION public.audit_origin_hash(uuid, inet, text) IS
    'SHA-256 over where a request came from, salted';

CREATE FUNCTION public.audit_entry_hash(
    prev_hash bytea, id uuid, seq bigint, actor_user_id uuid, actor_role text, action text,
    entity_type text, entity_id uuid, entity_key text, old_value jsonb, new_value jsonb,
    created_at timestamptz, origin_hash bytea
) RETURNS bytea LANGUAGE sql STABLE
    RETURN sha256(prev_hash || convert_to(jsonb_build_array(
        id, seq, actor_user_id, actor_role, action, entity_type, entity_id, entity_key,
        old_value, new_value,
        to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        encode(origin_hash, 'hex'))::text, 'UTF8'));
COMMENT ON FUNCTION public.audit_entry_hash(bytea, uuid, bigint, uuid, text, text, text, uuid, text, jsonb, jsonb, timestamptz, bytea)
    IS 'SHA-256 over the hash before and the canonical form of an audit row';

CREATE FUNCTION public.chain_audit_entry() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
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
COMMENT ON FUNCTION public.chain_audit_entry() IS
    'Trigger: number and hash an audit row inside the chain''s lock';
