-- Reads print.txt, the index of a print: what it gives is a function from the text to a table. Lua 5.3 and 5.4.
--
-- One line for each fact, a word, a space, its values, in this order:
--
--     ResonantGen print 1       the format's version
--     name night                the project's
--     time 1764028800           when it was printed, in seconds since 1970
--     tempo 128.0               in quarters per minute
--     meter 4/4
--     bars 8
--     quarters 32.0             the length of all of it
--     bar 5                     the bar of this project at which the items begin, from 1
--     kind audio                what the items are made of: audio, midi
--     track drums               once for each track, and what follows belongs to it
--     daw_track 3               its number here from 1, if the engine knows it
--     wav drums.wav             its files in the print's folder
--     midi drums.mid
--     note 0.0 0.25 36 110      each note: start and length in quarters, pitch, velocity
--     end                       the last line

local VERSION = 1

local function fail(...)
  error(string.format(...), 0)
end

local function number(text, low, high, whole)
  local value = tonumber(text)
  if not value or value ~= value or value < low or value > high then
    fail("%q is no number from %s to %s", text, low, high)
  end
  if whole then
    value = math.tointeger(value) or fail("%q is no whole number", text)
  end
  return value
end

-- The name of a file in the print's folder, and nowhere else.
local function file_name(text)
  if not text:match("^[%w_-]+%.%w+$") then
    fail("%q is no file of a print", text)
  end
  return text
end

local function note_of(text)
  local values = {}
  for word in text:gmatch("%S+") do
    values[#values + 1] = word
  end
  if #values ~= 4 then
    fail("%q is no note", text)
  end
  return {
    start = number(values[1], 0, 1e4),
    length = number(values[2], 0, 1e4),
    pitch = number(values[3], 0, 127, true),
    velocity = number(values[4], 1, 127, true),
  }
end

local READ = { -- what belongs to the whole
  name = function(text) return text end,
  time = function(text) return number(text, 0, 1e12) end,
  tempo = function(text) return number(text, 1, 1000) end,
  meter = function(text) return text:match("^%d+/%d+$") or fail("%q is no meter", text) end,
  bars = function(text) return number(text, 1, 1000, true) end,
  quarters = function(text) return number(text, 0.25, 1e4) end,
  bar = function(text) return number(text, 1, 1e5, true) end,
  kind = function(text) return (text == "audio" or text == "midi") and text or fail("items of %q", text) end,
}

local READ_TRACK = {
  daw_track = function(text) return number(text, 1, 999, true) end,
  wav = file_name,
  midi = file_name,
}

local function parse(text)
  local print = { tracks = {} }
  local track, ended
  local lines = text:gmatch("[^\r\n]+")
  local version = (lines() or ""):match("^ResonantGen print (%d+)$")
  if not version then
    fail("print.txt is no print")
  elseif tonumber(version) ~= VERSION then
    fail("it is of version %s. Put the newer script here: resonantgen install reaper", version)
  end
  for line in lines do
    local word, value = line:match("^(%S+) ?(.*)$")
    if ended then
      fail("print.txt goes on after its end")
    elseif word == "end" then
      ended = true
    elseif word == "track" then
      track = { role = value, notes = {} }
      print.tracks[#print.tracks + 1] = track
    elseif track and word == "note" then
      track.notes[#track.notes + 1] = note_of(value)
    elseif track and READ_TRACK[word] then
      track[word] = READ_TRACK[word](value)
    elseif not track and READ[word] then
      print[word] = READ[word](value)
    else
      fail("print.txt says %q, which means nothing here", line)
    end
  end
  for word in pairs(READ) do
    if print[word] == nil then
      fail("print.txt does not say its %s", word)
    end
  end
  if not ended or #print.tracks == 0 then
    fail("print.txt is not whole")
  end
  for _, one in ipairs(print.tracks) do
    if one.role == "" or not one.wav then
      fail("print.txt does not say the file of each track")
    end
  end
  return print
end

return parse
