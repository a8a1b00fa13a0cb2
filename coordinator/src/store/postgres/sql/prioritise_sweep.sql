UPDATE sweep SET priority = $2 WHERE key = $1
