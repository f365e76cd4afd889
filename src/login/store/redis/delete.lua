local values = redis.call('HMGET', KEYS[1], 'd', 't', 'e', 'o', 'i')
local now = redis.call('TIME')[1]
redis.call('DEL', KEYS[1])
if not values[1] then return false end
redis.pcall('PUBLISH', ARGV[1], ARGV[2])
if tonumber(now) >= tonumber(values[3]) then return {'', '', '', now, values[4], values[5]} end
return {values[1], values[2], values[3], now, values[4], values[5]}
