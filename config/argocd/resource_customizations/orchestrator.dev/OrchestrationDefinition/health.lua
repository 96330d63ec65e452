-- Healthy once Ready. What only an edit can heal is Degraded; everything else, also what is not understood, is
-- Progressing. The status follows kstatus too.
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

local ready, stalled = condition("Ready"), condition("Stalled")
if stalled.status == "True" then
  return {status = "Degraded", message = says(stalled, "takes an edit to become ready")}
end
if ready.status == "True" and condition("Reconciling").status ~= "True" then
  return {status = "Healthy", message = text(ready.message)}
end
return {status = "Progressing", message = says(ready, "is not ready yet")}
