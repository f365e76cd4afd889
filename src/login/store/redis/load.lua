local record, wrong = read()
if wrong then return redis.error_reply(wrong) end
if not record then return false end
return answer('loaded', '', record)
