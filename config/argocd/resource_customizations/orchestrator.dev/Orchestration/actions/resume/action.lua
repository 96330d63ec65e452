local status = type(obj.status) == "table" and obj.status or {}
if status.completionTime ~= nil then error("the Orchestration has finished", 0) end
obj.spec.suspend = false
return obj
