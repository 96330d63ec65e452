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
return {["create-run"] = {disabled = not possible, displayName = "Create run", iconClass = "fa fa-fw fa-plus"}}
