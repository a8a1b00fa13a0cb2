SELECT content.digest, content.sweep, content.point
FROM unnest($1::TEXT[]) AS asked (digest) JOIN content USING (digest)
-- Only what has finished is known.
WHERE EXISTS (SELECT FROM task WHERE task.sweep = content.sweep AND task.point = content.point)
