SELECT number, name, points, row_count, byte_count, footer, digest FROM segment
WHERE sweep = $1 AND first <= $3 AND last >= $2
ORDER BY number
