-- Forgets a list (ARGV[1]), unless it is needed for longer by now.
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
local now = tonumber(redis.call('TIME')[1])
if ends and tonumber(ends) <= now then return redis.call('ZREM', KEYS[1], ARGV[1]) end
return 0
