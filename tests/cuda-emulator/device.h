// What a kernel sees when it is compiled as C++: CUDA's names, on top of fibers (one OS thread runs one block).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

struct EmuIndex {
    unsigned x, y, z;
};
struct EmuThread {
    EmuIndex thread, block, block_dim, grid_dim;
    int lane;
};

extern "C" EmuThread* emu_thread();   // the thread that runs
extern "C" void emu_syncthreads();
extern "C" void emu_syncwarp();
extern "C" uint64_t* emu_warp_slots();   // 32 words for the thread's warp

#define threadIdx (emu_thread()->thread)
#define blockIdx (emu_thread()->block)
#define blockDim (emu_thread()->block_dim)
#define gridDim (emu_thread()->grid_dim)
#define warpSize 32
#define __global__
#define __device__ static
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__ static thread_local
#define __syncthreads() emu_syncthreads()
#define __syncwarp(...) emu_syncwarp()

struct alignas(16) float4 {
    float x, y, z, w;
};

template <class T> static inline T emu_exchange(T value, int from) {
    uint64_t* slots = emu_warp_slots();
    uint64_t word = 0;
    memcpy(&word, &value, sizeof value);
    slots[emu_thread()->lane] = word;
    emu_syncwarp();
    T out = value;
    if (from >= 0 && from < 32) memcpy(&out, &slots[from], sizeof out);
    emu_syncwarp();
    return out;
}
template <class T> static inline T __shfl_sync(unsigned, T value, int from) { return emu_exchange(value, from & 31); }
template <class T> static inline T __shfl_up_sync(unsigned, T value, int by) {
    return emu_exchange(value, emu_thread()->lane - by);
}
template <class T> static inline T __shfl_down_sync(unsigned, T value, int by) {
    return emu_exchange(value, emu_thread()->lane + by);
}
template <class T> static inline T __shfl_xor_sync(unsigned, T value, int by) {
    return emu_exchange(value, emu_thread()->lane ^ by);
}
static inline unsigned __ballot_sync(unsigned, int vote) {
    uint64_t* slots = emu_warp_slots();
    slots[emu_thread()->lane] = vote != 0;
    emu_syncwarp();
    unsigned votes = 0;
    // Lanes past the end of the block have never voted.
    for (int i = 0; i < 32; i++) votes |= slots[i] == 1 ? 1u << i : 0u;
    emu_syncwarp();
    return votes;
}
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline unsigned atomicOr(unsigned* at, unsigned bits) { return __atomic_fetch_or(at, bits, __ATOMIC_RELAXED); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
static inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    return bits;
}
static inline float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
using std::max;
using std::min;

template <class... A, size_t... I>
static void emu_spread(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*(std::remove_cv_t<std::remove_reference_t<A>>*)arguments[I]...);
}
template <class... A> static void emu_call(void (*kernel)(A...), void** arguments) {
    emu_spread(kernel, arguments, std::index_sequence_for<A...>{});
}
