r"""How the tool calls of a thread lie in Redis, and the Lua scripts that change them.

One hash, `THREAD:calls`, in the thread's own slot. Its fields (STEP, KEY as in `ports.tool_calls.ToolCallRef`):

`run`             the run that claimed last
`c STEP \0 KEY`   a call, as JSON: `name id execution run at state`, and `decision verdict edited` of a human
                  `state`: `asked` not begun, `open` claimed, `done`, `failed`, `unkept` done with no result kept, `free` released
`r STEP \0 KEY`   its result
`q STEP`          the question that the step waits with, as JSON
`a STEP`          `{run, answered_before}` of the last answer
`d CALL`          `STEP \0 KEY` of the model's call id

Every script that writes has KEYS calls run; ARGV attempt ttl …, and answers 0 where the attempt may not write.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import Redis

_FENCE = """
local held = redis.call('HMGET', KEYS[2], 'attempt', 'status')
if held[1] ~= ARGV[1] or held[2] ~= 'running' then return 0 end
local calls, ttl = KEYS[1], ARGV[2]
local function save(field, ...)
  redis.call('HSET', calls, field, ...)
  redis.call('PEXPIRE', calls, ttl)
end
"""

# … run_id fresh first retry now step key name id execution needs_approval
# -> {'asked', question or '', answer or ''} | {'claimed', key, edited or ''} | {'done' | 'failed', key, result}
#  | {'new' | 'unfinished' | 'unkept', key} | {'refused', key, decision}
CLAIM = (
    _FENCE
    + r"""
local run, fresh, first, retry, now, step, key, name, id, execution, needs_approval = unpack(ARGV, 3)
if fresh == '1' and redis.call('HGET', calls, 'run') ~= run then redis.call('DEL', calls) end
save('run', run)
if first == '1' then
  local asked = redis.call('HMGET', calls, 'q' .. step, 'a' .. step)
  if asked[1] or asked[2] then return {'asked', asked[1] or '', asked[2] or ''} end
end
local place = step .. '\0'
local function open(call)
  call.execution, call.run, call.at, call.state, call.decision, call.verdict = execution, run, now, 'open', nil, nil
  save('c' .. place .. key, cjson.encode(call))
  if id ~= '' then save('d' .. id, place .. key) end
  return {'claimed', key, call.edited or ''}
end
local found = redis.call('HGET', calls, 'c' .. place .. key)
if not found and id ~= '' then
  local other = redis.call('HGET', calls, 'd' .. id)
  if other and string.sub(other, 1, #place) == place then
    local known = redis.call('HGET', calls, 'c' .. other)
    if known and cjson.decode(known).execution ~= execution then found, key = known, string.sub(other, #place + 1) end
  end
end
if not found then
  if needs_approval == '1' then return {'new', key} end
  return open({name = name, id = id})
end
local call = cjson.decode(found)
if call.state == 'done' or (call.state == 'failed' and (retry == '0' or call.execution == execution)) then
  return {call.state, key, redis.call('HGET', calls, 'r' .. place .. key) or ''}
end
if call.verdict == 'reject' or call.verdict == 'respond' then return {'refused', key, call.decision} end
if call.verdict == 'edit' then call.edited = call.decision end
if call.verdict or call.state == 'free' or call.state == 'failed' or call.execution == execution and call.state == 'open' then
  return open(call)
end
if call.state == 'asked' then return {'new', key} end
return {call.state == 'unkept' and 'unkept' or 'unfinished', key}
"""
)

# … step key state, and the result if there is one -> 1
END = (
    _FENCE
    + r"""
local step, key, state, result = unpack(ARGV, 3)
local place = step .. '\0' .. key
local call = cjson.decode(redis.call('HGET', calls, 'c' .. place) or '{}')
call.state, call.decision, call.verdict = state, nil, nil
save('c' .. place, cjson.encode(call))
if result then save('r' .. place, result) else redis.call('HDEL', calls, 'r' .. place) end
return 1
"""
)

# … run_id now step key name id execution question -> 1
ASK = (
    _FENCE
    + r"""
local run, now, step, key, name, id, execution, question = unpack(ARGV, 3)
local place = step .. '\0' .. key
if redis.call('HEXISTS', calls, 'c' .. place) == 0 then
  local call = {name = name, id = id, execution = execution, run = run, at = now, state = 'asked'}
  save('c' .. place, cjson.encode(call))
  if id ~= '' then save('d' .. id, place) end
end
save('q' .. step, question)
return 1
"""
)

# … step key verdict decision answer -> 1
DECIDE = (
    _FENCE
    + r"""
local step, key, verdict, decision, answer = unpack(ARGV, 3)
local place = step .. '\0' .. key
local found = redis.call('HGET', calls, 'c' .. place)
if found then
  local call = cjson.decode(found)
  call.verdict, call.decision = verdict, decision
  save('c' .. place, cjson.encode(call))
end
redis.call('HDEL', calls, 'q' .. step)
save('a' .. step, answer)
return 1
"""
)

# KEYS calls; ARGV call ids -> for each {state, result or ''}, or {'unknown', ''}
RESULTS = r"""
local answers = {}
for i, id in ipairs(ARGV) do
  local place = redis.call('HGET', KEYS[1], 'd' .. id)
  local found = place and redis.call('HGET', KEYS[1], 'c' .. place)
  answers[i] = {'unknown', ''}
  if found then answers[i] = {cjson.decode(found).state, redis.call('HGET', KEYS[1], 'r' .. place) or ''} end
end
return answers
"""

# KEYS calls; ARGV ids of runs whose calls are to be forgotten
FORGET = r"""
local gone = {}
for _, id in ipairs(ARGV) do gone[id] = true end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 1) == 'c' and gone[cjson.decode(redis.call('HGET', KEYS[1], field)).run] then
    local place = string.sub(field, 2)
    local step = string.match(place, '^(.-)%z')
    redis.call('HDEL', KEYS[1], field, 'r' .. place, 'q' .. step, 'a' .. step)
  end
end
return 1
"""


async def forget_runs(redis: "Redis", calls: str, run_ids: Sequence[str]) -> None:
    """Forget the calls that these runs claimed last."""
    if run_ids:
        await redis.eval(FORGET, 1, calls, *run_ids)
