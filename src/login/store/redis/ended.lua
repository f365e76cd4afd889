-- Some of the lists (ARGV[1] at the most) that have ended.
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1], 'LIMIT', 0, ARGV[1])
