SELECT id, role, name, digest, create_time, expire_time, uses, used, revoke_time,
    ARRAY (SELECT worker FROM token_worker WHERE token_worker.token = token.id ORDER BY worker COLLATE "C")
FROM token ORDER BY create_time, id COLLATE "C"
