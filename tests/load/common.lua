-- Shared by every script of the bench: arguments, the population's names, counting of answers, the closing JSON line.
-- Arguments come after wrk's `--` as key=value: seed, tag, token (a file), template (a file), population (a file),
-- expect (a text that each body must hold), gap_ms.

local common = { ids = {}, names = {} }

-- Globals of this thread's state, read by done() through thread:get().
issued = 0
answered_well = 0
answered_otherwise = 0
example = ""

local threads = {}

local function whole(path)
   local file = assert(io.open(path, "rb"))
   local text = file:read("*a")
   file:close()
   return text
end

local function read_population(path)
   for line in io.lines(path) do
      local id, name = line:match("^(%S+) (%S+)$")
      common.ids[#common.ids + 1] = id
      common.names[#common.names + 1] = name
   end
   assert(#common.ids > 0, "the population's file is empty")
end

function common.setup(thread)
   thread:set("number", #threads)
   threads[#threads + 1] = thread
end

function common.read_arguments(arguments)
   local given = {}
   for _, argument in ipairs(arguments) do
      local key, value = argument:match("^(%w+)=(.*)$")
      if key then given[key] = value end
   end
   common.tag = given.tag
   -- The thread's number keeps two threads of one run from drawing the same users.
   math.randomseed(tonumber(given.seed) * 100 + number)
   common.headers = "\r\nHost: localhost\r\nAuthorization: Bearer " .. whole(given.token):match("%S+")
      .. "\r\nAccept: application/scim+json\r\n"
   if given.template then common.template = whole(given.template):match("^%s*(.-)%s*$") end
   if given.population then read_population(given.population) end
   expect = given.expect
   return given
end

-- Tag (6), thread (2) and number (9) in 17 characters: unique in the run, so that every body has the same length.
function common.next_name()
   issued = issued + 1
   return string.format("%s%02d%09d", common.tag, number, issued)
end

function common.any(list)
   return list[math.random(#list)]
end

function common.get(target)
   issued = issued + 1
   return "GET " .. target .. " HTTP/1.1" .. common.headers .. "\r\n"
end

function common.with_body(method, target, body)
   return method .. " " .. target .. " HTTP/1.1" .. common.headers .. "Content-Type: application/scim+json\r\nContent-Length: "
      .. #body .. "\r\n\r\n" .. body
end

-- wrk itself counts only answers over 399 as errors; the promise is "anything but 2xx".
function common.response(status, headers, body)
   if status >= 200 and status < 300 and (not expect or body:find(expect, 1, true)) then
      answered_well = answered_well + 1
   else
      answered_otherwise = answered_otherwise + 1
      if example == "" then example = status .. " " .. body:sub(1, 300):gsub("[%c\"\\]", " ") end
   end
end

function common.done(summary, latency, requests)
   local issued, well, otherwise, example = 0, 0, 0, ""
   for _, thread in ipairs(threads) do
      issued = issued + thread:get("issued")
      well = well + thread:get("answered_well")
      otherwise = otherwise + thread:get("answered_otherwise")
      if example == "" then example = thread:get("example") end
   end
   local errors = summary.errors
   io.write(string.format(
      '\nBENCH {"requests":%d,"duration_us":%d,"bytes":%d,"issued":%d,"answered_well":%d,"answered_otherwise":%d,"example":"%s",'
      .. '"connect_errors":%d,"read_errors":%d,"write_errors":%d,"status_errors":%d,"timeouts":%d,'
      .. '"mean_us":%.1f,"max_us":%d,"p50_us":%d,"p75_us":%d,"p90_us":%d,"p99_us":%d,"p999_us":%d}\n',
      summary.requests, summary.duration, summary.bytes, issued, well, otherwise, example,
      errors.connect, errors.read, errors.write, errors.status, errors.timeout,
      latency.mean, latency.max, latency:percentile(50), latency:percentile(75), latency:percentile(90),
      latency:percentile(99), latency:percentile(99.9)))
end

return common
