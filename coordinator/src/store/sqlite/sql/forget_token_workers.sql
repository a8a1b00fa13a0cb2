DELETE FROM token_worker WHERE token = ?1;
