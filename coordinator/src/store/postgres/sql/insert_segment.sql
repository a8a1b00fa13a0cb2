INSERT INTO segment (sweep, number, name, first, last, points, row_count, byte_count, footer, digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
