local record, wrong = read()
if wrong then return redis.error_reply(wrong) end
redis.call('DEL', key)
if not record then return false end
tell()
return answer('deleted', '', record)
