// Mutual partners for a tile of cells. forward and back (cells of the tile x all cells) say how much of a cell's neighbours lies
// in the neighbourhood of another, and the other way round; what holds both ways is compacted, rescaled and cut.
#define TIE 1e9

// Adds rows of targets, in the order of a cell's entries: out[cell][offset + target] += weight of the entry, or of the target
// where entries have none. A block per cell, of at least a warp: as many threads as a row has targets. The targets of a row differ,
// so threads do not meet.
extern "C" __global__ void __launch_bounds__(1024) add_rows(const u64* pointers, const u32* entries, const double* weights, u32 weighted, const u32* row_of,
                                    const u64* target_pointers, const u32* targets, const double* target_weights, u32 first, u32 offset,
                                    u32 stride, double* out) {
    // Where the targets of the next entries are, found side by side.
    __shared__ u64 starts[32], ends[32];
    double* mine = out + (u64)blockIdx.x * stride + offset;
    const u32 row = first + blockIdx.x;
    const u64 end = pointers[row + 1];
    for (u64 base = pointers[row]; base < end; base += 32) {
        if (threadIdx.x < 32 && base + threadIdx.x < end) {
            const u32 from = row_of[entries[base + threadIdx.x]];
            starts[threadIdx.x] = target_pointers[from], ends[threadIdx.x] = target_pointers[from + 1];
        }
        __syncthreads();
        for (u32 i = 0; i < 32 && base + i < end; i++) {
            const double weight = weighted ? weights[base + i] : 0.0;
            for (u64 at = starts[i] + threadIdx.x; at < ends[i]; at += blockDim.x)
                mine[targets[at]] += weighted ? weight : target_weights[at];
            __syncthreads();
        }
    }
}

__device__ __forceinline__ int is_mutual(double share, double other, double threshold) {
    return share >= threshold && other >= threshold && share * other > 0.0;
}

// How many partners each cell has. A warp per cell.
extern "C" __global__ void count_mutual(const double* forward, const double* back, u32 cells, u32 stride, double threshold, u32* counts) {
    const u32 cell = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (cell >= cells) return;
    u32 count = 0;
    for (u32 start = 0; start < stride; start += 32) {
        const u64 at = (u64)cell * stride + start + lane;
        count += __popc(__ballot_sync(ALL, start + lane < stride && is_mutual(forward[at], back[at], threshold)));
    }
    if (lane == 0) counts[cell] = count;
}

// The partners of each cell by rising index, and sqrt(share other).
extern "C" __global__ void write_mutual(const double* forward, const double* back, u32 cells, u32 stride, double threshold,
                                        const u64* pointers, u32* partners, double* weights) {
    const u32 cell = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (cell >= cells) return;
    u64 next = pointers[cell];
    for (u32 start = 0; start < stride; start += 32) {
        const u64 at = (u64)cell * stride + start + lane;
        const int kept = start + lane < stride && is_mutual(forward[at], back[at], threshold);
        const u32 all = __ballot_sync(ALL, kept);
        if (kept) {
            const u64 to = next + __popc(all & ((1u << lane) - 1));
            partners[to] = start + lane;
            weights[to] = sqrt(forward[at] * back[at]);
        }
        next += __popc(all);
    }
}

// Mean of each row of the latent space and 1 / sqrt(sum of squares around it); 0 for a constant row.
extern "C" __global__ void row_statistics(const float* latent, u32 cells, u32 width, double* means, double* inverses) {
    const u32 cell = blockIdx.x * blockDim.x + threadIdx.x;
    if (cell >= cells) return;
    const float* x = latent + (u64)cell * width;
    double sum = 0.0, squares = 0.0;
    for (u32 c = 0; c < width; c++) sum += (double)x[c];
    const double mean = sum / max(width, 1u);
    for (u32 c = 0; c < width; c++) squares += ((double)x[c] - mean) * ((double)x[c] - mean);
    means[cell] = mean;
    inverses[cell] = squares > 0.0 ? 1.0 / sqrt(squares) : 0.0;
}

// Coordinates of a cell that its block holds; those beyond are computed where they are needed.
#define HELD 1024u

