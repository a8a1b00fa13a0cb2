UPDATE token SET revoke_time = coalesce(revoke_time, ?2) WHERE id = ?1;
