-- Adds a session (ARGV[1], which ends at ARGV[2]) to a list, and drops those that have ended.
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if ARGV[1] then redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) end
return redis.call('ZCARD', KEYS[1])
