local now = redis.call('TIME')[1]
local tag = redis.call('HGET', KEYS[1], 't')
if tag then return tag == ARGV[2] and now or false end
redis.call('HSET', KEYS[1], 'd', ARGV[1], 't', ARGV[2], 'e', ARGV[3], 'o', ARGV[4], 'i', ARGV[5])
redis.call('EXPIREAT', KEYS[1], ARGV[3])
return now
