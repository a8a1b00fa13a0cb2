INSERT INTO attempt (sweep, point, epoch, attempt, worker, error, set_aside, end_time)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8);
