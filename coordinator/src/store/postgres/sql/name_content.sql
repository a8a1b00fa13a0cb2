INSERT INTO content (digest, sweep, point) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
