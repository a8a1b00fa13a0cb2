SELECT finished, failed FROM chunk WHERE sweep = ?1 AND chunk = ?2;
