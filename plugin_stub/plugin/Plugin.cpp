// The plugin as DPF's formats show it: parameters, notes, and the host's time for the player.
// Threads: `run` is the audio thread's and does not block (but for Wait for engine); parameters are set and read by any
// thread, as atomics; the rest is called while nothing runs.
#include <atomic>
#include <cmath>
#include <memory>

#include "DistrhoPlugin.hpp"
#include "DistrhoPluginUtils.hpp"
#include "Link.hpp"
#include "Timeline.hpp"

START_NAMESPACE_DISTRHO

using namespace resonantgen;

static Format this_format() {
    const char kind = getPluginFormatName()[0];
    return kind == 'V' ? Format::kVst3 : kind == 'C' ? Format::kClap : Format::kLv2;
}

class ResonantGenPlugin : public Plugin {
public:
    ResonantGenPlugin()
        : Plugin(kCount, 0, 0), timeline_(this_format()), player_(shared_, getSampleRate()) {}

protected:
    // DPF 1.6 tells VST3 hosts 0 for the first parameter, whatever it is: so that is the one which is always 0.
    enum Number : uint32_t { kRegenerate, kTrack, kGain, kLockTrack, kWaitForEngine, kConnected, kUnderruns, kCount };

    const char* getLabel() const override { return "ResonantGen"; }
    const char* getDescription() const override { return "Plays one track of a running ResonantGen engine."; }
    const char* getMaker() const override { return "ResonantGen"; }
    const char* getHomePage() const override { return "urn:resonantgen:plugin"; }
    const char* getLicense() const override { return "Apache-2.0"; }
    uint32_t getVersion() const override { return d_version(1, 0, 0); }
    int64_t getUniqueId() const override { return d_cconst('R', 'G', 'p', '1'); }

    void initParameter(uint32_t index, Parameter& p) override {
        constexpr uint32_t kInput = kParameterIsAutomatable, kSwitch = kInput | kParameterIsBoolean;
        static const struct { const char *name, *symbol, *unit; float usual, least, most; uint32_t hints; } kAll[kCount] = {
            {"Regenerate", "regenerate", "", 0, 0, 1, kSwitch},
            {"Track", "track", "", 1, 1, 16, kInput | kParameterIsInteger},
            {"Gain", "gain", "dB", 0, -60, 6, kInput},
            {"Lock", "lock", "", 0, 0, 1, kSwitch},
            {"Wait for engine", "wait", "", 0, 0, 1, kSwitch},
            {"Connected", "connected", "", 0, 0, 1, kParameterIsOutput | kParameterIsBoolean},
            {"Underruns", "underruns", "", 0, 0, 16777216, kParameterIsOutput | kParameterIsInteger},
        };
        p.name = kAll[index].name, p.symbol = kAll[index].symbol, p.unit = kAll[index].unit;
        p.hints = kAll[index].hints;
        p.ranges.def = kAll[index].usual, p.ranges.min = kAll[index].least, p.ranges.max = kAll[index].most;
    }

    // Regenerate is always told as 0, so that no saved project holds it pressed.
    float getParameterValue(uint32_t index) const override {
        switch (index) {
        case kTrack: return static_cast<float>(shared_.track);
        case kGain: return decibels_;
        case kLockTrack: return shared_.lock ? 1.0f : 0.0f;
        case kWaitForEngine: return shared_.wait ? 1.0f : 0.0f;
        case kConnected: return shared_.connection ? 1.0f : 0.0f;
        case kUnderruns: return static_cast<float>(shared_.underruns);
        default: return 0.0f;
        }
    }

    void setParameterValue(uint32_t index, float value) override {
        switch (index) {
        case kTrack: shared_.track = static_cast<uint32_t>(std::fmin(16.0f, std::fmax(1.0f, std::round(value)))); break;
        case kGain: decibels_ = value; break;
        case kLockTrack: shared_.lock = value > 0.5f; break;
        case kRegenerate: {  // what is set before the first block is a saved state, and no press
            const bool was_pressed = pressed_.exchange(value > 0.5f);
            if (value > 0.5f && !was_pressed && ran_) ++shared_.regenerations;
            break;
        }
        case kWaitForEngine: shared_.wait = value > 0.5f; break;
        }
    }

    // Not before: a VST3 host has a second instance, for its controls alone, which must not speak to the engine.
    void activate() override {
        if (!link_) link_ = std::make_unique<Link>(shared_);
    }

    void deactivate() override { player_.stop(); }

    void run(const float**, float** out, uint32_t frames, const MidiEvent* events, uint32_t count) override {
        ran_ = true;
        const HostTime time = timeline_.read(getTimePosition(), getSampleRate(), frames);
        for (uint32_t i = 0; i < count && time.playing; ++i) {
            const uint8_t* data = events[i].data;
            const bool note = events[i].size == 3 && (data[0] & 0xE0) == 0x80;  // on or off
            if (note) shared_.notes.push(data[0] | uint32_t{data[1]} << 8 | uint32_t{data[2]} << 16);
        }
        const float decibels = decibels_;
        player_.process(time, decibels == 0.0f ? 1.0f : std::pow(10.0f, decibels / 20), out[0], out[1], frames);
    }

private:
    Shared shared_;
    Timeline timeline_;
    Player player_;
    std::atomic<float> decibels_{0};
    std::atomic<bool> pressed_{false}, ran_{false};
    std::unique_ptr<Link> link_;  // last: its thread ends before all else goes
};

Plugin* createPlugin() { return new ResonantGenPlugin; }

END_NAMESPACE_DISTRHO
