local function map(value)
  if type(value) == "table" then return value end
  return {}
end

local metadata, spec, status = map(obj.metadata), map(obj.spec), map(obj.status)

local function says(name)
  for _, one in pairs(map(status.conditions)) do
    if type(one) == "table" and one.type == name then return one.status end
  end
  return nil
end

local deleted = metadata.deletionTimestamp ~= nil
local finished = status.completionTime ~= nil or says("Finished") == "True"
local over = deleted or finished
local suspended = spec.suspend == true

return {
  suspend = {disabled = over or suspended or spec.shutdown ~= nil, displayName = "Suspend", iconClass = "fa fa-fw fa-pause"},
  resume = {disabled = over or not suspended, displayName = "Resume", iconClass = "fa fa-fw fa-play"},
  stop = {disabled = over or spec.shutdown ~= nil, displayName = "Stop", iconClass = "fa fa-fw fa-stop"},
  terminate = {disabled = over or spec.shutdown == "Terminate", displayName = "Terminate", iconClass = "fa fa-fw fa-times-circle"},
  retry = {disabled = deleted or not finished or says("Succeeded") ~= "False", displayName = "Retry", iconClass = "fa fa-fw fa-redo"},
}
