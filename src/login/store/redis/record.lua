-- What every script shares: a record as a hash, and the time of the server.
-- v format, g generation, d sealed, a access expires, e expires, n ends, b no refresh before,
-- s state (I idle, L leased, S suspect, D dead), f fence, u until or since, p probe, r reason,
-- o owner's subject, i provider's session
local FORMAT = '1'
local FIELDS = {'v', 'g', 'd', 'a', 'e', 'n', 'b', 's', 'f', 'u', 'p', 'r', 'o', 'i'}
local key = KEYS[1]
local now = tonumber(redis.call('TIME')[1])

local function whole(number)
  return string.format('%.0f', number)
end

-- The session, nil if there is none or it has expired, and what is wrong with it.
local function read()
  local values = redis.call('HMGET', key, unpack(FIELDS))
  if not values[1] then return nil end
  if values[1] ~= FORMAT then
    return nil, 'TOONEW a record has format ' .. values[1] .. ', and this version knows ' .. FORMAT
  end
  local record = {}
  for at, name in ipairs(FIELDS) do record[name] = values[at] or '' end
  if now >= tonumber(record.e) then return nil end
  return record
end

local function write(record)
  local pairs_of = {}
  for _, name in ipairs(FIELDS) do
    pairs_of[#pairs_of + 1] = name
    pairs_of[#pairs_of + 1] = record[name]
  end
  redis.call('HSET', key, unpack(pairs_of))
  redis.call('EXPIREAT', key, whole(math.min(tonumber(record.e), now + 400 * 86400)))
end

-- Tells the other replicas. Where that is not allowed they find out a little later.
local function tell()
  local prefix, session = string.match(key, '^(.*):session:{(.*)}$')
  redis.pcall('PUBLISH', prefix .. ':changes', session)
end

local function held(record, fence)
  return (record.s == 'L' or record.s == 'S') and record.f == fence
end

local function answer(outcome, detail, record)
  local values = {outcome, detail, whole(now)}
  for _, name in ipairs(FIELDS) do values[#values + 1] = record[name] end
  return values
end
