"""What `resonantgen install` puts into DAWs, and where each system and each DAW keeps such things.

What is put there lies in plugin_stub: inside an installed package, and beside `bridge/` in a checkout. The plugin is
compiled, so a checkout has it after `make plugin` only.
"""

from __future__ import annotations

import os
import platform
import xml.etree.ElementTree as ET
from enum import StrEnum
from pathlib import Path

from resonantgen.errors import StorageError
from resonantgen_bridge.installing import Item

NAME = "ResonantGen"
_LIVE_MARKER = "Ableton Folder Info"  # a folder that Live makes in its libraries
_LARGEST_SETTINGS = 1 << 22  # bytes of a Library.cfg
_BUNDLES = (".vst3", ".clap", ".lv2")


class Target(StrEnum):
    """What can be installed."""

    ABLETON = "ableton"
    REAPER = "reaper"
    PLUGIN = "plugin"


NEXT_STEPS = {
    Target.ABLETON: (
        "In Live: Settings, Link, Tempo & MIDI, choose ResonantGen as Control Surface. If it is not in the list, start "
        "Live again."
    ),
    Target.REAPER: (
        'In REAPER: Preferences, Control/OSC/web, Add, OSC, pattern config "ResonantGen". Then Actions, Show action '
        "list, New action, Load ReaScript: resonantgen_print.lua in Scripts/ResonantGen."
    ),
    Target.PLUGIN: "Let your DAW scan its plugins again. In Live: Settings, Plug-Ins, Rescan.",
}


def stub_folder(name: str) -> Path:
    """A folder of plugin_stub. Raises StorageError."""
    package = Path(__file__).parent
    for folder in (package / "plugin_stub" / name, package.parent.parent / "plugin_stub" / name):
        if folder.is_dir():
            return folder
    if name.startswith(Target.PLUGIN):
        raise StorageError(
            "The plugin is not built. Build it in a checkout of ResonantGen: make plugin (it needs g++ and dpf-source)."
        )
    raise StorageError(f"This installation of ResonantGen lacks its files for {name}. Install ResonantGen again.")


def items_of(target: Target, to: Path | None = None) -> list[Item]:
    """What to put where; `to` says where instead of looking for the place. Raises StorageError."""
    if target is Target.ABLETON:
        return [Item.of(stub_folder("ableton") / NAME, (to or remote_scripts_folder()) / NAME)]
    if target is Target.REAPER:
        source, resources = stub_folder("reaper"), to or reaper_folder()
        patterns = sorted(source.glob("*.ReaperOSC"))
        scripts = tuple((path.name, path) for path in sorted(source.glob("*.lua")))
        return [
            *(Item.of(path, resources / "OSC" / path.name) for path in patterns),
            Item(resources / "Scripts" / NAME, scripts),
        ]
    built = stub_folder("plugin/bin")
    if platform.system() == "Windows" and (built / "windows").is_dir():
        built = built / "windows"  # made by make plugin-windows
    bundles = [built / f"{NAME}{suffix}" for suffix in _BUNDLES if (built / f"{NAME}{suffix}").exists()]
    if not bundles:
        raise StorageError(f"The plugin is not built: there is none in {built}. Build it: make plugin")
    return [Item.of(bundle, (to or plugin_folder(bundle.suffix)) / bundle.name) for bundle in bundles]


def places_of(target: Target, to: Path | None = None) -> list[Path]:
    """Where `items_of` puts things, whether or not there is anything to put there. Raises StorageError."""
    if target is Target.PLUGIN:
        return [(to or plugin_folder(suffix)) / f"{NAME}{suffix}" for suffix in _BUNDLES]
    if target is Target.ABLETON:
        return [(to or remote_scripts_folder()) / NAME]
    resources = to or reaper_folder()
    return [resources / "OSC" / f"{NAME}.ReaperOSC", resources / "Scripts" / NAME]


# -- Live -------------------------------------------------------------------------------------------------------------


def remote_scripts_folder() -> Path:
    """In Live's User Library, wherever the user has it. Raises StorageError."""
    library = _chosen_library() or _usual_library()
    if library is None:
        raise StorageError(
            'Live does not run on this system. Say which folder is meant: --to "…/User Library/Remote Scripts"'
        )
    if not library.is_dir():
        raise StorageError(
            f"Live's User Library is not at {library}. Start Live once, or say where it is: "
            '--to "…/User Library/Remote Scripts" (Live: Settings, Library)'
        )
    return library / "Remote Scripts"


def _usual_library() -> Path | None:
    system = platform.system()
    if system == "Darwin":
        return Path.home() / "Music" / "Ableton" / "User Library"
    return Path.home() / "Documents" / "Ableton" / "User Library" if system == "Windows" else None


def _chosen_library() -> Path | None:
    """The one in the settings of the Live that was used last, if that is there."""
    if platform.system() == "Darwin":
        found = list((Path.home() / "Library" / "Preferences" / "Ableton").glob("Live */Library.cfg"))
    elif platform.system() == "Windows":
        found = list((_roaming() / "Ableton").glob("Live */Preferences/Library.cfg"))
    else:
        found = []
    for settings in sorted(found, key=_changed, reverse=True):
        library = _library_in(settings)
        if library is not None:
            return library
    return None


def _library_in(settings: Path) -> Path | None:
    """Live writes the folder that the library is in, and its name apart; older ones wrote the library itself."""
    try:
        if settings.stat().st_size > _LARGEST_SETTINGS:
            return None
        project = ET.parse(settings).find(".//UserLibrary//LibraryProject")
    except (OSError, ET.ParseError, ValueError):
        return None
    if project is None:
        return None
    path, name = (_value(project, tag) for tag in ("ProjectPath", "ProjectName"))
    if not path:
        return None
    folders = [Path(path) / (name or "User Library"), Path(path)]
    marked = [folder for folder in folders if (folder / _LIVE_MARKER).is_dir()]
    return next((folder for folder in [*marked, folders[0]] if folder.is_dir()), None)


def _value(parent: ET.Element, tag: str) -> str:
    element = parent.find(tag)
    return "" if element is None else element.get("Value", "")


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


# -- REAPER, plugins --------------------------------------------------------------------------------------------------


def reaper_folder() -> Path:
    """REAPER's resource folder. Raises StorageError."""
    folder = {
        "Darwin": Path.home() / "Library" / "Application Support" / "REAPER",
        "Windows": _roaming() / "REAPER",
    }.get(platform.system(), _config() / "REAPER")
    if not folder.is_dir():
        raise StorageError(
            f"REAPER's resource folder is not at {folder}. Start REAPER once, or say where it is: --to FOLDER "
            "(REAPER: Options, Show REAPER resource path)"
        )
    return folder


def plugin_folder(suffix: str) -> Path:
    """Where hosts look for a user's own plugins of a format: ".vst3", ".clap" or ".lv2"."""
    system, kind = platform.system(), suffix[1:].upper()
    if system == "Darwin":
        return Path.home() / "Library" / "Audio" / "Plug-Ins" / kind
    if system == "Windows":
        return _roaming() / "LV2" if kind == "LV2" else _local() / "Programs" / "Common" / kind
    return Path.home() / suffix


def _config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _roaming() -> Path:
    return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")


def _local() -> Path:
    return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
