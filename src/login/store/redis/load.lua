local values = redis.call('HMGET', KEYS[1], 'd', 't', 'e')
local now = redis.call('TIME')[1]
if not values[1] or tonumber(now) >= tonumber(values[3]) then return false end
return {values[1], values[2], values[3], now}
