-- A worker whose token opens nothing any more is taken over. Expiry is decided before: the clock is no part of the guard.
INSERT INTO token_worker (worker, token) VALUES (?1, ?2)
ON CONFLICT (worker) DO UPDATE SET token = excluded.token;
