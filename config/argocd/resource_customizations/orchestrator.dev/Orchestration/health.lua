-- Progressing while it runs, with how far it is and what it waits for; Suspended once nothing runs any more because of
-- spec.suspend; Healthy once it has succeeded; Degraded once it has ended otherwise. What is not understood is
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

local function short(value, most)
  local found = text(value)
  if #found > most then return "" end
  return found
end

local FINAL = {Succeeded = true, Skipped = true, Failed = true, Cancelled = true, NotStarted = true}

local function told(id, entry)
  local why = short(entry.reason, 64)
  if entry.state == "Retrying" then
    local when, attempt = short(entry.nextAttemptTime, 40), "the next attempt"
    if type(entry.attempt) == "number" then attempt = "attempt " .. (entry.attempt + 1) end
    if when ~= "" then attempt = attempt .. " after " .. when end
    if why ~= "" then attempt = attempt .. ": " .. why end
    return id .. " (" .. attempt .. ")"
  end
  if why == "" and entry.state ~= "Running" then why = short(entry.state, 64) end
  if why == "" then return id end
  return id .. " (" .. why .. ")"
end

-- The three that matter most, what is in trouble first and by name where they matter equally, and how many there are:
-- one short look at each, because there may be a thousand.
local function waits()
  local type, best, count, last, last_id, failed = type, {}, 0, 5, "", nil
  for id, entry in pairs(map(status.activities)) do
    if type(entry) == "table" and type(id) == "string" then
      local state, reason, place = entry.state, entry.reason, nil
      if FINAL[state] then
        if state == "Failed" and (failed == nil or id < failed) then failed = id end
      elseif state == "Retrying" then
        place = 1
      elseif type(reason) == "string" and reason ~= "" then
        place = 2
      elseif state == "Running" then
        place = 4
      elseif type(state) == "string" and state ~= "Pending" then
        place = 3
      end
      if place then
        count = count + 1
        if place < last or (place == last and id < last_id) then
          local at = #best
          while at > 0 and (place < best[at].place or (place == best[at].place and id < best[at].id)) do at = at - 1 end
          table.insert(best, at + 1, {place = place, id = id, entry = entry})
          best[4] = nil
          if best[3] then last, last_id = best[3].place, best[3].id end
        end
      end
    end
  end
  if failed and #failed > 63 then failed = "one with a long name" end
  if count == 0 then return nil, failed end
  local names = {}
  for at, one in ipairs(best) do
    local id = one.id
    if #id > 63 then id = "one with a long name" end
    names[at] = told(id, one.entry)
  end
  local all = table.concat(names, ", ")
  if count > #best then all = all .. " and " .. (count - #best) .. " more" end
  return all, failed
end

local succeeded, finished = condition("Succeeded"), condition("Finished")
local stalled, reconciling = condition("Stalled"), condition("Reconciling")
if finished.status == "True" then
  if succeeded.status == "False" then
    return {status = "Degraded", message = says(succeeded, "has not succeeded")}
  end
  -- Healthy lets a sync go on: only if everything says so.
  local agrees = stalled.status ~= "True" and reconciling.status ~= "True" and type(status.completionTime) == "string"
  if succeeded.status == "True" and agrees then
    return {status = "Healthy", message = text(succeeded.message)}
  end
end
if stalled.status == "True" then
  return {status = "Degraded", message = says(stalled, "has not succeeded")}
end
if finished.status == "True" then
  return {status = "Progressing", message = "its status contradicts itself"}
end

local accepted = condition("Accepted")
if accepted.status ~= "True" then
  return {status = "Progressing", message = says(accepted, "has not been accepted yet")}
end
local progress = short(status.progress, 32)
if map(obj.spec).suspend == true and reconciling.reason == "Suspended" then
  return {status = "Suspended", message = text(reconciling.message)}
end
-- What holds up the run as a whole.
local why = text(reconciling.reason)
if why ~= "" and why ~= "Progressing" and why ~= "Suspended" then
  return {status = "Progressing", message = says(reconciling, "is under way")}
end
local parts, waiting, failed = {}, waits()
if map(obj.spec).suspend == true then table.insert(parts, "suspending") end
if map(obj.spec).shutdown ~= nil or status.stopTime ~= nil then table.insert(parts, "stopping") end
if progress ~= "" then table.insert(parts, progress) end
if failed then table.insert(parts, failed .. " has failed") end
if waiting then table.insert(parts, "waiting for " .. waiting) end
if #parts == 0 then return {status = "Progressing", message = says(reconciling, "is under way")} end
return {status = "Progressing", message = table.concat(parts, ", ")}