// Pearson correlation of each cell with each of its partners. A block per cell, a warp per partner.
extern "C" __global__ void correlate(const float* latent, u32 width, const double* means, const double* inverses, u32 first,
                                     const u64* pointers, const u32* partners, double* correlations) {
    const u32 cell = first + blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const float* x = latent + (u64)cell * width;
    const double mean = means[cell], inverse = inverses[cell];
    __shared__ double held[HELD];
    for (u32 c = threadIdx.x; c < min(width, HELD); c += blockDim.x) held[c] = ((double)x[c] - mean) * inverse;
    __syncthreads();
    for (u64 at = pointers[blockIdx.x] + warp; at < pointers[blockIdx.x + 1]; at += blockDim.x / 32) {
        const u32 other = partners[at];
        const float* y = latent + (u64)other * width;
        const double other_mean = means[other], other_inverse = inverses[other];
        double sum = 0.0;
        for (u32 c = lane; c < width; c += 32) {
            const double own = c < HELD ? held[c] : ((double)x[c] - mean) * inverse;
            sum = fma(own, ((double)y[c] - other_mean) * other_inverse, sum);
        }
        sum = warp_sum(sum);
        if (lane == 0) correlations[at] = sum;
    }
}

__device__ __forceinline__ double warp_max(double x) {
    for (int by = 16; by > 0; by >>= 1) x = fmax(x, __shfl_xor_sync(ALL, x, by));
    return x;
}

// weight = sqrt(weight c), scaled so that the largest stays; c = correlation, at least `floor`, divided by the row's largest and
// scaled around `centre`. A warp per cell.
extern "C" __global__ void rescale(const u64* pointers, const double* correlations, u32 cells, double floor, double centre, double* weights) {
    const u32 cell = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (cell >= cells) return;
    const u64 first = pointers[cell], end = pointers[cell + 1];
    double best = floor, before = 0.0, after = 0.0;
    for (u64 at = first + lane; at < end; at += 32) best = fmax(best, correlations[at]), before = fmax(before, weights[at]);
    best = warp_max(best), before = warp_max(before);
    for (u64 at = first + lane; at < end; at += 32) {
        const double x = fmax(correlations[at], floor) / best;
        weights[at] = sqrt(weights[at] * (centre + (1.0 - centre) * tanh(10.0 * (x - centre))));
        after = fmax(after, weights[at]);
    }
    after = warp_max(after);
    if (after > 0.0)
        for (u64 at = first + lane; at < end; at += 32) weights[at] *= before / after;
}

// The k partners of largest weight within each segment of the cells, by rising index; weights that agree to 1e-9 are ties,
// which go to the lowest index. A warp per cell; `segments` are ascending bounds.
extern "C" __global__ void strongest(const u64* pointers, const u32* partners, const double* weights, u32 cells, const u32* segments,
                                     u32 segment_count, u32 k, u32* out_partners, double* out_weights, u32* out_counts) {
    const u32 cell = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (cell >= cells) return;
    u32 written = 0;
    const u64 to = (u64)cell * segment_count * k;
    for (u32 segment = 0; segment < segment_count; segment++) {
        const u64 first = lower_bound(partners, pointers[cell], pointers[cell + 1], segments[segment]);
        const u64 end = lower_bound(partners, first, pointers[cell + 1], segments[segment + 1]);
        // The last one that is kept: everything before it in the order (falling key, rising index) is kept, too.
        double last_key = -1.0;
        u64 last = end;
        for (u32 taken = 0; end - first > k && taken < k; taken++) {
            double key = -1.0;
            u64 best = end;
            for (u64 at = first + lane; at < end; at += 32) {
                const double other = rint(weights[at] * TIE);
                const int is_left = taken == 0 || other < last_key || (other == last_key && at > last);
                if (is_left && (best == end || other > key)) key = other, best = at;
            }
            for (int by = 16; by > 0; by >>= 1) {
                const double other = __shfl_xor_sync(ALL, key, by);
                const u64 other_best = __shfl_xor_sync(ALL, best, by);
                if (other_best != end && (best == end || other > key || (other == key && other_best < best)))
                    key = other, best = other_best;
            }
            last_key = key, last = best;
        }
        for (u64 start = first; start < end && k > 0; start += 32) {
            const u64 at = start + lane;
            const double key = at < end ? rint(weights[at] * TIE) : -2.0;
            const int kept = at < end && (end - first <= k || key > last_key || (key == last_key && at <= last));
            const u32 all = __ballot_sync(ALL, kept);
            if (kept) {
                const u32 place = written + __popc(all & ((1u << lane) - 1));
                out_partners[to + place] = partners[at];
                out_weights[to + place] = weights[at];
            }
            written += __popc(all);
        }
    }
    if (lane == 0) out_counts[cell] = written;
}
