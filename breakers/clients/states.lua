-- A breaker's state in Redis: read, moved and counted in one step, for all processes of the hub.
-- KEYS 1 what is known (hash), 2 when it failed in the window (list of ms, newest first),
--      3 calls on trial (sorted set: permit -> ms when it counts as failed)
-- ARGV 1 command, 2 now in ms, then what the command needs
local known, failures, trials = KEYS[1], KEYS[2], KEYS[3]
local now = tonumber(ARGV[2])
local month = 30 * 24 * 3600 * 1000
-- How long the limits count without a look at the row: a change that Redis missed is late by that.
local relearn = 5 * 1000
-- Trials are over soon, most of them: who has to wait for one looks again after this time.
local again = 5 * 1000

local function text(field)
  return redis.call('HGET', known, field) or ''
end

local function number(field)
  return tonumber(redis.call('HGET', known, field) or '0')
end

local function move(state, at)
  -- Who was permitted before says nothing about the state that begins now.
  redis.call('HINCRBY', known, 'generation', 1)
  redis.call('HSET', known, 'state', state, 'since', at, 'successes', 0)
  redis.call('DEL', failures, trials)
end

-- The state that time alone has led to.
local function settle()
  local state = text('state')
  if state == '' then state = 'closed' end
  if state == 'half_open' then
    local first = redis.call('ZRANGE', trials, 0, 0, 'WITHSCORES')
    if first[2] and tonumber(first[2]) <= now then
      state = 'open'
      move(state, first[2])
    end
  end
  if state == 'open' and now >= number('since') + number('recovery') then
    state = 'half_open'
    move(state, now)
  end
  return state
end

local function keep()
  for _, key in ipairs(KEYS) do
    redis.call('PEXPIRE', key, month)
  end
end

local commands = {}

function commands.learn()
  -- An older reader must not undo what a later writer has said.
  if number('revision') <= tonumber(ARGV[3]) then
    if tonumber(ARGV[10]) > number('reset') then
      move('closed', now)
      redis.call('HSET', known, 'reset', ARGV[10], 'successes_total', 0, 'failures_total', 0,
        'last_failure', 0)
    end
    redis.call('HSET', known, 'revision', ARGV[3], 'threshold', ARGV[4], 'window', ARGV[5],
      'recovery', ARGV[6], 'needed', ARGV[7], 'patience', ARGV[8], 'forced', ARGV[9],
      'learned', now)
    keep()
  end
  return {}
end

-- {'unknown'} | {'refused', state, wait in ms or -1} | {'permitted', state, generation}
function commands.ask()
  if math.abs(now - number('learned')) > relearn then
    return {'unknown'}
  end
  local forced = text('forced')
  if forced == 'open' then
    return {'refused', 'open', -1}
  elseif forced == 'closed' then
    return {'permitted', 'closed', -1}
  end
  local state = settle()
  if state == 'open' then
    return {'refused', state, number('since') + number('recovery') - now}
  elseif state == 'half_open' then
    if redis.call('ZCARD', trials) + number('successes') >= number('needed') then
      local first = redis.call('ZRANGE', trials, 0, 0, 'WITHSCORES')
      return {'refused', state, math.min(tonumber(first[2]) - now, again)}
    end
    redis.call('ZADD', trials, now + number('patience'), ARGV[3])
    keep()
  end
  return {'permitted', state, number('generation')}
end

-- {state before, state after}
function commands.tell()
  local permit, generation, outcome = ARGV[3], tonumber(ARGV[4]), ARGV[5]
  local state = settle()
  if text('forced') ~= '' then
    return {state, state}
  end
  local is_trial = redis.call('ZREM', trials, permit) == 1
  if outcome == 'unknown' then
    return {state, state}
  end
  redis.call('HINCRBY', known, outcome == 'success' and 'successes_total' or 'failures_total', 1)
  if outcome == 'failure' then
    redis.call('HSET', known, 'last_failure', now)
  end
  local after = state
  if generation == number('generation') then
    if state == 'closed' and outcome == 'failure' then
      local threshold = number('threshold')
      redis.call('LPUSH', failures, now)
      redis.call('LTRIM', failures, 0, threshold - 1)
      local oldest = redis.call('LINDEX', failures, threshold - 1)
      if oldest and tonumber(oldest) > now - number('window') then
        after = 'open'
      end
    elseif state == 'half_open' and is_trial then
      if outcome == 'failure' then
        after = 'open'
      elseif redis.call('HINCRBY', known, 'successes', 1) >= number('needed') then
        after = 'closed'
      end
    end
  end
  if after ~= state then
    move(after, now)
  end
  keep()
  return {state, after}
end

-- {state, failures in the window, successes, failures, ms of the last failure, since, trials}
function commands.show()
  local state = settle()
  local count = 0
  for _, at in ipairs(redis.call('LRANGE', failures, 0, -1)) do
    if tonumber(at) > now - number('window') then count = count + 1 end
  end
  return {state, count, number('successes_total'), number('failures_total'),
    number('last_failure'), number('since'), redis.call('ZCARD', trials)}
end

return commands[ARGV[1]]()
