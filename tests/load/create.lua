-- POST /Users: an enterprise user of 1,013 bytes, unique in the run; with password=TEXT each user carries that password.
local common = dofile(debug.getinfo(1, "S").source:match("^@(.-)[^/]*$") .. "common.lua")
setup, response, done = common.setup, common.response, common.done

local pieces = {}

function init(arguments)
   local given = common.read_arguments(arguments)
   local template = common.template
   if given.password then template = '{"password":"' .. given.password .. '",' .. template:sub(2) end
   local filled = template:gsub("@NAME@", string.rep("x", 17))
   local head = common.with_body("POST", "/scim/v2/Users", filled):sub(1, -#filled - 1)
   for piece in (head .. template .. "@NAME@"):gmatch("(.-)@NAME@") do
      pieces[#pieces + 1] = piece
   end
end

function request()
   return table.concat(pieces, common.next_name())
end
