INSERT INTO lease (sweep, epoch, worker, slots, granted, remain)
SELECT $1, $2, worker.key, $4, $5, $5 FROM worker WHERE worker.id = $3
