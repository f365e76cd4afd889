local values = redis.call('HMGET', KEYS[1], 'd', 't', 'e')
local now = redis.call('TIME')[1]
if not values[1] or tonumber(now) >= tonumber(values[3]) then return false end
if values[2] ~= ARGV[1] then return {values[1], values[2], values[3], now} end
redis.call('HSET', KEYS[1], 'd', ARGV[2], 't', ARGV[3], 'e', ARGV[4])
redis.call('EXPIREAT', KEYS[1], ARGV[4])
-- Where publishing is not allowed, other replicas see the change when their copies are old.
redis.pcall('PUBLISH', ARGV[5], ARGV[6])
return {}
