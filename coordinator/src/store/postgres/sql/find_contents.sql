SELECT asked.digest, place.sweep, place.point
FROM unnest($1::TEXT[]) AS asked (digest),
    LATERAL (
        SELECT sweep, point FROM content JOIN task USING (sweep, point)
        WHERE content.digest = asked.digest
        LIMIT 1
    ) AS place
