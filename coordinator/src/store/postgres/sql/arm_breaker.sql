UPDATE sweep SET tripped = false WHERE key = $1
