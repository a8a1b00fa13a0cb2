UPDATE record
SET epoch = ?4
WHERE sweep = ?1 AND point = ?2 AND epoch = ?3;
