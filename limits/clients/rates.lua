-- The model calls of the last minute by what they count for: looked at and booked in one step.
-- KEYS two for each bucket: calls (sorted set: call -> ms of its turn), tokens (hash: call -> tokens,
--      and `sum` of them all)
-- ARGV 1 command, 2 now in ms, 3 the call, then what the command needs
local now, call = tonumber(ARGV[2]), ARGV[3]
local window = 60 * 1000
local buckets = #KEYS / 2

local function add(tokens, number)
  -- Lua has a negative zero, which Redis does not take.
  if number ~= 0 then
    redis.call('HINCRBY', tokens, 'sum', number)
  end
end

local function forget(place)
  local calls, tokens = KEYS[2 * place - 1], KEYS[2 * place]
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', calls, '-inf', now - window)) do
    add(tokens, -tonumber(redis.call('HGET', tokens, old) or '0'))
    redis.call('HDEL', tokens, old)
    redis.call('ZREM', calls, old)
  end
end

local function sum(place)
  return tonumber(redis.call('HGET', KEYS[2 * place], 'sum') or '0')
end

-- When `needed` tokens and one call fit: so late that with what is booked within a minute before
-- neither limit (-1: none) is passed.
local function turn(place, most_calls, most_tokens, needed)
  local calls, tokens = KEYS[2 * place - 1], KEYS[2 * place]
  local number = redis.call('ZCARD', calls)
  local at = now
  if most_calls >= 0 and number >= most_calls then
    local in_the_way = redis.call('ZREVRANGE', calls, most_calls - 1, most_calls - 1, 'WITHSCORES')
    at = math.max(at, tonumber(in_the_way[2]) + window)
  end
  if most_tokens >= 0 and sum(place) + needed > most_tokens then
    local held = needed
    local booked = redis.call('ZREVRANGE', calls, 0, -1, 'WITHSCORES')
    for index = 1, #booked, 2 do
      held = held + tonumber(redis.call('HGET', tokens, booked[index]) or '0')
      if held > most_tokens then
        return math.max(at, tonumber(booked[index + 1]) + window)
      end
    end
  end
  return at
end

local commands = {}

-- ARGV 4 patience in ms, then for each bucket: most calls, most tokens (-1: none), tokens needed.
-- {wait in ms, bucket that makes it wait (0: none), 1 if it is booked}
function commands.take()
  local at, slowest = now, 0
  for place = 1, buckets do
    forget(place)
    local own = turn(place, tonumber(ARGV[2 + 3 * place]), tonumber(ARGV[3 + 3 * place]),
      tonumber(ARGV[4 + 3 * place]))
    if own > at then
      at, slowest = own, place
    end
  end
  if at - now > tonumber(ARGV[4]) then
    return {at - now, slowest, 0}
  end
  for place = 1, buckets do
    local calls, tokens, needed = KEYS[2 * place - 1], KEYS[2 * place], ARGV[4 + 3 * place]
    redis.call('ZADD', calls, at, call)
    redis.call('HSET', tokens, call, needed)
    add(tokens, tonumber(needed))
    redis.call('PEXPIRE', calls, 3 * window)
    redis.call('PEXPIRE', tokens, 3 * window)
  end
  return {at - now, slowest, 1}
end

-- ARGV 4 the tokens that were used. A call that has left the window counts no more.
function commands.settle()
  for place = 1, buckets do
    local tokens = KEYS[2 * place]
    local held = redis.call('HGET', tokens, call)
    if held then
      redis.call('HSET', tokens, call, ARGV[4])
      add(tokens, tonumber(ARGV[4]) - tonumber(held))
    end
  end
  return {}
end

-- A call that did not go out.
function commands.give_back()
  for place = 1, buckets do
    local calls, tokens = KEYS[2 * place - 1], KEYS[2 * place]
    local held = redis.call('HGET', tokens, call)
    if held then
      add(tokens, -tonumber(held))
      redis.call('HDEL', tokens, call)
      redis.call('ZREM', calls, call)
    end
  end
  return {}
end

-- {calls, tokens} of each bucket
function commands.show()
  local found = {}
  for place = 1, buckets do
    forget(place)
    table.insert(found, redis.call('ZCARD', KEYS[2 * place - 1]))
    table.insert(found, sum(place))
  end
  return found
end

return commands[ARGV[1]]()
