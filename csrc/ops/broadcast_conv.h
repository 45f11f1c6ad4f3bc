// The engine under the broadcast rows: the convolutions of tap_conv.h with filters in the lanes of
// vectors. Neither the stride nor the width of a row leaves lanes idle, only a number of filters
// that is no multiple of a vector.
#pragma once

#include "tap_conv.h"

namespace fastconv {

// Most taps of a kernel: a sum of one channel is not cut.
constexpr int64_t kMostBroadcastTaps = 384;

// Bytes of the filters as broadcast_conv reads them.
template <class T>
size_t broadcast_filter_bytes(const TapConv<T>& t);

template <class T>
void prepare_broadcast_filters(const TapConv<T>& t, void* filters, int threads);

// Scratch for this many threads.
template <class T>
size_t broadcast_conv_bytes(const TapConv<T>& t, int threads, bool prepared);

// filters: prepared before, or null. Never throws and never allocates.
template <class T>
void broadcast_conv(const TapConv<T>& t, const void* filters, char* scratch, int threads);

}  // namespace fastconv
