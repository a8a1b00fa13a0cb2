INSERT INTO content (digest, sweep, point) VALUES ($1, $2, $3)
ON CONFLICT (digest) DO UPDATE SET sweep = excluded.sweep, point = excluded.point
-- What has finished stays.
WHERE NOT EXISTS (SELECT FROM task WHERE task.sweep = content.sweep AND task.point = content.point)
