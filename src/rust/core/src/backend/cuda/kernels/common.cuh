// Before every kernel file. Matrices are row-major unless said otherwise; sparse ones are CSR with 64-bit row pointers.
typedef unsigned int u32;
typedef unsigned long long u64;
#define NONE 0xffffffffu
#define ALL 0xffffffffu
#define INFINITE __uint_as_float(0x7f800000u)

// Sum over the lanes of a warp, in an order that does not vary.
__device__ __forceinline__ double warp_sum(double x) {
    for (int by = 16; by > 0; by >>= 1) x += __shfl_xor_sync(ALL, x, by);
    return x;
}

// First of `count` ascending values that is at least `bound`.
__device__ __forceinline__ u64 lower_bound(const u32* values, u64 first, u64 end, u32 bound) {
    while (first < end) {
        const u64 middle = (first + end) / 2;
        if (values[middle] < bound) first = middle + 1;
        else end = middle;
    }
    return first;
}
