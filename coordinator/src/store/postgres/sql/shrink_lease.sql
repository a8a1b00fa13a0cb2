UPDATE lease SET remain = $3 WHERE sweep = $1 AND epoch = $2
