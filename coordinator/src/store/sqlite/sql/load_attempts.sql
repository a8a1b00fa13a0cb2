SELECT point, attempts FROM setback
WHERE sweep = ?1
    -- What was set aside is in the chunks; its attempts count no more.
    AND set_aside = 0;
