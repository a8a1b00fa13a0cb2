INSERT INTO lease (sweep, epoch, worker, slots, granted, remain, grant_time)
SELECT ?1, ?2, worker.key, ?4, ?5, ?5, ?6 FROM worker WHERE worker.id = ?3;
