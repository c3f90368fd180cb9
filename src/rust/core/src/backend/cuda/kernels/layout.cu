// An epoch of the layout. Every vertex gathers its own forces from the positions of the epoch before, in the order of its
// links: a thread per vertex, no races. The same arithmetic as on the CPU, step by step.
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

__device__ __forceinline__ void add_force(float* total, const float* table, const float* here, const float* there, int dims) {
    float difference[3], square = 0.0f;
    for (int dim = 0; dim < dims; dim++) {
        difference[dim] = here[dim] - there[dim];
        square = square + difference[dim] * difference[dim];
    }
    if (square > 0.0f) {
        const float force = look_up(table, square);
        for (int dim = 0; dim < dims; dim++) total[dim] += fminf(fmaxf(force * difference[dim], -CLIP), CLIP);
    }
}

extern "C" __global__ void epoch(const float* now, float* next, float* first, float* second, u32 n, int dims, const u64* offsets,
                                 const u64* middles, const u32* others, const u32* rates, const float* attraction,
                                 const float* repulsion, u32 number, u64 seed, u64 step, u32 negatives, float rate, float correction1,
                                 float correction2) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float here[3] = {0, 0, 0}, total[3] = {0, 0, 0};
    for (int dim = 0; dim < dims; dim++) here[dim] = now[(u64)i * dims + dim];
    u32 drawn = 0;
    for (u64 at = offsets[i]; at < middles[i]; at++)
        if (number * rates[at] < rates[at]) {
            add_force(total, attraction, here, now + (u64)others[at] * dims, dims);
            drawn++;
        }
    u64 state = mix(mix(mix(seed + GOLDEN) ^ step) + GOLDEN ^ (u64)i);
    for (u32 draw = 0; draw < drawn * negatives; draw++) {
        state += GOLDEN;
        add_force(total, repulsion, here, now + __umul64hi(mix(state), (u64)n) * dims, dims);
    }
    for (u64 at = middles[i]; at < offsets[i + 1]; at++)
        if (number * rates[at] < rates[at]) add_force(total, attraction, here, now + (u64)others[at] * dims, dims);
    for (int dim = 0; dim < dims; dim++) {
        const u64 at = (u64)i * dims + dim;
        const float force = total[dim];
        first[at] = BETA1 * first[at] + (1.0f - BETA1) * force;
        second[at] = BETA2 * second[at] + (1.0f - BETA2) * force * force;
        const float move = (first[at] / correction1) / (sqrtf(second[at] / correction2) + EPSILON);
        next[at] = here[dim] + rate * move;
    }
}
