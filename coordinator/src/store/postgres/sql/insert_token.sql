INSERT INTO token (id, role, name, digest, create_time, expire_time, uses) VALUES ($1, $2, $3, $4, $5, $6, $7)
