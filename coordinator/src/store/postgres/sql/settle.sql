-- Waits until what is being committed is durable or gone: a connection that broke may have left a commit under way, and
-- what is loaded next must not be overtaken by it.
SELECT FROM leadership FOR UPDATE
