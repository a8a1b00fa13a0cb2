UPDATE sweep
SET epoch = ?2, next = ?3
WHERE key = ?1
    -- Compare and set: whoever granted this epoch already has decided on a newer state.
    AND epoch = ?2 - 1
    -- A sweep that ended or was paused meanwhile gives no more leases.
    AND state = 1;
