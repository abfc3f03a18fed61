"""The Lua scripts that change runs and threads. Each is one atomic step within one partition.

Keys of a partition share the prefix `ph:{N}` and with it a hash slot (see `stores.keys`), so a script may derive
further keys from the ones it is given. The fields:

thread   hash   created updated status metadata graph active error interrupts begun last
  :runs      list   the ids of its runs, oldest first
  :begun     zset   the runs that have begun, or ended without, by their number
  :waiting   list   those that wait for the thread, in order
  :calls     hash   its tool calls (see `stores.tool_calls.scripts`)
  :key:KEY   string the run that was created with this idempotency key
run      hash   user thread agent created updated status attempt offset strategy metadata request ephemeral cancel
                entry end number begun usage digest webhook trace due released crashes
  :log       stream the events, entry ids OFFSET-0
:queue   stream the runs that are due; a pending entry is a lease
:delayed zset   runs that are not due yet, by the time when they are
:hooks   zset   the runs whose webhook is due (see `stores.webhooks.scripts`); :hook:ID the run as it was at its end
:doomed  zset   threads that are to be deleted, by the time when ("USER THREAD")

`now` is in milliseconds everywhere. Every script begins with PRELUDE.
"""

PRELUDE = """
local function append(run, payload, now)
  local offset = redis.call('HINCRBY', run, 'offset', 1)
  redis.call('XADD', run .. ':log', offset .. '-0', 'e', payload, 't', now)
  return offset
end

local function enqueue(prefix, thread, id)
  local entry = redis.call('XADD', prefix .. ':queue', '*', 'run', id)
  redis.call('HSET', prefix .. ':r:' .. id, 'entry', entry)
  redis.call('HSET', thread, 'active', id, 'status', 'busy')
end

local function leave_queue(prefix, run)
  local entry = redis.call('HGET', run, 'entry')
  if entry then
    redis.call('XACK', prefix .. ':queue', 'workers', entry)
    redis.call('XDEL', prefix .. ':queue', entry)
  end
end

local function number(prefix, id)
  local run = prefix .. ':r:' .. id
  local held = redis.call('HMGET', run, 'number', 'user', 'thread')
  if held[1] or not held[2] then return end
  local thread = prefix .. ':t:' .. held[2] .. ':' .. held[3]
  local ttl = redis.call('PTTL', thread)
  if ttl <= 0 then return end
  local begun = redis.call('HINCRBY', thread, 'begun', 1)
  redis.call('HSET', run, 'number', begun)
  redis.call('ZADD', thread .. ':begun', begun, id)
  redis.call('PEXPIRE', thread .. ':begun', ttl)
  redis.call('PUBLISH', thread .. ':begun', begun)
end

local function hook(prefix, id, run, now)
  if redis.call('HEXISTS', run, 'webhook') == 0 then return end
  local copy = prefix .. ':hook:' .. id
  redis.call('COPY', run, copy, 'REPLACE')
  redis.call('PEXPIRE', copy, 172800000)
  redis.call('ZADD', prefix .. ':hooks', now, id)
end

local function end_run(prefix, id, status, payload, now)
  local run = prefix .. ':r:' .. id
  number(prefix, id)
  local offset = append(run, payload, now)
  redis.call('HSET', run, 'status', status, 'updated', now, 'end', payload)
  hook(prefix, id, run, now)
  leave_queue(prefix, run)
  redis.call('ZREM', prefix .. ':delayed', id)
  redis.call('PUBLISH', 'ph:log:' .. id, offset)
  return offset
end

local function next_run(prefix, thread)
  redis.call('HDEL', thread, 'active')
  while true do
    local id = redis.call('LPOP', thread .. ':waiting')
    if not id then return false end
    if redis.call('HGET', prefix .. ':r:' .. id, 'status') == 'pending' then
      enqueue(prefix, thread, id)
      return id
    end
  end
end

local function expire(thread, run, ttl)
  redis.call('PEXPIRE', thread, ttl)
  redis.call('PEXPIRE', thread .. ':runs', ttl)
  redis.call('PEXPIRE', thread .. ':begun', ttl)
  redis.call('PEXPIRE', run, ttl)
  redis.call('PEXPIRE', run .. ':log', ttl)
end

local function stop(prefix, thread, id, action, cancelled, now)
  local run = prefix .. ':r:' .. id
  local status = redis.call('HGET', run, 'status')
  if status == 'running' then
    redis.call('HSET', run, 'cancel', action)
    redis.call('PUBLISH', 'ph:cancel', action .. ' ' .. id)
    return 'told'
  end
  if status ~= 'pending' then return 'ended' end
  end_run(prefix, id, 'interrupted', cancelled, now)
  redis.call('LREM', thread .. ':waiting', 0, id)
  if action == 'rollback' then -- it is gone, but who follows it sees how it ended
    redis.call('LREM', thread .. ':runs', 0, id)
    redis.call('ZREM', thread .. ':begun', id)
    redis.call('PEXPIRE', run, 60000)
    redis.call('PEXPIRE', run .. ':log', 60000)
  end
  return 'stopped'
end

local function admit(prefix, thread, id, strategy, cancelled, now)
  local active = redis.call('HGET', thread, 'active')
  if not active then return enqueue(prefix, thread, id) end
  if strategy == 'interrupt' or strategy == 'rollback' then
    for _, other in ipairs(redis.call('LRANGE', thread .. ':waiting', 0, -1)) do
      stop(prefix, thread, other, strategy, cancelled, now)
    end
    if stop(prefix, thread, active, strategy, cancelled, now) ~= 'told' then active = false end
  end
  redis.call('RPUSH', thread .. ':waiting', id)
  redis.call('PEXPIRE', thread .. ':waiting', redis.call('PTTL', thread))
  if not active then next_run(prefix, thread) end
end
"""

