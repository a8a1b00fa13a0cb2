UPDATE sweep
SET state = ?3, pause_reason = ?4,
    -- Only the circuit breaker has a reason.
    tripped = tripped OR ?4 IS NOT NULL
WHERE key = ?1
    -- Compare and set: the decision was made for a sweep in this state.
    AND state = ?2;
