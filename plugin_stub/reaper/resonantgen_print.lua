-- ResonantGen: puts what `resonantgen print` has written into the project, as items at its bar lines.
--
-- Run it once (Actions, Show action list, Load ReaScript): it watches the folder of prints until REAPER is closed.
-- It needs no extension. Lua 5.3 (REAPER 6) and 5.4 (REAPER 7).
--
-- The folder is ~/ResonantGen/prints, or what the environment's RESONANTGEN_PRINTS says. Each print is a folder in it
-- with an index print.txt, which resonantgen_index.lua (beside this file) describes and reads.
--
-- What it keeps to:
--   * A print is put in once: its print.txt is renamed to print.done first. One that is older than ten minutes when it
--     is first seen is left alone: it was for another day, or for Live.
--   * It goes to the track with the number that the engine knows, else to the one with the role's name, else to a new
--     track of that name; never to one with our plugin, which would sound on top, and takes notes for wishes.
--   * Armed tracks are never touched. Of other tracks only its own items are replaced, where the new one will be; they
--     carry a mark. Locked items stay.
--   * One print is one step of undo. Audio is copied into the project's media folder first.
--   * An item is as many bars long as the print, and loops when it is dragged out. If the project has another tempo
--     there, its audio is stretched with its pitch kept, since a loop that leaves the bar lines is of no use; a line in
--     the console says so.
--   * Errors are a line in the console; it goes on watching.

local POLL_SECONDS = 1.0
local FRESH_SECONDS = 600
local EPSILON = 1e-4 -- seconds: items that only touch do not overlap
local SAME_LENGTH = 1e-3 -- seconds by which a recording may be off without being stretched: rounding
local COPY_BYTES = 1 << 20
local PROJECT = 0 -- the one in front
local MARK = "P_EXT:resonantgen"
local DRUM_CHANNEL = 9 -- from 0
local PLUGIN = "ResonantGen"

local parse = dofile(debug.getinfo(1, "S").source:match("^@(.*[/\\])") .. "resonantgen_index.lua")

local seen = {} -- names of folders that were looked at
local next_look = 0
local last_said

local function say(line)
  if line ~= last_said then -- the same trouble each second is told once
    reaper.ShowConsoleMsg("ResonantGen: " .. line .. "\n")
  end
  last_said = line
end

local function fail(...)
  error(string.format(...), 0)
end

local function prints_folder()
  local given = os.getenv("RESONANTGEN_PRINTS")
  if given and given ~= "" then
    return given
  end
  local windows = package.config:sub(1, 1) == "\\"
  return (os.getenv(windows and "USERPROFILE" or "HOME") or "") .. "/ResonantGen/prints"
end

-- -- files -------------------------------------------------------------------------------------------------------

