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

-- Argo CD runs what it does not offer, too: refused for the same reasons.
local function map(value)
  if type(value) == "table" then return value end
  return {}
end

local metadata, spec, status = map(obj.metadata), map(obj.spec), map(obj.status)

local function is_ready()
  if status.observedGeneration ~= metadata.generation then return false end
  for _, one in pairs(map(status.conditions)) do
    if type(one) == "table" and one.type == "Ready" then return one.status == "True" end
  end
  return false
end

-- A run that is made so has no input: one that must have some would fail at once.
local function needs_input()
  local schema = map(map(spec.schema).openAPIV3Schema)
  for _, name in pairs(map(schema.required)) do
    if map(map(schema.properties)[name]).default == nil then return true end
  end
  return false
end

local possible = metadata.deletionTimestamp == nil and spec.active ~= false and is_ready() and not needs_input()
if not possible then error("the OrchestrationDefinition is not Ready, not active, or its runs need an input", 0) end

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
