SELECT chunk.sweep, chunk.chunk, chunk.finished, chunk.failed
FROM unnest($1::BIGINT[], $2::BIGINT[]) AS touched (sweep, chunk) JOIN chunk USING (sweep, chunk)
