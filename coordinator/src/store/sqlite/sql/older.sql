-- For tests: what a database of the first release holds of a sweep under way. Only columns that step 0001 made are named,
-- so that it can be written at any version.
INSERT INTO sweep (key, id, request_id, name, source, size, create_time, state, epoch, next)
VALUES (1, 'map-1', 'wish 1', 'map', 'name = "map"', 10, 1234567890, 1, 4, 4);
INSERT INTO worker (key, id) VALUES (1, 'w');
INSERT INTO lease (sweep, epoch, worker, slots, granted, remain)
VALUES (1, 4, 1, 2, x'0100000000000000000000003a3000000100000000000000100000000100',
    x'0100000000000000000000003a3000000100000000000000100000000100');
INSERT INTO chunk (sweep, chunk, finished, failed)
VALUES (1, 0, x'3a3000000100000000000000100000000000', x'3a3000000100000000000000100000000300');
INSERT INTO task (sweep, point, epoch, attempts, worker, finish_time) VALUES (1, 0, 1, 1, 1, 0);
INSERT INTO setback (sweep, point, epoch, attempts, worker, error, set_aside)
VALUES (1, 2, 2, 1, 1, 'failure 1', 0), (1, 3, 3, 3, 1, 'failure 3', 1);
INSERT INTO record (sweep, point, epoch, step, payload) VALUES (1, 0, 1, 0, x''), (1, 1, 4, 0, x'');
INSERT INTO baseline (digest, estimate) VALUES ('digest', x'01');
