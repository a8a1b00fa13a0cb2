SELECT key, id, request_id, name, source, size, create_time, state, epoch, next FROM sweep ORDER BY key
