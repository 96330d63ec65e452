local status = type(obj.status) == "table" and obj.status or {}
if status.completionTime ~= nil then error("the Orchestration has finished", 0) end
-- It cannot be taken back, nor can Terminate become Stop.
if obj.spec.shutdown == nil then obj.spec.shutdown = "Stop" end
return obj
