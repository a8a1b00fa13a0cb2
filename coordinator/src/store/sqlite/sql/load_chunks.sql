SELECT chunk, finished, failed FROM chunk WHERE sweep = ?1 ORDER BY chunk;
