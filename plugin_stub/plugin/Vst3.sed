# What our copy of DPF 1.6's DistrhoPluginVST3.cpp does otherwise (see the Makefile): sed -f.

# A host's bar in quarter notes, also where it is no whole number: DPF divides by it rounded down, which is 0 in 3/16.
s|const int    ppqPerBar = ctx->time_sig_numerator \* 4 /|const double ppqPerBar = ctx->time_sig_numerator * 4.0 /|
s|static_cast<int32_t>(ppqPos) / ppqPerBar + 1|static_cast<int32_t>(ppqPos / ppqPerBar) + 1|

# It sounds without notes. Hosts may stop calling an instrument that gets none once its tail is over.
/uint32_t getTailSamples() const noexcept/,/}/ s|return 0;|return UINT32_MAX;|

# Parameters that come with a block of no frames, as from a host that stands, count too: their last values.
/if (data->nframes <= 0)/ {
n
a\
            v3_param_changes** const changes = data->input_params;\
            for (int32_t i = 0; changes != nullptr && i < v3_cpp_obj(changes)->get_param_count(changes); ++i)\
            {\
                v3_param_value_queue** const queue = v3_cpp_obj(changes)->get_param_data(changes, i);\
                if (queue == nullptr)\
                    break;\
                const v3_param_id id = v3_cpp_obj(queue)->get_param_id(queue);\
                const int32_t points = v3_cpp_obj(queue)->get_point_count(queue);\
                int32_t offset;\
                double value;\
                if (id >= kVst3InternalParameterCount && id < fVst3ParameterCount && points > 0 &&\
                    v3_cpp_obj(queue)->get_point(queue, points - 1, &offset, &value) == V3_OK)\
                    _setNormalizedPluginParameterValue(id - kVst3InternalParameterCount, value);\
            }
}
