-- The fence between coordinators: no row, no commit. Held to the end of the transaction, so that nobody takes over before
-- what was decided under this term is either durable or gone.
SELECT FROM leadership WHERE term = $1 FOR KEY SHARE
