-- GET /Users/{id} of a user drawn from the whole population.
local common = dofile(debug.getinfo(1, "S").source:match("^@(.-)[^/]*$") .. "common.lua")
setup, response, done = common.setup, common.response, common.done

function init(arguments)
   common.read_arguments(arguments)
end

function request()
   return common.get("/scim/v2/Users/" .. common.any(common.ids))
end
