-- Degraded when it is not Ready, or when the run that has ended last did not succeed; Healthy otherwise, also while it is
-- suspended and while runs are under way: Suspended would hold up sync waves for as long. A definition that is still to
-- come, or to become Ready, is waited for, unless the last run has failed: a sync may bring both at once. The annotation
-- orchestrator.dev/ignore-last-result: "true" leaves the last result out. The status follows kstatus too.
local function map(value)
  if type(value) == "table" then return value end
  return {}
end

local function text(value)
  if type(value) == "string" then return value end
  return ""
end

local metadata, status = map(obj.metadata), map(obj.status)

local function condition(name)
  for _, one in pairs(map(status.conditions)) do
    if type(one) == "table" and one.type == name then return one end
  end
  return {}
end

-- There is no string library: what begins with "Reason:" lies between that and "Reason;".
local function says(one, default)
  local reason, message = text(one.reason), text(one.message)
  if #message > 4096 then message = "the message is too long for this place, kubectl describe shows it" end
  if message == "" and reason == "" then return default end
  if message == "" then return reason end
  if reason == "" or (message >= reason .. ":" and message < reason .. ";") then return message end
  return reason .. ": " .. message
end

if type(status.observedGeneration) ~= "number" then
  return {status = "Progressing", message = "the orchestrator has not seen it yet"}
end
if status.observedGeneration ~= metadata.generation then
  return {status = "Progressing", message = "the orchestrator has not seen its newest version yet"}
end

local ready, stalled, last = condition("Ready"), condition("Stalled"), map(status.lastResult)
if stalled.status == "True" then
  return {status = "Degraded", message = says(stalled, "takes an edit to become ready")}
end
local ignores = map(metadata.annotations)["orchestrator.dev/ignore-last-result"] == "true"
if status.lastResult ~= nil and last.state ~= "Succeeded" and not ignores then
  local message = text(last.message)
  if message == "" or #message > 4096 then message = "kubectl describe shows more" end
  local name, state = text(last.name), text(last.state)
  if name == "" then name = "of an unknown name" end
  if state == "" then state = "in an unknown state" end
  return {status = "Degraded", message = "the last run, " .. name .. ", is " .. state .. ": " .. message}
end
if ready.status == "False" then
  local heals = ready.reason == "DefinitionNotFound" or ready.reason == "DefinitionNotReady"
  return {status = heals and "Progressing" or "Degraded", message = says(ready, "is not ready")}
end
if ready.status ~= "True" or condition("Reconciling").status == "True" then
  return {status = "Progressing", message = says(ready, "is not ready yet")}
end
return {status = "Healthy", message = text(ready.message)}
