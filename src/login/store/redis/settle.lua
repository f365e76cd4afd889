local record, wrong = read()
if wrong then return redis.error_reply(wrong) end
if not record then return false end
local fence, kind, detail = ARGV[1], ARGV[2], ARGV[3]
if not held(record, fence) then return answer('stale', '', record) end
local was_probe = record.s == 'L' and record.p == '1'
if kind == 'unspent' then
  record.b = detail
  -- A probe that was not sent leaves the doubt it began with.
  if was_probe then
    record.s, record.u = 'S', whole(now)
  else
    record.s, record.u = 'I', '0'
  end
elseif kind == 'uncertain' then
  if was_probe then
    record.s, record.r = 'D', 'rotation_lost'
  else
    record.s, record.u = 'S', whole(now)
  end
else
  record.s = 'D'
  record.r = (was_probe and detail == 'rejected') and 'rotation_lost' or detail
end
record.p = '0'
write(record)
tell()
return answer('done', '', record)
