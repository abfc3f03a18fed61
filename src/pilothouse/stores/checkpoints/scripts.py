r"""How a thread's checkpoints lie in Redis, and the Lua scripts that read and change them.

A thread has three keys, all in its own slot and all expiring together:

`…:cp`        hash
    `c NS \0 ID`                  a checkpoint: a `Frame`
    `b NS \0 CHANNEL \0 VERSION`  a channel's value, `TYPE \0 DATA`: written once, shared by all checkpoints that see it
    `n NS \0 ID`                  how many sets of writes the checkpoint has
    `w NS \0 ID \0 K`             the K-th set of writes, from 1: a `WriteSet`
`…:cp:ids`    sorted set of `NS \0 ID`, all of score 0: in the order of their bytes, which is that of their age
`…:cp:lists`  string: the items of long lists, one after the other

A long list grows at its end, so a version of it is stored as where its items lie in `:lists`: the parts of the version
before it, and what was appended. Its blob is `list \0 {HEADER, {OFFSET, LENGTH, OFFSET, LENGTH, …}}`, where HEADER is the
five bytes that make an array of the items. Without that a conversation of n turns would need memory in n².
"""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from hashlib import sha1
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pilothouse.errors import StoreRefused, StoreUnavailable


class WriteSet(msgspec.Struct, array_like=True):
    r"""What a task wrote: `typed` is `TYPE \0 DATA` of `[[INDEX, CHANNEL, VALUE], …]`."""

    task_id: str
    task_path: str
    typed: bytes


class Frame(msgspec.Struct, array_like=True):
    r"""A checkpoint without its values. Stored with `encode_frame`.

    `typed` is what the serializer makes of its other fields and its metadata: `TYPE \0 DATA`.
    """

    parent: str
    run_id: str
    typed: bytes


def encode_frame(parts: Sequence[str], frame: Frame) -> bytes:
    r"""`parts` are the `CHANNEL \0 VERSION` of its values: in JSON, since Redis's Lua knows only an older MessagePack."""
    return b"%b\n%b" % (msgspec.json.encode(parts), msgspec.msgpack.encode(frame))


def decode_frame(encoded: bytes) -> tuple[list[str], Frame]:
    parts, _, frame = encoded.partition(b"\n")
    return _parts.decode(parts), _frame.decode(frame)


def pack(items: Iterable[str | bytes | int]) -> bytes:
    """Many items as one argument: far cheaper than as many, in redis-py."""
    packed: list[bytes] = []
    for item in items:
        data = item if isinstance(item, bytes) else str(item).encode()
        packed += (len(data).to_bytes(4, "big"), data)
    return b"".join(packed)


def thread_keys(thread: str) -> list[str]:
    """The three keys, from the thread's own (`stores.keys.thread`)."""
    return [f"{thread}:cp", f"{thread}:cp:ids", f"{thread}:cp:lists"]


_parts = msgspec.json.Decoder(list[str])
_frame = msgspec.msgpack.Decoder(Frame)

_READERS = r"""
local function parts_of_frame(frame)
  return cjson.decode(string.match(frame, '^[^\n]*'))
end

local function list_of_blob(blob)
  if not blob or string.sub(blob, 1, 5) ~= 'list\0' then return nil end
  local header, extents = unpack(cmsgpack.unpack(string.sub(blob, 6)))
  return header, extents
end

local function read(lists, extents)
  local items = {}
  for k = 1, #extents, 2 do
    items[#items + 1] = redis.call('GETRANGE', lists, extents[k], extents[k] + extents[k + 1] - 1)
  end
  return table.concat(items)
end
"""

# KEYS cp ids lists; ARGV namespace id (or '' for the newest)
# -> nil | {id, frame, {blob or nil, …} in the frame's order, {set of writes, …}}
READ = (
    _READERS
    + r"""
local namespace, id = ARGV[1], ARGV[2]
if id == '' then
  local newest = redis.call('ZREVRANGEBYLEX', KEYS[2], '(' .. namespace .. '\1', '[' .. namespace .. '\0', 'LIMIT', 0, 1)[1]
  if not newest then return false end
  id = string.sub(newest, #namespace + 2)
end
local name = namespace .. '\0' .. id
local frame = redis.call('HGET', KEYS[1], 'c' .. name)
if not frame then return false end
local blobs, writes = {}, {}
for i, part in ipairs(parts_of_frame(frame)) do
  local field = 'b' .. namespace .. '\0' .. part
  local blob = redis.call('HGET', KEYS[1], field)
  local header, extents = list_of_blob(blob)
  if header then blob = 'list\0' .. header .. read(KEYS[3], extents) end
  blobs[i] = blob
end
for k = 1, tonumber(redis.call('HGET', KEYS[1], 'n' .. name) or 0) do
  writes[k] = redis.call('HGET', KEYS[1], 'w' .. name .. '\0' .. k)
end
return {id, frame, blobs, writes}
"""
)

