// What DPF builds from Plugin.cpp. Hosts keep the ids in their projects: never change them.
#pragma once
#define DISTRHO_PLUGIN_BRAND "ResonantGen"
#define DISTRHO_PLUGIN_NAME "ResonantGen"
#define DISTRHO_PLUGIN_URI "urn:resonantgen:plugin"
#define DISTRHO_PLUGIN_CLAP_ID "org.resonantgen.plugin"
#define DISTRHO_PLUGIN_HAS_UI 0
#define DISTRHO_PLUGIN_IS_RT_SAFE 1
#define DISTRHO_PLUGIN_IS_SYNTH 1
#define DISTRHO_PLUGIN_NUM_INPUTS 0
#define DISTRHO_PLUGIN_NUM_OUTPUTS 2
#define DISTRHO_PLUGIN_WANT_MIDI_INPUT 1
#define DISTRHO_PLUGIN_WANT_TIMEPOS 1
#define DISTRHO_PLUGIN_WANT_STATE 1  // of none: without it, DPF lets no CLAP host save the parameters
#define DISTRHO_PLUGIN_LV2_CATEGORY "lv2:InstrumentPlugin"
#define DISTRHO_PLUGIN_VST3_CATEGORIES "Instrument|Generator|Stereo"
#define DISTRHO_PLUGIN_CLAP_FEATURES "instrument", "stereo"
