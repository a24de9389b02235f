-- Made by `resonantgen surfaces`. Asks the engine to tell what changes, and shows what TouchOSC's own messages cannot:
-- numbers with units, the second argument of a message, levels, lights that flash.

local ASK_MS, ASK_AGAIN_MS, LOST_MS, FLASH_MS = 3000, 30000, 9000, 120
local askedAt, heardAt = nil, nil
local litUntil, found = {}, {}

local function control(name)
  if found[name] == nil then
    found[name] = self:findByName(name, true) or false
  end
  return found[name]
end

local function light(name, on)
  local lamp = control(name)
  if lamp and (lamp.values.x == 1) ~= on then
    lamp.values.x = on and 1 or 0
  end
end

local function ask(now)
  askedAt = now
  sendOSC('/rg/subscribe', 1, PORT)
end

local function written(template, arguments)
  return (template:gsub('{(%d)}', function(number)
    local argument = arguments[tonumber(number)]
    local value = argument and argument.value
    if type(value) == 'number' then
      return (string.format('%.1f', value):gsub('%.0$', ''))
    end
    return value == nil and '' or tostring(value)
  end))
end

function init()
  ask(getMillis())
end

function update()
  local now = getMillis()
  local connected = heardAt ~= nil and now - heardAt < ASK_AGAIN_MS + LOST_MS
  if now - askedAt > (connected and ASK_AGAIN_MS or ASK_MS) then
    ask(now)
  end
  light('connected', connected)
  for name, time in pairs(litUntil) do
    if now > time then
      light(name, false)
      litUntil[name] = nil
    end
  end
end

function onReceiveOSC(message)
  local address, arguments = message[1], message[2]
  heardAt = getMillis()
  for _, text in ipairs(TEXTS[address] or {}) do
    local shown = control(text.name)
    if shown then
      shown.values.text = written(text.template, arguments)
    end
  end
  local meter = METERS[address]
  if meter and control(meter.name) and arguments[1] then
    local level = (arguments[1].value - meter.low) / (meter.high - meter.low)
    control(meter.name).values.x = math.max(0, math.min(1, level))
  end
  if FLASHES[address] then
    light(FLASHES[address], true)
    litUntil[FLASHES[address]] = heardAt + FLASH_MS
  end
  return false
end
