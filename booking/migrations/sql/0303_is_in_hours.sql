-- Clocks are read at each instant, so that an hour that they repeat is closed twice, and one that
-- they jump over closes nothing.
CREATE FUNCTION public.is_in_hours(
    starts_on date, ends_on date, zone text, start_local time, end_local time,
    starts timestamptz, ends timestamptz
) RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
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
COMMENT ON FUNCTION public.is_in_hours(date, date, text, time, time, timestamptz, timestamptz) IS
    'Whether clocks show an hour of an exception at any instant from starts to ends';
