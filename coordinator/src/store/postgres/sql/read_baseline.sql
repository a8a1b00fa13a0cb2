SELECT estimate FROM baseline WHERE digest = $1
