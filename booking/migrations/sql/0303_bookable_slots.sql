SELECT slot.id AS slot_id, slot.service_id, slot.start_at_utc, slot.end_at_utc, slot.buffer_minutes
FROM (SELECT public.fact_clock() AS time) AS clock
JOIN public.availability_slots AS slot ON slot.start_at_utc > clock.time
WHERE (slot.status = 'available'
       OR slot.status = 'reserved' AND EXISTS (
           SELECT FROM public.appointments AS hold
           WHERE hold.slot_id = slot.id AND hold.status = 'pending_payment'
             AND hold.hold_expires_at <= clock.time))
  AND EXISTS (
      SELECT FROM public.services AS service
      WHERE (service.id = slot.service_id OR slot.service_id IS NULL)
        AND service.status = 'published'
        AND slot.end_at_utc - slot.start_at_utc >= service.duration_minutes * interval '1 minute'
        AND NOT EXISTS (
            SELECT FROM public.schedule_exceptions AS closed
            WHERE closed.kind = 'closed'
              AND (closed.service_id = service.id OR closed.service_id IS NULL)
              AND closed.starts_on <= (slot.end_at_utc AT TIME ZONE 'UTC')::date + 1
              AND closed.ends_on >= (slot.start_at_utc AT TIME ZONE 'UTC')::date - 1
              AND public.is_in_hours(closed.starts_on, closed.ends_on, closed.timezone,
                                     closed.start_local, closed.end_local,
                                     slot.start_at_utc, slot.end_at_utc)))
  -- OFFSET: the index is read for each slot, instead of a join with all rows. The planner expects far
  -- more slots than there are, and treats plans whose costs differ by less than 1 % as equal.
  AND NOT EXISTS (
      SELECT FROM public.appointments AS taking
      WHERE taking.slot_id = slot.id AND taking.status IN ('pending_payment', 'paid', 'confirmed')
        AND NOT (taking.status = 'pending_payment' AND taking.hold_expires_at <= clock.time)
      OFFSET 0)
  AND NOT EXISTS (
      SELECT FROM public.appointments AS other
      WHERE public.busy_range(other.start_at_utc, other.end_at_utc, other.buffer_minutes)
            && public.busy_range(slot.start_at_utc, slot.end_at_utc, slot.buffer_minutes)
        AND other.status IN ('pending_payment', 'paid', 'confirmed')
        AND NOT (other.status = 'pending_payment' AND other.hold_expires_at <= clock.time)
      OFFSET 0)
  AND NOT EXISTS (
      SELECT FROM public.availability_slots AS blocked
      WHERE blocked.status = 'blocked'
        AND blocked.start_at_utc < slot.end_at_utc
        AND blocked.start_at_utc > slot.start_at_utc - interval '12 hours'
        AND blocked.end_at_utc > slot.start_at_utc
      OFFSET 0)