local function exists(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

local function copy(from, to)
  local source = io.open(from, "rb") or fail("%s cannot be read", from)
  local target = io.open(to, "wb")
  local fine = target ~= nil
  while fine do
    local block = source:read(COPY_BYTES)
    if not block then
      break
    end
    fine = target:write(block) ~= nil
  end
  source:close()
  if target then
    fine = target:close() and fine
  end
  if not fine then
    os.remove(to)
    fail("%s cannot be written. Is there room, and may REAPER write there?", to)
  end
end

-- Copies a print's file into the project's media folder under a name that is free there. Gives its path.
local function bring(folder, name, file)
  local media = reaper.GetProjectPathEx(PROJECT)
  reaper.RecursiveCreateDirectory(media, 0)
  local stem, ending = file:match("^(.*)(%.%w+)$")
  local path = media .. "/" .. name .. "-" .. stem .. ending
  local count = 1
  while exists(path) do
    count = count + 1
    path = media .. "/" .. name .. "-" .. stem .. "-" .. count .. ending
  end
  copy(folder .. "/" .. file, path)
  return path
end

-- -- tracks ------------------------------------------------------------------------------------------------------

local function name_of(track)
  local _, name = reaper.GetSetMediaTrackInfo_String(track, "P_NAME", "", false)
  return (name or ""):lower():match("^%s*(.-)%s*$")
end

local function is_armed(track)
  return reaper.GetMediaTrackInfo_Value(track, "I_RECARM") ~= 0
end

-- Sets the REAPER track of each of the print's, where there is one; no two get the same.
local function find_tracks(print)
  local taken = {}
  local function is_free(track)
    return not taken[track] and reaper.TrackFX_AddByName(track, PLUGIN, false, 0) < 0 -- only asks
  end
  for _, one in ipairs(print.tracks) do
    local track = one.daw_track and reaper.GetTrack(PROJECT, one.daw_track - 1)
    if track and is_free(track) then
      one.track, taken[track] = track, true
    end
  end
  for _, one in ipairs(print.tracks) do
    local index = 0
    while not one.track and index < reaper.CountTracks(PROJECT) do
      local track = reaper.GetTrack(PROJECT, index)
      if name_of(track) == one.role:lower() and is_free(track) then
        one.track, taken[track] = track, true
      end
      index = index + 1
    end
  end
end

local function new_track(name)
  local index = reaper.CountTracks(PROJECT)
  reaper.InsertTrackAtIndex(index, true)
  local track = reaper.GetTrack(PROJECT, index)
  reaper.GetSetMediaTrackInfo_String(track, "P_NAME", name, true)
  return track
end

-- -- items -------------------------------------------------------------------------------------------------------

local function mark(item, role)
  reaper.GetSetMediaItemInfo_String(item, MARK, role, true)
end

local function is_ours(item)
  local known, text = reaper.GetSetMediaItemInfo_String(item, MARK, "", false)
  return known and text ~= "" and reaper.GetMediaItemInfo_Value(item, "C_LOCK") == 0
end

-- Takes our own items away between two times; what reaches beyond them stays.
local function clear(track, start, finish, role)
  local ours = {}
  for index = 0, reaper.CountTrackMediaItems(track) - 1 do
    local item = reaper.GetTrackMediaItem(track, index)
    if is_ours(item) then
      ours[#ours + 1] = item
    end
  end
  for _, item in ipairs(ours) do
    local from = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
    local to = from + reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
    if from < finish - EPSILON and to > start + EPSILON then
      if to > finish + EPSILON then
        mark(reaper.SplitMediaItem(item, finish), role)
      end
      if from < start - EPSILON then
        item = reaper.SplitMediaItem(item, start)
      end
      reaper.DeleteTrackMediaItem(track, item)
    end
  end
end

-- Gives whether the recording had to be stretched.
local function add_audio(one, start, finish)
  local item = reaper.AddMediaItemToTrack(one.track)
  local take = reaper.AddTakeToMediaItem(item)
  reaper.SetMediaItemTake_Source(take, one.source)
  reaper.SetMediaItemInfo_Value(item, "D_POSITION", start)
  reaper.SetMediaItemInfo_Value(item, "D_LENGTH", finish - start)
  local stretched = math.abs(one.seconds - (finish - start)) > SAME_LENGTH
  if stretched then
    reaper.SetMediaItemTakeInfo_Value(take, "D_PLAYRATE", one.seconds / (finish - start))
    reaper.SetMediaItemTakeInfo_Value(take, "B_PPITCH", 1)
  end
  return item, take, stretched
end

local function add_midi(one, start, finish, start_quarters)
  local item = reaper.CreateNewMIDIItemInProj(one.track, start, finish, false)
  local take = reaper.GetActiveTake(item)
  local channel = one.role == "drums" and DRUM_CHANNEL or 0
  local function tick(quarters)
    local time = reaper.TimeMap_QNToTime_abs(PROJECT, start_quarters + quarters)
    return math.floor(reaper.MIDI_GetPPQPosFromProjTime(take, time) + 0.5)
  end
  for _, note in ipairs(one.notes) do
    local from, to = tick(note.start), tick(note.start + note.length)
    reaper.MIDI_InsertNote(take, false, false, from, to, channel, note.pitch, note.velocity, true)
  end
  reaper.MIDI_Sort(take)
  return item, take, false
end

local function build_peaks(source)
  if reaper.PCM_Source_BuildPeaks(source, 0) ~= 0 then
    for _ = 1, 10000 do
      if reaper.PCM_Source_BuildPeaks(source, 1) == 0 then
        break
      end
    end
    reaper.PCM_Source_BuildPeaks(source, 2)
  end
end

local function add_item(print, one, name, place)
  one.track = one.track or new_track(one.role)
  clear(one.track, place.start, place.finish, one.role)
  local add = print.kind == "midi" and add_midi or add_audio
  local item, take, stretched = add(one, place.start, place.finish, place.start_quarters)
  reaper.SetMediaItemInfo_Value(item, "B_LOOPSRC", 1)
  reaper.SetMediaItemInfo_Value(item, "C_BEATATTACHMODE", 1) -- it keeps its bars when the tempo changes
  reaper.SetMediaItemInfo_Value(item, "D_FADEINLEN", 0) -- the loop's end fits its beginning
  reaper.SetMediaItemInfo_Value(item, "D_FADEOUTLEN", 0)
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", name .. " " .. one.role, true)
  mark(item, one.role)
  reaper.UpdateItemInProject(item)
  return stretched
end

-- -- a print -----------------------------------------------------------------------------------------------------

-- Copies and opens what is needed, before the project is changed. Gives the tracks to do, and the names of armed ones.
local function prepare(print, folder, name)
  find_tracks(print)
  local wanted, armed, copied = {}, {}, {}
  local fine, why = pcall(function()
    for _, one in ipairs(print.tracks) do
      if one.track and is_armed(one.track) then
        armed[#armed + 1] = one.role
      else
        if print.kind == "audio" then
          local path = bring(folder, name, one.wav)
          copied[#copied + 1] = path
          one.source = reaper.PCM_Source_CreateFromFile(path) or fail("%s cannot be opened", path)
          one.seconds = reaper.GetMediaSourceLength(one.source)
          if one.seconds <= 0 then
            fail("%s holds no sound", path)
          end
        end
        wanted[#wanted + 1] = one
      end
    end
  end)
  if not fine then
    for _, one in ipairs(print.tracks) do
      if one.source then
        reaper.PCM_Source_Destroy(one.source)
      end
    end
    for _, path in ipairs(copied) do
      os.remove(path)
    end
    error(why, 0)
  end
  return wanted, armed
end

local function place_of(print)
  local start = reaper.TimeMap2_beatsToTime(PROJECT, 0, print.bar - 1)
  local start_quarters = reaper.TimeMap_timeToQN_abs(PROJECT, start)
  local finish = reaper.TimeMap_QNToTime_abs(PROJECT, start_quarters + print.quarters)
  return { start = start, finish = finish, start_quarters = start_quarters }
end

local function put_in(print, folder, name)
  local wanted, armed = prepare(print, folder, name)
  local left = #armed > 0 and string.format(" (armed, left alone: %s)", table.concat(armed, ", ")) or ""
  if #wanted == 0 then
    say(name .. ": nothing was put in" .. left)
    return
  end
  local place = place_of(print)
  local stretched = false
  reaper.Undo_BeginBlock2(PROJECT)
  reaper.PreventUIRefresh(1)
  local fine, why = pcall(function()
    for _, one in ipairs(wanted) do
      stretched = add_item(print, one, name, place) or stretched
    end
  end)
  reaper.PreventUIRefresh(-1)
  reaper.TrackList_AdjustWindows(false)
  reaper.UpdateArrange()
  reaper.Undo_EndBlock2(PROJECT, string.format("ResonantGen: %s at bar %d%s", name, print.bar, left), -1)
  if not fine then
    fail("only a part of it was put in, which undo takes back (%s)", why)
  end
  for _, one in ipairs(wanted) do
    if one.source then
      build_peaks(one.source)
    end
  end
  local numerator, denominator = reaper.TimeMap_GetTimeSigAtTime(PROJECT, place.start)
  local meter = string.format("%d/%d", numerator, denominator)
  if meter ~= print.meter then
    say(string.format("%s is in %s, and the project in %s there: their bars differ", name, print.meter, meter))
  end
  if stretched then
    say(string.format("%s was printed at %.6g bpm and is stretched to the project's tempo. ", name, print.tempo)
      .. "For the sound as it was made: give the engine this tempo, and print again")
  end
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read("a")
  file:close()
  return text
end

-- Puts a print in that was not seen before.
local function take(folder, name)
  local text = read(folder .. "/print.txt")
  if not text then
    return
  end
  local marked, why = os.rename(folder .. "/print.txt", folder .. "/print.done")
  if not marked then
    fail("it cannot be marked as done (%s), so it was left", why)
  end
  put_in(parse(text), folder, name)
end

-- When a folder's print was made, and 0 for what is none or too old to be meant.
local function made_at(folder)
  local text = read(folder .. "/print.txt")
  local time = text and tonumber(text:match("\ntime (%d+)"))
  if text and not time then
    return os.time() -- it is not whole: to be told
  end
  return time and os.time() - time <= FRESH_SECONDS and time or 0
end

local function new_prints(parent)
  reaper.EnumerateSubdirectories(parent, -1) -- read it anew
  local here, found = {}, {}
  local index = 0
  local name = reaper.EnumerateSubdirectories(parent, index)
  while name and name ~= "" do
    if not seen[name] and name:sub(1, 1) ~= "." then
      local made = made_at(parent .. "/" .. name)
      if made > 0 then
        found[#found + 1] = { name = name, made = made, count = tonumber(name:match("%d+$")) or 0 }
      end
    end
    here[name] = true
    index = index + 1
    name = reaper.EnumerateSubdirectories(parent, index)
  end
  seen = here
  table.sort(found, function(a, b)
    if a.made ~= b.made then
      return a.made < b.made
    end
    return a.count < b.count
  end)
  return found
end

local function look()
  local parent = prints_folder()
  for _, one in ipairs(new_prints(parent)) do
    local fine, why = pcall(take, parent .. "/" .. one.name, one.name)
    if not fine then
      say(one.name .. ": " .. tostring(why))
    end
  end
end

local function watch()
  local now = reaper.time_precise()
  if now >= next_look then
    next_look = now + POLL_SECONDS
    local fine, why = pcall(look)
    if not fine then
      say(tostring(why))
    end
  end
  reaper.defer(watch)
end

watch()
