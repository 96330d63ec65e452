-- Makes a run without input. It belongs to the definition, so that it is seen below it and no sync prunes it.
local os = require("os")

-- The beginning of a name. There is no string library: each character is found by comparing.
local CHARACTERS = {
  "-", ".", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l",
  "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z",
}
local function cut(name, most)
  if #name <= most then return name end
  local known, last = "", ""
  while #known < most do
    local before = known
    for _, character in ipairs(CHARACTERS) do
      local longer = before .. character
      if name >= longer and name < longer .. "\127" then
        known = longer
        -- A name ends in a letter or a digit.
        if character ~= "-" and character ~= "." then last = longer end
        break
      end
    end
    if known == before then error("not a name: " .. name, 0) end
  end
  return last
end

local definition = obj.metadata
return {{operation = "create", resource = {
  apiVersion = "orchestrator.dev/v1alpha1",
  kind = "Orchestration",
  metadata = {
    name = cut(definition.name, 200) .. "-" .. os.time(),
    namespace = definition.namespace,
    ownerReferences = {{apiVersion = obj.apiVersion, kind = obj.kind, name = definition.name, uid = definition.uid}},
  },
  spec = {type = definition.name},
}}}
