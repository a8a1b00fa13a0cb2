UPDATE chunk SET failed = $2 WHERE sweep = $1 AND failed <> $2
