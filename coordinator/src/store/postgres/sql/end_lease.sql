DELETE FROM lease WHERE sweep = $1 AND epoch = $2
