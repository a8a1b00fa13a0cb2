UPDATE sweep
SET state = ?3, pause_reason = ?4
WHERE key = ?1
    -- Compare and set: the decision was made for a sweep in this state.
    AND state = ?2;
