INSERT OR IGNORE INTO content (digest, sweep, point) VALUES (?1, ?2, ?3)
