-- Makes a session for tests/ardour_host.py: a track with the plugin for each name, each on two channels of its own of
-- the master bus, nothing between the plugin and the master's output but unity.
-- ardour7-lua ardour_session.lua FOLDER NAME RATE WAIT TRACKS "BAR TEMPO METER;..."
local folder, name, rate, wait, tracks, tempos = table.unpack(arg)
rate, wait = tonumber(rate), tonumber(wait)
local audio, midi = ARDOUR.DataType("audio"), ARDOUR.DataType("midi")

local backend = AudioEngine:set_backend("None (Dummy)", "", "")
backend:set_driver("Normal Speed")
backend:set_device_name("Silence")
backend:set_sample_rate(rate)
backend:set_buffer_size(1024)
ARDOUR.config():set_output_auto_connect(0) -- a thread would do it, perhaps after what is connected below
local session = assert(create_session(folder, name, rate), "no session")

-- A parameter of the plugin, by its name. Ardour counts inputs only.
local function set(processor, label, value)
  local plugin, input = processor:to_insert():plugin(0), 0
  for number = 0, plugin:parameter_count() - 1 do
    if plugin:parameter_is_control(number) and plugin:parameter_is_input(number) then
      if plugin:parameter_label(number) == label then
        assert(ARDOUR.LuaAPI.set_processor_param(processor, input, value), label)
        return
      end
      input = input + 1
    end
  end
  error("the plugin has no parameter " .. label)
end

local map = Temporal.TempoMap.write_copy()
local quarters, bar, last = 0, 1, 4 -- where the change before lies, and how many quarters its bars have
for at, tempo, beats, unit in tempos:gmatch("(%d+) ([%d.]+) (%d+)/(%d+)") do
  quarters, bar, last = quarters + (at - bar) * last, tonumber(at), beats * 4 / unit
  local place = Temporal.timepos_t.from_ticks(math.floor(quarters * Temporal.ticks_per_beat))
  map:set_meter(Temporal.Meter(tonumber(beats), tonumber(unit)), place)
  map:set_tempo(Temporal.Tempo(tonumber(tempo), tonumber(tempo), 4), place)
end
Temporal.TempoMap.update(map)

local made = {}
for track_name in tracks:gmatch("[^,]+") do
  local track = session:new_midi_track(ARDOUR.ChanCount(midi, 1), ARDOUR.ChanCount(audio, 2), true, ARDOUR.PluginInfo(),
    nil, nil, 1, track_name, ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true):front()
  local plugin = ARDOUR.LuaAPI.new_plugin(session, "urn:resonantgen:plugin", ARDOUR.PluginType.LV2, "")
  assert(not plugin:isnil(), "Ardour does not find the plugin")
  assert(track:add_processor_by_index(plugin, 0, nil, true) == 0)
  made[#made + 1] = track
  set(plugin, "Track", #made)
  set(plugin, "Wait for engine", wait)
end

-- The master bus, with two channels for each track.
local master = session:master_out()
master:set_strict_io(false)
master:panner_shell():set_bypassed(true)
for number, track in ipairs(made) do
  track:panner_shell():set_bypassed(true)
  for side = 0, 1 do
    if number > 1 then
      master:input():add_port("", nil, audio) -- an output follows
    end
    track:output():audio(side):connect(master:input():audio(2 * (number - 1) + side):name())
  end
end
session:save_state("")
close_session()
quit()
