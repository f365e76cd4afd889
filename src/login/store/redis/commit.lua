local record, wrong = read()
if wrong then return redis.error_reply(wrong) end
if not record then return false end
local fence, generation, sealed, access, expires = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
if tonumber(record.g) == generation + 1 and record.d == sealed then
  return answer('done', '', record)
end
if tonumber(record.g) ~= generation or not held(record, fence) then
  return answer('stale', '', record)
end
record.g = whole(generation + 1)
record.d, record.a = sealed, access
record.e = tonumber(expires) < tonumber(record.n) and expires or record.n
record.b, record.s, record.p, record.u = whole(now), 'I', '0', '0'
write(record)
tell()
return answer('done', '', record)
