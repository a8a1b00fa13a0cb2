SELECT sweep, point, attempts FROM setback
-- What was set aside is in the chunks; its attempts count no more.
WHERE NOT set_aside
