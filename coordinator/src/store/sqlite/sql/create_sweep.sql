-- A second sweep of the same number, id or request id is a conflict.
INSERT INTO sweep (key, id, request_id, name, source, size, create_time, user_name)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8);
