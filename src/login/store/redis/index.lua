-- Adds a session to the list of its owner, and lets those go that have ended.
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local last = tonumber(redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
redis.call('EXPIREAT', KEYS[1], string.format('%.0f', math.min(last, now + 400 * 86400)))
return 1
