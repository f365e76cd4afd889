-- Adds a session (ARGV[1], which ends at ARGV[2]) to a list, and drops those that have ended.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1])
if ARGV[1] then redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) end
-- When the last of them ends.
return redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2] or false
