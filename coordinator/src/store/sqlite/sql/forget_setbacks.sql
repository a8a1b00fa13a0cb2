DELETE FROM setback WHERE sweep = ?1 AND point BETWEEN ?2 AND ?3;