# KEYS cp ids lists [run]; ARGV ttl attempt again items; again is 1 where an earlier try may have been written. The items are how many there are of each of these, then they themselves:
#   checkpoints  NS \0 ID
#   fields       field, value
#   writes       NS \0 ID, set of writes
#   lists        field, field of the version that it goes on from or '', length of that one, header, items after it
# -> 1 written | 0 refused: another attempt owns the run | 2 nothing written: a version to go on from is not there
WRITE = (
    _READERS
    + r"""
local ttl, attempt, again, packed = unpack(ARGV)
local function is_written(name, set)
  for k = 1, tonumber(redis.call('HGET', KEYS[1], 'n' .. name) or 0) do
    if redis.call('HGET', KEYS[1], 'w' .. name .. '\0' .. k) == set then return true end
  end
end
if KEYS[4] then
  local held = redis.call('HMGET', KEYS[4], 'attempt', 'status', 'crashes')
  if held[1] ~= attempt or held[2] ~= 'running' then return 0 end
  if held[3] then redis.call('HDEL', KEYS[4], 'crashes') end -- the run makes progress
end
local items, position = {}, 1
while position <= #packed do items[#items + 1], position = struct.unpack('>I4c0', packed, position) end
local checkpoints = 5
local fields = checkpoints + items[1]
local writes = fields + 2 * items[2]
local lists = writes + 2 * items[3]
local finish = lists + 5 * items[4]
local goes_on_from = {}
for i = lists, finish - 1, 5 do
  local extents, length = {}, 0
  if items[i + 1] ~= '' then
    local header
    header, extents = list_of_blob(redis.call('HGET', KEYS[1], items[i + 1]))
    if not header then return 2 end
    for k = 2, #extents, 2 do length = length + extents[k] end
  end
  if length ~= tonumber(items[i + 2]) then return 2 end
  goes_on_from[i] = extents
end
for i, extents in pairs(goes_on_from) do
  local tail, n = items[i + 4], #extents
  if n > 100 then -- in too many parts: from here on a new one
    tail, extents, n = read(KEYS[3], extents) .. tail, {}, 0
  end
  if #tail > 0 then
    local start = redis.call('APPEND', KEYS[3], tail) - #tail
    if n > 0 and extents[n - 1] + extents[n] == start then
      extents[n] = extents[n] + #tail
    else
      extents[n + 1], extents[n + 2] = start, #tail
    end
  end
  redis.call('HSET', KEYS[1], items[i], 'list\0' .. cmsgpack.pack({items[i + 3], extents}))
end
for i = checkpoints, fields - 1 do redis.call('ZADD', KEYS[2], 0, items[i]) end
for i = fields, writes - 1, 1000 do
  redis.call('HSET', KEYS[1], unpack(items, i, math.min(i + 999, writes - 1)))
end
for i = writes, lists - 1, 2 do
  if not (again == '1' and is_written(items[i], items[i + 1])) then
    local k = redis.call('HINCRBY', KEYS[1], 'n' .. items[i], 1)
    redis.call('HSET', KEYS[1], 'w' .. items[i] .. '\0' .. k, items[i + 1])
  end
end
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ttl) end
return 1
"""
)

# KEYS cp ids lists; ARGV NS \0 ID, … of the checkpoints to drop, with their writes and the blobs that no other one sees
DROP = (
    _READERS
    + r"""
for _, name in ipairs(ARGV) do
  redis.call('ZREM', KEYS[2], name)
  redis.call('HDEL', KEYS[1], 'c' .. name, 'n' .. name)
end
local seen = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local frame = redis.call('HGET', KEYS[1], 'c' .. name)
  local namespace = string.match(name, '^(.*)%z')
  seen[name] = true
  for _, part in ipairs(frame and parts_of_frame(frame) or {}) do seen[namespace .. '\0' .. part] = true end
end
local lists, size = {}, 0
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local kind, name = string.sub(field, 1, 1), string.sub(field, 2)
  if kind == 'w' then name = string.match(name, '^(.*)%z') end
  if not seen[name] then
    redis.call('HDEL', KEYS[1], field)
  elseif kind == 'b' then
    local header, extents = list_of_blob(redis.call('HGET', KEYS[1], field))
    if header then
      lists[#lists + 1] = {field, header, extents}
      for k = 2, #extents, 2 do size = size + extents[k] end
    end
  end
end
if size >= redis.call('STRLEN', KEYS[3]) / 2 then return 1 end
local left, offset = {}, 0
for i, list in ipairs(lists) do
  local field, header, extents = unpack(list)
  left[i] = read(KEYS[3], extents)
  redis.call('HSET', KEYS[1], field, 'list\0' .. cmsgpack.pack({header, {offset, #left[i]}}))
  offset = offset + #left[i]
end
if offset == 0 then
  redis.call('DEL', KEYS[3])
else
  redis.call('SET', KEYS[3], table.concat(left), 'KEEPTTL')
end
return 1
"""
)

_SHA = {text: sha1(text.encode(), usedforsecurity=False).hexdigest() for text in (READ, WRITE, DROP)}


async def run(redis: Redis, script: str, keys: Sequence[str], *args: str | bytes | int) -> Any:
    """One of the scripts above, in one round trip. Raises `StoreUnavailable`."""
    with translated():
        try:
            return await redis.evalsha(_SHA[script], len(keys), *keys, *args)
        except NoScriptError:
            return await redis.eval(script, len(keys), *keys, *args)


@contextmanager
def translated() -> Generator[None]:
    """Redis's errors become ours here."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise StoreUnavailable(
            "Redis can't be reached: check that it runs and that its address is right."
        ) from error
    except RedisError as error:
        raise StoreRefused(f"Redis refused to work on checkpoints: {error}") from error
