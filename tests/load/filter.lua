-- GET /Users?filter=userName eq "...": what an identity provider asks before every create; expect= makes sure that one is found.
local common = dofile(debug.getinfo(1, "S").source:match("^@(.-)[^/]*$") .. "common.lua")
setup, response, done = common.setup, common.response, common.done

function init(arguments)
   common.read_arguments(arguments)
end

function request()
   return common.get('/scim/v2/Users?filter=userName%20eq%20%22' .. common.any(common.names):gsub("@", "%%40") .. '%22')
end
