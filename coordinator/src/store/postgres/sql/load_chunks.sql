SELECT sweep, chunk, finished, failed FROM chunk ORDER BY sweep, chunk