# KEYS thread; ARGV now ttl metadata
CREATE_THREAD = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'created', ARGV[1], 'updated', ARGV[1], 'status', 'idle', 'metadata', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

# KEYS thread run; ARGV prefix id now ttl if_missing strategy started cancelled due agent key key_ttl digest resumes waiting_limit
# consumer, then the run's fields -> 'ok' | 'missing' | 'busy' | 'full' | 'answered' | 'reused' | the id of the run that was created with this key before
CREATE_RUN = (
    PRELUDE
    + """
local prefix, id, now, ttl, if_missing, strategy, started, cancelled, due, agent = unpack(ARGV, 1, 10)
local key, key_ttl, digest, resumes, waiting_limit, consumer = unpack(ARGV, 11, 16)
local thread, run = KEYS[1], KEYS[2]
if redis.call('EXISTS', thread) == 0 then
  if if_missing == 'reject' then return 'missing' end
  redis.call('HSET', thread, 'created', now, 'status', 'idle', 'metadata', '{}')
end
if key ~= '' then
  local first = redis.call('GET', thread .. ':key:' .. key)
  local of_first = first and redis.call('HGET', prefix .. ':r:' .. first, 'digest')
  if of_first then return of_first == digest and first or 'reused' end
end
local active, last = unpack(redis.call('HMGET', thread, 'active', 'last'))
if active and strategy == 'reject' then return 'busy' end
if resumes == '1' and (active and strategy == 'enqueue' or not active and last == 'success') then return 'answered' end
if active and waiting_limit ~= '' and redis.call('LLEN', thread .. ':waiting') >= tonumber(waiting_limit) then return 'full' end
if key ~= '' then redis.call('SET', thread .. ':key:' .. key, id, 'PX', key_ttl) end
redis.call('HSET', run, 'status', 'pending', 'attempt', 0, 'digest', digest, unpack(ARGV, 17))
append(run, started, now)
redis.call('RPUSH', thread .. ':runs', id)
redis.call('HSET', thread, 'updated', now, 'graph', agent)
if due ~= '0' then
  redis.call('ZADD', prefix .. ':delayed', due, id)
  if due - now < 1000 then redis.call('PUBLISH', 'ph:delayed', due) end
else
  admit(prefix, thread, id, strategy, cancelled, now)
end
expire(thread, run, ttl)
if consumer == '' or redis.call('HEXISTS', run, 'entry') == 0 then return 'ok' end
local queue = prefix .. ':queue'
local read = redis.call('XREADGROUP', 'GROUP', 'workers', consumer, 'COUNT', 1, 'STREAMS', queue, '>')
if not read then return 'ok' end
local entry, taken = read[1][2][1][1], read[1][2][1][2][2]
if taken ~= id then return {'other', entry, taken} end
redis.call('HSET', run, 'status', 'running', 'attempt', 1, 'begun', now, 'updated', now)
number(prefix, id)
return {'begun', entry, last or ''}
"""
)

# KEYS runs of a user; ARGV id now limit ttl, then ids of runs that have ended -> 1, or the ids of those that have not
ADMIT = """
local id, now, limit, ttl = unpack(ARGV, 1, 4)
for i = 5, #ARGV do redis.call('ZREM', KEYS[1], ARGV[i]) end
if redis.call('ZCARD', KEYS[1]) >= tonumber(limit) then return redis.call('ZRANGE', KEYS[1], 0, -1) end
redis.call('ZADD', KEYS[1], now, id)
redis.call('PEXPIRE', KEYS[1], ttl)
return 1
"""

