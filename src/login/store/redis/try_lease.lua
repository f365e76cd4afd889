local record, wrong = read()
if wrong then return redis.error_reply(wrong) end
if not record then return false end
local generation, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
-- A lease that has passed leaves a doubt; a probe that has passed leaves none.
if record.s == 'L' and now >= tonumber(record.u) then
  if record.p == '1' then
    record.s, record.r = 'D', 'rotation_lost'
  else
    record.s = 'S'
  end
end
local outcome, detail
if tonumber(record.g) > generation then
  outcome, detail = 'newer', ''
elseif record.s == 'D' then
  outcome, detail = 'dead', record.r
elseif record.s == 'L' then
  outcome, detail = 'busy', record.u
elseif record.s == 'S' and now < tonumber(record.a) then
  outcome, detail = 'later', record.a
elseif now < tonumber(record.b) then
  outcome, detail = 'later', record.b
else
  record.p = record.s == 'S' and '1' or '0'
  record.f = whole(tonumber(record.f) + 1)
  record.s, record.u = 'L', whole(now + lease)
  outcome, detail = 'leased', record.f
end
write(record)
return answer(outcome, detail, record)
