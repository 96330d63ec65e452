-- Makes a run now, as `orchestrator schedule trigger` does: a second click within the same second makes no second one.
local os = require("os")

local function map(value)
  if type(value) == "table" then return value end
  return {}
end

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

-- Lua cannot tell an empty list from an empty object, and holds integers exactly up to 2^53 only: what would become
-- another input is refused.
local function copy(value)
  if type(value) == "number" and (value >= 9007199254740992 or value <= -9007199254740992) then
    error("the input holds a number that an action cannot copy: use kubectl", 0)
  end
  if type(value) ~= "table" then return value end
  if next(value) == nil then error("the input holds an empty list or object, which an action cannot copy: use kubectl", 0) end
  local made = {}
  for key, member in pairs(value) do made[key] = copy(member) end
  return made
end

-- A map of scalars; nothing in the place of an empty one.
local function flat(value)
  local made = {}
  for key, member in pairs(map(value)) do
    if type(member) ~= "table" then made[key] = member end
  end
  if next(made) == nil then return nil end
  return made
end

-- What the tools of deployment write on their own objects: a run that carried it would be taken for one of theirs.
local PREFIXES = {
  "argocd.argoproj.io", "link.argocd.argoproj.io", "argocd-image-updater.argoproj.io", "notifications.argoproj.io",
  "notified.notifications.argoproj.io", "helm.sh", "meta.helm.sh", "kubectl.kubernetes.io", "reconcile.fluxcd.io",
  "event.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io", "image.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io",
  "notification.toolkit.fluxcd.io", "source.toolkit.fluxcd.io", "config.kubernetes.io", "alpha.config.kubernetes.io", "internal.config.kubernetes.io",
}
local function ours(value)
  local made = {}
  for key, member in pairs(map(value)) do
    local foreign = key == "app.kubernetes.io/instance"
    -- What begins with "prefix/" lies between that and "prefix0".
    for _, prefix in ipairs(PREFIXES) do
      if key >= prefix .. "/" and key < prefix .. "0" then foreign = true end
    end
    if not foreign then made[key] = member end
  end
  return flat(made)
end

local schedule, template = map(obj.metadata), map(map(obj.spec).orchestrationTemplate)
-- Argo CD runs what it does not offer, too. Refused for the reasons for which the command refuses.
for _, one in pairs(map(map(obj.status).conditions)) do
  local is_ready = type(one) == "table" and one.type == "Ready"
  local is_seen = map(obj.status).observedGeneration == schedule.generation
  if is_ready and is_seen and one.status == "False" and one.reason ~= "RunRefused" and one.reason ~= "ClockBehind" then
    error("the schedule is not Ready, kubectl describe says why", 0)
  end
end
local labels = ours(map(template.metadata).labels) or {}
labels["orchestrator.dev/schedule"] = cut(schedule.name, 63)
-- Without a second argument: with one, it would be local time.
labels["orchestrator.dev/scheduled-time"] = os.date("!%Y%m%dT%H%M%SZ")
local spec = flat(template.spec) or {}
local input = map(template.spec).input
if type(input) == "table" and next(input) ~= nil then spec.input = copy(input) end

return {{operation = "create", resource = {
  apiVersion = "orchestrator.dev/v1alpha1",
  kind = "Orchestration",
  metadata = {
    name = cut(schedule.name, 200) .. "-manual-" .. os.time(),
    namespace = schedule.namespace,
    labels = labels,
    annotations = ours(map(template.metadata).annotations),
    ownerReferences = {{
      apiVersion = "orchestrator.dev/v1alpha1",
      kind = "OrchestrationSchedule",
      name = schedule.name,
      uid = schedule.uid,
      controller = true,
    }},
  },
  spec = spec,
}}}
