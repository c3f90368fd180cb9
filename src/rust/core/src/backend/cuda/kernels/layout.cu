// An epoch of the layout. Every vertex gathers its own forces from the positions of the epoch before, in the order of its
// links: no races. The same arithmetic as on the CPU, step by step.
#define GOLDEN 0x9E3779B97F4A7C15ull
#define SHIFT 17
#define LOWEST ((127u - 40u) << 23)
#define HIGHEST ((127u + 40u) << 23)
#define CLIP 4.0f
#define BETA1 0.5f
#define BETA2 0.9f
#define EPSILON 1e-7f

__device__ __forceinline__ u64 mix(u64 z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

__device__ __forceinline__ float look_up(const float* table, float s) {
    const u32 bits = min(max(__float_as_uint(s), LOWEST), HIGHEST - 1) - LOWEST;
    const u32 point = bits >> SHIFT, rest = bits & ((1u << SHIFT) - 1);
    const float low = table[point], high = table[point + 1];
    return low + (high - low) * ((float)rest * (1.0f / (float)(1u << SHIFT)));
}

// The force between two points.
__device__ __forceinline__ void force_between(float* force, const float* table, const float* here, const float* there, int dims) {
    float square = 0.0f;
    for (int dim = 0; dim < 3; dim++)
        if (dim < dims) {
            force[dim] = here[dim] - there[dim];
            square = square + force[dim] * force[dim];
        }
    const float strength = square > 0.0f ? look_up(table, square) : 0.0f;
    for (int dim = 0; dim < 3; dim++) force[dim] = square > 0.0f ? fminf(fmaxf(strength * force[dim], -CLIP), CLIP) : 0.0f;
}

// Adds the forces that the lanes in `which` found, in the order of the lanes.
__device__ __forceinline__ void add_in_order(float* total, const float* force, u32 which, int dims) {
    for (; which; which &= which - 1)
        for (int dim = 0; dim < 3; dim++)
            if (dim < dims) total[dim] += __shfl_sync(ALL, force[dim], __ffs(which) - 1);
}

// Adds the attraction along the links that are drawn in an epoch; returns how many are.
__device__ __forceinline__ u32 attract(float* total, const float* table, const float* here, const float* now, const u32* others,
                                       const u32* rates, u64 first, u64 end, u32 number, u32 lane, int dims) {
    u32 drawn = 0;
    for (u64 start = first; start < end; start += 32) {
        const u64 at = start + lane;
        float force[3] = {0, 0, 0};
        const int is_drawn = at < end && number * rates[at] < rates[at];
        if (is_drawn) force_between(force, table, here, now + (u64)others[at] * dims, dims);
        const u32 which = __ballot_sync(ALL, is_drawn);
        add_in_order(total, force, which, dims);
        drawn += __popc(which);
    }
    return drawn;
}

// A warp per vertex.
extern "C" __global__ void epoch(const float* now, float* next, float* first, float* second, u32 n, int dims, const u64* offsets,
                                 const u64* middles, const u32* others, const u32* rates, const float* attraction,
                                 const float* repulsion, u32 number, u64 seed, u64 step, u32 negatives, float rate, float correction1,
                                 float correction2) {
    const u32 i = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (i >= n) return;
    float here[3] = {0, 0, 0}, total[3] = {0, 0, 0};
    for (int dim = 0; dim < 3; dim++)
        if (dim < dims) here[dim] = now[(u64)i * dims + dim];
    const u32 drawn = attract(total, attraction, here, now, others, rates, offsets[i], middles[i], number, lane, dims);
    const u64 state = mix(mix(mix(seed + GOLDEN) ^ step) + GOLDEN ^ (u64)i);
    for (u32 start = 0; start < drawn * negatives; start += 32) {
        const u32 draw = start + lane;
        float force[3] = {0, 0, 0};
        const int is_draw = draw < drawn * negatives;
        const u64 random = mix(state + (u64)(draw + 1) * GOLDEN);
        if (is_draw) force_between(force, repulsion, here, now + __umul64hi(random, (u64)n) * dims, dims);
        add_in_order(total, force, __ballot_sync(ALL, is_draw), dims);
    }
    attract(total, attraction, here, now, others, rates, middles[i], offsets[i + 1], number, lane, dims);
    for (int dim = lane; dim < dims; dim += 32) {
        const u64 at = (u64)i * dims + dim;
        const float force = dim == 0 ? total[0] : dim == 1 ? total[1] : total[2];
        first[at] = BETA1 * first[at] + (1.0f - BETA1) * force;
        second[at] = BETA2 * second[at] + (1.0f - BETA2) * force * force;
        const float move = (first[at] / correction1) / (sqrtf(second[at] / correction2) + EPSILON);
        next[at] = now[at] + rate * move;
    }
}
