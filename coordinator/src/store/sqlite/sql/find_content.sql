SELECT content.sweep, content.point FROM content JOIN task USING (sweep, point) WHERE digest = ?1 LIMIT 1
