-- The load of `cargo xtask bench`: requests made once before the start and then sent in turn.
-- Arguments: method, target, file of variants (one a line, its header lines separated by tabs), body or nothing.

local requests = {}
local next_request = 0

function init(arguments)
  local method, target, variants, body = arguments[1], arguments[2], arguments[3], arguments[4]
  if body == "" then body = nil end
  for line in io.lines(variants) do
    local headers = {}
    for name, value in line:gmatch("([^:\t]+): ([^\t]*)") do headers[name] = value end
    requests[#requests + 1] = wrk.format(method, target, headers, body)
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'counted {"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50_microseconds":%f,"p99_microseconds":%f}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
