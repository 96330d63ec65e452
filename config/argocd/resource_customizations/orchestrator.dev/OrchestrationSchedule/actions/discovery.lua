local function map(value)
  if type(value) == "table" then return value end
  return {}
end

local metadata, spec, status = map(obj.metadata), map(obj.spec), map(obj.status)

-- A run by hand is refused for the reasons for which `orchestrator schedule trigger` refuses one.
local function is_unready()
  if status.observedGeneration ~= metadata.generation then return false end
  for _, one in pairs(map(status.conditions)) do
    if type(one) == "table" and one.type == "Ready" then
      return one.status == "False" and one.reason ~= "RunRefused" and one.reason ~= "ClockBehind"
    end
  end
  return false
end

local deleted = metadata.deletionTimestamp ~= nil
local suspended = spec.suspend == true

return {
  ["run-now"] = {disabled = deleted or is_unready(), displayName = "Run now", iconClass = "fa fa-fw fa-bolt"},
  suspend = {disabled = deleted or suspended, displayName = "Suspend", iconClass = "fa fa-fw fa-pause"},
  resume = {disabled = deleted or not suspended, displayName = "Resume", iconClass = "fa fa-fw fa-play"},
}
