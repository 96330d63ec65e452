-- Makes a new Orchestration that takes over what has succeeded here. It belongs to the schedule of this one, if there is
-- one, and else to this one, so that it is seen below it and no sync prunes it; to none if this one deletes itself.
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

local old, spec, status = map(obj.metadata), map(obj.spec), map(obj.status)
if status.completionTime == nil then error("the Orchestration has not finished", 0) end
if status.state == "Succeeded" then error("the Orchestration has succeeded", 0) end

local owner
for _, one in pairs(map(old.ownerReferences)) do
  if type(one) == "table" and one.controller == true then owner = flat(one) end
end
if owner == nil and spec.ttlSecondsAfterFinished == nil then
  owner = {apiVersion = obj.apiVersion, kind = obj.kind, name = old.name, uid = old.uid}
end

local new = {
  type = spec.type,
  correlationId = spec.correlationId,
  activeDeadlineSeconds = spec.activeDeadlineSeconds,
  ttlSecondsAfterFinished = spec.ttlSecondsAfterFinished,
  resumeFrom = old.name,
}
if type(spec.input) == "table" and next(spec.input) ~= nil then new.input = copy(spec.input) end

return {{operation = "create", resource = {
  apiVersion = "orchestrator.dev/v1alpha1",
  kind = "Orchestration",
  metadata = {
    name = cut(old.name, 200) .. "-retry-" .. os.time(),
    namespace = old.namespace,
    labels = ours(old.labels),
    annotations = ours(old.annotations),
    ownerReferences = owner and {owner},
  },
  spec = new,
}}}
