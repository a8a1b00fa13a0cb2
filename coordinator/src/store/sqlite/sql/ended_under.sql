-- A point has at most one row in each, and never in both with the same epoch.
SELECT 1 FROM task WHERE sweep = ?1 AND point = ?3 AND epoch = ?2
UNION ALL
SELECT 1 FROM setback WHERE sweep = ?1 AND point = ?3 AND epoch = ?2;
