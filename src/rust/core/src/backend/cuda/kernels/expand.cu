// Breadth-first neighbourhoods. A warp per cell; which cells were seen is a bitmap per cell of the tile, all zero before and
// after. The neighbours of a cell differ, so the lanes never discover the same one.

// The first `budget` cells in the order of discovery, at most `hops` away, without the cell itself, then sorted by index.
// `queues`: row of each cell of the tile, `capacity` long.
extern "C" __global__ void breadth_first(const u64* pointers, const u32* neighbours, const u32* budgets, u32 first, u32 count, u32 n, u32 hops,
                                         u32 capacity, u32* bitmaps, u32* queues, u32* lengths) {
    const u32 at = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32, words = (n + 31) / 32;
    if (at >= count) return;
    const u32 cell = first + at, budget = budgets[cell];
    // Volatile: what atomics write is not in the cache that plain reads look into.
    volatile u32* seen = bitmaps + (u64)at * words;
    u32* queue = queues + (u64)at * capacity;
    if (lane == 0) seen[cell / 32] |= 1u << (cell % 32);
    __syncwarp();
    u32 length = 0, from = 0, end = 0;
    for (u32 hop = 0; hop < hops; hop++) {
        for (u32 next = from; next < (hop == 0 ? 1 : end) && length < budget; next++) {
            const u32 source = hop == 0 ? cell : queue[next];
            for (u64 start = pointers[source]; start < pointers[source + 1]; start += 32) {
                const u64 place = start + lane;
                const u32 other = place < pointers[source + 1] ? neighbours[place] : NONE;
                const u32 is_new = other != NONE && !(seen[other / 32] >> (other % 32) & 1u);
                const u32 all_new = __ballot_sync(ALL, is_new);
                const u32 rank = length + __popc(all_new & ((1u << lane) - 1));
                if (is_new && rank < budget) {
                    atomicOr((u32*)&seen[other / 32], 1u << (other % 32));
                    queue[rank] = other;
                }
                length = min(budget, length + __popc(all_new));
                __syncwarp();
            }
        }
        from = hop == 0 ? 0 : end;
        end = length;
    }
    if (lane == 0) seen[cell / 32] &= ~(1u << (cell % 32));
    __syncwarp();
    u32 written = 0;
    for (u32 start = 0; start < words; start += 32) {
        u32 bits = start + lane < words ? seen[start + lane] : 0u;
        u32 before = __popc(bits);
        for (int by = 1; by < 32; by <<= 1) {
            const u32 other = __shfl_up_sync(ALL, before, by);
            if ((int)lane >= by) before += other;
        }
        u32 to = written + before - __popc(bits);
        written += __shfl_sync(ALL, before, 31);
        if (bits != 0) seen[start + lane] = 0u;
        for (; bits; bits &= bits - 1) queue[to++] = (start + lane) * 32 + __ffs(bits) - 1;
    }
    if (lane == 0) lengths[at] = length;
}

// The rows of the queues, one behind the other. A block per cell.
extern "C" __global__ void pack_rows(const u32* queues, u32 capacity, const u64* starts, u32* out) {
    const u64 first = starts[blockIdx.x], length = starts[blockIdx.x + 1] - first;
    const u32* row = queues + (u64)blockIdx.x * capacity;
    for (u64 at = threadIdx.x; at < length; at += blockDim.x) out[first + at] = row[at];
}
