SELECT worker FROM token_worker WHERE token = ?1 ORDER BY worker;
