SELECT key, id, request_id, name, source, size, create_time, state, epoch, next, pause_reason, tripped, priority,
    user_name
FROM sweep ORDER BY key;
