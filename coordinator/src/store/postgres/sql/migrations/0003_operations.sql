-- A sweep's state may be 4, paused, as well; why, if it was not a person who paused it.
ALTER TABLE sweep ADD COLUMN pause_reason TEXT;
-- The circuit breaker has paused it once, and will not again.
ALTER TABLE sweep ADD COLUMN tripped BOOLEAN NOT NULL DEFAULT false;
-- Whose it is; empty is nobody in particular. Of higher priority is served first.
ALTER TABLE sweep ADD COLUMN user_name TEXT NOT NULL DEFAULT '';
ALTER TABLE sweep ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;

-- When a lease was granted; 0 of leases that an earlier release granted.
ALTER TABLE lease ADD COLUMN grant_time BIGINT NOT NULL DEFAULT 0;

-- All attempts that ended badly, also of points that finished later or were tried again. `setback` has the latest of each
-- point, and only while it counts.
CREATE TABLE attempt (
    sweep BIGINT NOT NULL,
    point BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    worker BIGINT NOT NULL,
    error TEXT NOT NULL,
    set_aside BOOLEAN NOT NULL,
    end_time BIGINT NOT NULL,
    PRIMARY KEY (sweep, point, epoch)
);
