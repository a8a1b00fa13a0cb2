UPDATE record
SET epoch = $4
WHERE sweep = $1 AND point = ANY ($2::BIGINT[]) AND epoch = $3
