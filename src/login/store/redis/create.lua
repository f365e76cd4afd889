if redis.call('EXISTS', key) == 1 then return 0 end
local record = {v = FORMAT}
for at = 2, #FIELDS do record[FIELDS[at]] = ARGV[at - 1] end
write(record)
return 1
