-- A sweep's state may be 4, paused, as well; why, if it was not a person who paused it.
ALTER TABLE sweep ADD COLUMN pause_reason TEXT;
-- The circuit breaker has paused it once, and will not again.
ALTER TABLE sweep ADD COLUMN tripped INTEGER NOT NULL DEFAULT 0;
-- Whose it is; empty is nobody in particular. Of higher priority is served first.
ALTER TABLE sweep ADD COLUMN user_name TEXT NOT NULL DEFAULT '';
ALTER TABLE sweep ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;

-- When a lease was granted; 0 of leases that an earlier release granted.
ALTER TABLE lease ADD COLUMN grant_time INTEGER NOT NULL DEFAULT 0;

-- All attempts that ended badly, also of points that finished later or were tried again. `setback` has the latest of each
-- point, and only while it counts.
CREATE TABLE attempt (
    sweep INTEGER NOT NULL REFERENCES sweep,
    point INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    error TEXT NOT NULL,
    set_aside INTEGER NOT NULL,
    end_time INTEGER NOT NULL,
    PRIMARY KEY (sweep, point, epoch)
) STRICT, WITHOUT ROWID;
