SELECT id, role, name, digest, create_time, expire_time, uses, used, revoke_time FROM token
ORDER BY create_time, id;
