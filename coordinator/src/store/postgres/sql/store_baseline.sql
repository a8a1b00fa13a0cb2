INSERT INTO baseline (digest, estimate) VALUES ($1, $2)
-- Results are named by content: whoever computes the same again has nothing to add.
ON CONFLICT DO NOTHING
