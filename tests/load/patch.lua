-- PATCH /Users/{id}: one attribute of a user drawn from the whole population, each time to a value never seen before.
local common = dofile(debug.getinfo(1, "S").source:match("^@(.-)[^/]*$") .. "common.lua")
setup, response, done = common.setup, common.response, common.done

local before = '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"displayName","value":"'

function init(arguments)
   common.read_arguments(arguments)
end

function request()
   return common.with_body("PATCH", "/scim/v2/Users/" .. common.any(common.ids), before .. common.next_name() .. '"}]}')
end
