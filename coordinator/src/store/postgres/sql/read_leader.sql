SELECT address FROM leadership WHERE expire_time > clock_timestamp()
