UPDATE sweep SET tripped = 0 WHERE key = ?1;
