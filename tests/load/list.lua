-- GET /Users?startIndex=&count=100: a page that starts anywhere in the population.
local common = dofile(debug.getinfo(1, "S").source:match("^@(.-)[^/]*$") .. "common.lua")
setup, response, done = common.setup, common.response, common.done

local last

function init(arguments)
   common.read_arguments(arguments)
   last = math.max(1, #common.ids - 99)
end

function request()
   return common.get("/scim/v2/Users?count=100&startIndex=" .. math.random(last))
end
