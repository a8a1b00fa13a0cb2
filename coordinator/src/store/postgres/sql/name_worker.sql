INSERT INTO worker (id) SELECT $1
-- Asked first, because an insertion that meets a conflict uses up a number all the same.
WHERE NOT EXISTS (SELECT FROM worker WHERE id = $1)
ON CONFLICT DO NOTHING
