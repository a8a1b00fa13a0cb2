-- A sweep's state may be 4, paused, as well; why, if it was not a person who paused it.
ALTER TABLE sweep ADD COLUMN pause_reason TEXT;
