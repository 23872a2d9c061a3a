-- Health of a NodeApp for Argo CD: `resource.customizations.health.nodeapp.dev_NodeApp`
-- in the ConfigMap argocd-cm. See docs/gitops.md.
local health = { status = "Progressing", message = "the operator has not looked at it yet" }
if obj.status == nil or obj.status.conditions == nil then
  return health
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local function is(type, status)
  return conditions[type] ~= nil and conditions[type].status == status
end
local function says(status, type)
  return { status = status, message = conditions[type].message }
end

if conditions.Progressing ~= nil and conditions.Progressing.reason == "Paused" then
  return says("Suspended", "Progressing")
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end
if is("Valid", "False") then
  return says("Degraded", "Valid")
end
if is("Degraded", "True") then
  return says("Degraded", "Degraded")
end
if conditions.Ready ~= nil and (conditions.Ready.reason == "RolloutPaused"
    or conditions.Ready.reason == "RolledBackByHand") then
  return says("Suspended", "Ready")
end
if is("Ready", "True") then
  if conditions.Ready.reason == "Stopped" then
    return says("Suspended", "Ready")
  end
  return says("Healthy", "Ready")
end
if conditions.Ready ~= nil then
  return says("Progressing", "Ready")
end
return health
