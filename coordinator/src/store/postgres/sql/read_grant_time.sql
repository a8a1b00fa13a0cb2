SELECT grant_time FROM lease WHERE sweep = $1 AND epoch = $2 AND grant_time > 0
