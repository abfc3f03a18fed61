"""The Lua scripts that change crons (see `stores.keys`). `next` is in Unix milliseconds, or empty: then it will not fire."""

_PLACE = """
local function place(cron, due, member, next, ttl)
  redis.call('HSET', cron, 'next', next)
  redis.call('PEXPIRE', cron, ttl)
  if next == '' then redis.call('ZREM', due, member) else redis.call('ZADD', due, next, member) end
end
"""

# KEYS cron due; ARGV member next ttl version, then the cron's fields -> 1, or 0 if it has another version; 0 is a new cron's
WRITE = (
    _PLACE
    + """
local member, next, ttl, version = unpack(ARGV, 1, 4)
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= version then return 0 end
redis.call('HSET', KEYS[1], 'version', version + 1, unpack(ARGV, 5))
place(KEYS[1], KEYS[2], member, next, ttl)
return 1
"""
)

# KEYS cron due; ARGV member next ttl fired -> 1, or 0 if `fired` is not its next time any more
ADVANCE = (
    _PLACE
    + """
local member, next, ttl, fired = unpack(ARGV)
if redis.call('HGET', KEYS[1], 'next') ~= fired then return 0 end
place(KEYS[1], KEYS[2], member, next, ttl)
return 1
"""
)

# KEYS cron due; ARGV member -> 1, or 0 if there is no such cron
DELETE = """
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])
"""
