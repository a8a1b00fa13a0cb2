-- For tests: what a database of the first release holds of a sweep under way. Only columns that step 0001 made are named,
-- so that it can be written at any version.
SET search_path = phasegrid;
INSERT INTO sweep (key, id, request_id, name, source, size, create_time, state, epoch, next)
VALUES (1, 'map-1', 'wish 1', 'map', 'name = "map"', 10, 1234567890, 1, 4, 4);
INSERT INTO worker (id) VALUES ('w');
INSERT INTO lease (sweep, epoch, worker, slots, granted, remain)
SELECT 1, 4, key, 2, blob, blob
FROM worker, decode('0100000000000000000000003a3000000100000000000000100000000100', 'hex') AS blob;
INSERT INTO chunk (sweep, chunk, finished, failed)
VALUES (1, 0, '\x3a3000000100000000000000100000000000', '\x3a3000000100000000000000100000000300');
INSERT INTO task (sweep, point, epoch, attempts, worker, finish_time) SELECT 1, 0, 1, 1, key, 0 FROM worker;
INSERT INTO setback (sweep, point, epoch, attempts, worker, error, set_aside)
SELECT 1, 2, 2, 1, key, 'failure 1', false FROM worker UNION ALL SELECT 1, 3, 3, 3, key, 'failure 3', true FROM worker;
INSERT INTO record (sweep, point, epoch, step, payload) VALUES (1, 0, 1, 0, ''), (1, 1, 4, 0, '');
INSERT INTO baseline (digest, estimate) VALUES ('digest', '\x01');
