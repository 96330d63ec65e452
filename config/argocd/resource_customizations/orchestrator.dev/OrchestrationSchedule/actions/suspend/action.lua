-- The whole object goes back through Lua, and every difference is written: what it does not hold exactly is refused.
local function exact(value, is_listed)
  if type(value) == "number" and (value >= 9007199254740992 or value <= -9007199254740992) then
    error("it holds a number that an action would change: use kubectl", 0)
  end
  if type(value) ~= "table" then return end
  if is_listed and next(value) == nil then
    error("a list in it holds an empty list or object, which an action would change: use kubectl", 0)
  end
  local holds_members = value[1] ~= nil
  for _, member in pairs(value) do exact(member, holds_members) end
end
exact(obj, false)
if type(obj.spec) ~= "table" then error("it has no spec", 0) end
obj.spec.suspend = true
return obj