# KEYS run; ARGV prefix entry now consumer -> the run's fields, or nothing if it is not to be run, or not by this consumer
BEGIN = (
    PRELUDE
    + """
local prefix, entry, now, consumer = unpack(ARGV)
local run = KEYS[1]
local pending = redis.call('XPENDING', prefix .. ':queue', 'workers', entry, entry, 1)[1]
if not pending or pending[2] ~= consumer then return {} end
local status = redis.call('HGET', run, 'status')
if status ~= 'pending' and status ~= 'running' then
  redis.call('XACK', prefix .. ':queue', 'workers', entry)
  redis.call('XDEL', prefix .. ':queue', entry)
  return {}
end
local attempt = redis.call('HINCRBY', run, 'attempt', 1)
local released = redis.call('HDEL', run, 'released') == 1
if status == 'running' and not released then redis.call('HINCRBY', run, 'crashes', 1) end
redis.call('HSET', run, 'status', 'running', 'updated', now, 'entry', entry)
redis.call('HSETNX', run, 'begun', now)
local id = string.match(run, '[^:]+$')
number(prefix, id)
local fields, of = redis.call('HGETALL', run), {}
for i = 1, #fields, 2 do of[fields[i]] = fields[i + 1] end
local last = redis.call('HGET', prefix .. ':t:' .. of.user .. ':' .. of.thread, 'last')
if last then fields[#fields + 1], fields[#fields + 2] = 'after', last end
if attempt > 1 then
  local event = {e = 'run', run_id = id, thread_id = of.thread, agent_id = of.agent, attempt = attempt}
  redis.call('PUBLISH', 'ph:log:' .. id, append(run, cjson.encode(event), now))
end
return fields
"""
)

# KEYS run; ARGV attempt id now last usage, then payloads -> the last offset, or 0 when the lease is lost. `last` is the offset before:
# where the log is further, an earlier try did it.
APPEND = (
    PRELUDE
    + """
local run, now = KEYS[1], ARGV[3]
local held = redis.call('HMGET', run, 'attempt', 'status', 'offset')
if held[1] ~= ARGV[1] or held[2] ~= 'running' then return 0 end
local offset = tonumber(held[3])
if offset ~= tonumber(ARGV[4]) then return offset end
if ARGV[5] ~= '' then redis.call('HSET', run, 'usage', ARGV[5]) end
for i = 6, #ARGV do offset = append(run, ARGV[i], now) end
redis.call('PUBLISH', 'ph:log:' .. ARGV[2], offset)
return offset
"""
)

# KEYS thread run; ARGV prefix attempt id now ttl payload status thread_status error interrupts doomed outcome usage
# -> the last offset, also where an earlier try did it, or 0 when the lease is lost
FINISH = (
    PRELUDE
    + """
local prefix, attempt, id, now, ttl, payload, status, thread_status, failure, interrupts, doomed, outcome, usage = unpack(ARGV)
local thread, run = KEYS[1], KEYS[2]
local held = redis.call('HMGET', run, 'attempt', 'status', 'user', 'thread', 'end', 'offset')
if held[1] == attempt and held[5] == payload then return tonumber(held[6]) end
if held[1] ~= attempt or held[2] ~= 'running' then return 0 end
if usage ~= '' then redis.call('HSET', run, 'usage', usage) end
local offset = end_run(prefix, id, status, payload, now)
if redis.call('HGET', thread, 'active') == id then
  redis.call('HSET', thread, 'updated', now, 'status', thread_status, 'last', outcome, 'error', failure, 'interrupts', interrupts)
  next_run(prefix, thread)
end
expire(thread, run, ttl)
if doomed ~= '0' then redis.call('ZADD', prefix .. ':doomed', doomed, held[3] .. ' ' .. held[4]) end
return offset
"""
)

# KEYS run; ARGV prefix attempt id now -> 1, or 0 when the lease is lost
RELEASE = (
    PRELUDE
    + """
local prefix, attempt, id = unpack(ARGV)
local run = KEYS[1]
local held = redis.call('HMGET', run, 'attempt', 'status')
if held[1] ~= attempt or held[2] ~= 'running' then return 0 end
leave_queue(prefix, run)
redis.call('HSET', run, 'released', 1, 'entry', redis.call('XADD', prefix .. ':queue', '*', 'run', id))
return 1
"""
)

# KEYS queue; ARGV prefix consumer -> how many runs that this consumer still held went back, to be taken by others at once
HAND_BACK = """
local prefix, consumer = unpack(ARGV)
local held = redis.call('XPENDING', KEYS[1], 'workers', '-', '+', 1000, consumer)
for _, pending in ipairs(held) do
  local entry = redis.call('XRANGE', KEYS[1], pending[1], pending[1])[1]
  redis.call('XACK', KEYS[1], 'workers', pending[1])
  if entry then
    redis.call('XDEL', KEYS[1], pending[1])
    local run = prefix .. ':r:' .. entry[2][2]
    if redis.call('EXISTS', run) == 1 then
      redis.call('HSET', run, 'released', 1, 'entry', redis.call('XADD', KEYS[1], '*', 'run', entry[2][2]))
    end
  end
end
if #held < 1000 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'workers', consumer) end
return #held
"""

