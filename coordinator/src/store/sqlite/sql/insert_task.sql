-- Without a conflict clause on purpose: a task that is finished already cannot finish again.
INSERT INTO task (sweep, point, epoch, attempts, worker, finish_time) VALUES (?1, ?2, ?3, ?4, ?5, ?6);
