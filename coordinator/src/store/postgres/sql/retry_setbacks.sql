-- Only what was set aside begins anew; attempts of points that are still to be finished stay counted.
DELETE FROM setback WHERE sweep = $1 AND set_aside