# KEYS queue; ARGV prefix consumer, then id attempt entry of each lease -> for each: 'ok' | 'lost' | 'interrupt' | 'rollback'
RENEW = """
local prefix, consumer = ARGV[1], ARGV[2]
local answers = {}
for i = 3, #ARGV, 3 do
  local held = redis.call('HMGET', prefix .. ':r:' .. ARGV[i], 'attempt', 'cancel')
  if held[1] ~= ARGV[i + 1] then
    answers[#answers + 1] = 'lost'
  else
    redis.call('XCLAIM', KEYS[1], 'workers', consumer, 0, ARGV[i + 2], 'IDLE', 0, 'JUSTID')
    answers[#answers + 1] = held[2] or 'ok'
  end
end
return answers
"""

# KEYS thread run; ARGV prefix id now user thread_id action cancelled -> 'missing' | 'ended' | 'stopped' | 'told'
CANCEL = (
    PRELUDE
    + """
local prefix, id, now, user, thread_id, action, cancelled = unpack(ARGV)
local thread, run = KEYS[1], KEYS[2]
local owner = redis.call('HMGET', run, 'user', 'thread')
if owner[1] ~= user or owner[2] ~= thread_id then return 'missing' end
local outcome = stop(prefix, thread, id, action, cancelled, now)
if outcome == 'stopped' and redis.call('HGET', thread, 'active') == id then
  if not next_run(prefix, thread) then redis.call('HSET', thread, 'status', 'idle', 'updated', now) end
end
if outcome == 'ended' then -- it may wait for a human still: then nobody is asked any more
  local of_run, of_thread = redis.call('HGET', run, 'number'), redis.call('HMGET', thread, 'begun', 'status')
  if of_thread[2] == 'interrupted' and of_run == of_thread[1] then
    redis.call('HSET', thread, 'status', 'idle', 'updated', now, 'last', 'cancelled', 'interrupts', '[]')
  end
end
return outcome
"""
)

# KEYS thread run; ARGV prefix id user thread_id -> 'missing' | 'busy' | 'ok'
DELETE_RUN = """
local prefix, id, user, thread_id = unpack(ARGV)
local thread, run = KEYS[1], KEYS[2]
local held = redis.call('HMGET', run, 'user', 'thread', 'status')
if held[1] ~= user or held[2] ~= thread_id then return 'missing' end
if held[3] == 'pending' or held[3] == 'running' then return 'busy' end
redis.call('LREM', thread .. ':runs', 0, id)
redis.call('ZREM', thread .. ':begun', id)
redis.call('DEL', run, run .. ':log')
return 'ok'
"""

# KEYS thread; ARGV prefix -> the ids of its runs, or nothing if there is no such thread
DELETE_THREAD = (
    PRELUDE
    + """
local prefix, thread = ARGV[1], KEYS[1]
if redis.call('EXISTS', thread) == 0 then return false end
local ids = redis.call('LRANGE', thread .. ':runs', 0, -1)
for _, id in ipairs(ids) do
  local run = prefix .. ':r:' .. id
  if redis.call('HGET', run, 'status') == 'running' then redis.call('PUBLISH', 'ph:cancel', 'interrupt ' .. id) end
  leave_queue(prefix, run)
  redis.call('ZREM', prefix .. ':delayed', id)
  redis.call('DEL', run, run .. ':log')
  redis.call('PUBLISH', 'ph:log:' .. id, 0)
end
redis.call('DEL', thread, thread .. ':runs', thread .. ':begun', thread .. ':waiting', thread .. ':calls')
return ids
"""
)

# KEYS delayed; ARGV prefix now cancelled -> when the next run will be due; nothing if none waits. A run without a thread is dropped.
PROMOTE = (
    PRELUDE
    + """
local prefix, now, cancelled = unpack(ARGV)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], 0, now, 'LIMIT', 0, 100)
for _, id in ipairs(due) do
  redis.call('ZREM', KEYS[1], id)
  local run = redis.call('HMGET', prefix .. ':r:' .. id, 'user', 'thread', 'status', 'strategy')
  if run[3] == 'pending' then
    local thread = prefix .. ':t:' .. run[1] .. ':' .. run[2]
    if redis.call('EXISTS', thread) == 1 then admit(prefix, thread, id, run[4], cancelled, now) end
  end
end
return redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
"""
)
