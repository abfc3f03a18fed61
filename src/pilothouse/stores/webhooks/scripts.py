"""The Lua scripts of webhooks, in the partition of the run.

:hooks    zset   the runs whose end is to be told, by the time when it is next tried
:hook:ID  hash   the run as it was at its end (written by `end_run` in `stores.runs.scripts`); hook_tries hook_body
"""

# KEYS hooks; ARGV prefix now until limit -> for each one taken its id and its fields
CLAIM = """
local prefix, now, until_, limit = unpack(ARGV)
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], 0, now, 'LIMIT', 0, limit)) do
  local hook = prefix .. ':hook:' .. id
  if redis.call('EXISTS', hook) == 1 then
    redis.call('ZADD', KEYS[1], until_, id)
    redis.call('HINCRBY', hook, 'hook_tries', 1)
    taken[#taken + 1] = {id, redis.call('HGETALL', hook)}
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return taken
"""

# KEYS hook; ARGV tries body
KEEP = """
if redis.call('HGET', KEYS[1], 'hook_tries') == ARGV[1] then redis.call('HSET', KEYS[1], 'hook_body', ARGV[2]) end
"""

# KEYS hook hooks; ARGV id tries due
POSTPONE = """
if redis.call('HGET', KEYS[1], 'hook_tries') == ARGV[2] then redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1]) end
"""

# KEYS hook hooks; ARGV id
SETTLE = """
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
"""
