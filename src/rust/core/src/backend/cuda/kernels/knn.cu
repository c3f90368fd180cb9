// Exact nearest neighbours: f32 scores of tiles of pairs, the best of each query in a list that is kept sorted, the listed rows
// measured again in f64. Nothing of size queries x rows exists.
#define COSINE 0
#define CORRELATION 1
#define EUCLIDEAN 2
// Queries and rows of a tile of scores; coordinates that are multiplied between two barriers (rows are padded to a multiple).
#define QUERIES 64
#define ROWS 128
#define DEPTH 8
// Distance of two coordinates of a part in shared memory: what two half-warps write lies in different banks.
#define LEFT (QUERIES + 4)
#define RIGHT (ROWS + 4)

// Mean (under correlation, else 0) and sum of squares of the centred coordinates of each row, in the order of the CPU.
extern "C" __global__ void row_moments(const float* x, u32 count, u32 d, u32 stride, u32 metric, double* means, double* squares) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const float* row = x + (u64)i * stride;
    double mean = 0.0;
    if (metric == CORRELATION && d > 0) {
        for (u32 c = 0; c < d; c++) mean += (double)row[c];
        mean /= d;
    }
    double lanes[8] = {0, 0, 0, 0, 0, 0, 0, 0}, tail = 0.0;
    const u32 whole = d / 8 * 8;
    for (u32 c = 0; c < whole; c += 8)
        for (u32 lane = 0; lane < 8; lane++) {
            const double value = (double)row[c + lane] - mean;
            lanes[lane] += value * value;
        }
    for (u32 c = whole; c < d; c++) tail += ((double)row[c] - mean) * ((double)row[c] - mean);
    double sum = 0.0;
    for (u32 lane = 0; lane < 8; lane++) sum += lanes[lane];
    means[i] = mean;
    squares[i] = sum + tail;
}

// Rows as unit vectors (zero vectors stay zero), or under Euclid as (x - centre) * factor with half the square of each; zeros
// from d to `padded`.
extern "C" __global__ void scale_rows(const float* x, u32 count, u32 d, u32 stride, u32 metric, const double* means,
                                      const double* squares, const double* centre, double factor, u32 padded, float* out,
                                      float* halves) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const float* row = x + (u64)i * stride;
    float* scaled = out + (u64)i * padded;
    double half = 0.0;
    const double norm = sqrt(squares[i]);
    const double scale = metric == EUCLIDEAN ? factor : norm > 0.0 ? 1.0 / norm : 0.0;
    for (u32 c = 0; c < d; c++) {
        const float value = (float)(((double)row[c] - (metric == EUCLIDEAN ? centre[c] : means[i])) * scale);
        scaled[c] = value;
        half += (double)value * (double)value;
    }
    for (u32 c = d; c < padded; c++) scaled[c] = 0.0f;
    halves[i] = metric == EUCLIDEAN ? (float)(0.5 * half) : 0.0f;
}

// Puts a score into a list sorted by falling score. Rows come by rising index, so among equals the lower index is there first.
__device__ __forceinline__ void insert(float score, u32 row, float* scores, u32* rows, u32 length, int lane) {
    u32 place = 0;
    for (u32 start = 0; start < length; start += 32) {
        const u32 i = start + lane;
        place += __popc(__ballot_sync(ALL, i < length && scores[i] >= score));
    }
    for (int start = (int)((length - 1) / 32 * 32); start >= 0 && start + 31 >= (int)place; start -= 32) {
        const u32 i = start + lane;
        const int moves = i < length && i > place;
        const float other = moves ? scores[i - 1] : 0.0f;
        const u32 other_row = moves ? rows[i - 1] : 0;
        __syncwarp();
        if (moves) scores[i] = other, rows[i] = other_row;
        if (i == place) scores[i] = score, rows[i] = row;
        __syncwarp();
    }
}

// Rows in another order.
extern "C" __global__ void gather_rows(const float* x, const u32* order, u32 count, u32 d, u32 stride, float* out) {
    const u32 i = blockIdx.x;
    for (u32 c = threadIdx.x; c < d; c += blockDim.x) out[(u64)i * d + c] = x[(u64)order[i] * stride + c];
}

// Four coordinates of a row, zeros where there is no such row.
__device__ __forceinline__ float4 quad(const float* rows, u32 row, u32 end, u32 padded, u32 c) {
    const float4 zeros = {0.0f, 0.0f, 0.0f, 0.0f};
    return row < end ? *(const float4*)(rows + (u64)row * padded + c) : zeros;
}

__device__ __forceinline__ void put(float* tile, u32 stride, u32 c, u32 row, float4 x) {
    tile[c * stride + row] = x.x, tile[(c + 1) * stride + row] = x.y;
    tile[(c + 2) * stride + row] = x.z, tile[(c + 3) * stride + row] = x.w;
}

// A block scores 64 queries against ranges of rows, 128 at a time, and keeps for each query its `length` best. `pointers`: the
// ranges of each block of queries, or of all alike. What is left of a list stays minus infinity. 128 threads; each makes 8 x 8 scores of
// a tile: of queries 4 y + (0..3) and 32 more, and of rows 4 x + (0..3) and 64 more, so that a warp reads 16 bytes of shared
// memory side by side. What comes next is on its way from memory while a part is multiplied.
extern "C" __global__ void __launch_bounds__(128, 4) nearest(const float* queries, u32 n, const float* database, const float* halves,
                                                             const u32* pointers, const u32* ranges, u32 per_block, u32 padded,
                                                             u32 length, float* list_scores, u32* list_rows) {
    // Two parts of coordinates; then half of the scores.
    __shared__ __align__(16) float memory[32 * RIGHT];
    __shared__ float least[QUERIES];
    const u32 first = blockIdx.x * QUERIES, thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const u32 x = 4 * (thread % 8 + 8 * (warp % 2)), y = 4 * (lane / 8 + 4 * (warp / 2));
    const u32 own = thread / 2, c = 4 * (thread % 2), block = per_block ? blockIdx.x : 0;
    float *left = memory, *right = memory + 2 * DEPTH * LEFT;
    for (u64 at = (u64)first * length + thread; at < (u64)min(n, first + QUERIES) * length; at += 128) list_scores[at] = -INFINITE;
    if (thread < QUERIES) least[thread] = -INFINITE;
    u32 range = pointers[block], base = 0, m = 0;
    // The tiles of all ranges, one after the other.
    for (;;) {
        if (base >= m) {
            if (range == pointers[block + 1]) break;
            base = ranges[2 * range], m = ranges[2 * range + 1], range++;
        }
        float sums[8][8];
        for (u32 i = 0; i < 8; i++)
            for (u32 j = 0; j < 8; j++) sums[i][j] = 0.0f;
        float4 query = quad(queries, first + own, n, padded, c), one = quad(database, base + own, m, padded, c);
        float4 other = quad(database, base + 64 + own, m, padded, c);
        for (u32 depth = 0, part = 0; depth < padded; depth += DEPTH, part ^= 1) {
            float *a = left + part * DEPTH * LEFT, *b = right + part * DEPTH * RIGHT;
            put(a, LEFT, c, own, query), put(b, RIGHT, c, own, one), put(b, RIGHT, c, 64 + own, other);
            __syncthreads();
            if (depth + DEPTH < padded) {
                query = quad(queries, first + own, n, padded, depth + DEPTH + c);
                one = quad(database, base + own, m, padded, depth + DEPTH + c);
                other = quad(database, base + 64 + own, m, padded, depth + DEPTH + c);
            }
#pragma unroll
            for (u32 k = 0; k < DEPTH; k++) {
                const float4 p = *(const float4*)(a + k * LEFT + y), q = *(const float4*)(a + k * LEFT + 32 + y);
                const float4 r = *(const float4*)(b + k * RIGHT + x), s = *(const float4*)(b + k * RIGHT + 64 + x);
                const float u[8] = {p.x, p.y, p.z, p.w, q.x, q.y, q.z, q.w}, v[8] = {r.x, r.y, r.z, r.w, s.x, s.y, s.z, s.w};
                for (u32 i = 0; i < 8; i++)
                    for (u32 j = 0; j < 8; j++) sums[i][j] = fmaf(u[i], v[j], sums[i][j]);
            }
        }
        for (u32 j = 0; j < 8; j++) {
            const u32 row = base + x + j % 4 + j / 4 * 64;
            const float less = row < m ? halves[row] : INFINITE;
            for (u32 i = 0; i < 8; i++) sums[i][j] -= less;
        }
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            __syncthreads();
            for (u32 i = 0; i < 4; i++)
                for (u32 j = 0; j < 8; j += 4) {
                    const float* from = sums[4 * half + i] + j;
                    const float4 scores = {from[0], from[1], from[2], from[3]};
                    *(float4*)(memory + (y + i) * RIGHT + x + j / 4 * 64) = scores;
                }
            __syncthreads();
            for (u32 q = warp; q < 32 && first + 32 * half + q < n; q += 4) {
                const u64 list = (u64)(first + 32 * half + q) * length;
                float bound = least[32 * half + q], most = -INFINITE;
                for (u32 start = 0; start < ROWS; start += 32) most = fmaxf(most, memory[q * RIGHT + start + lane]);
                if (!__ballot_sync(ALL, most > bound)) continue;
                for (u32 start = 0; start < ROWS; start += 32) {
                    const float score = memory[q * RIGHT + start + lane];
                    u32 better = __ballot_sync(ALL, score > bound);
                    while (better) {
                        const int next = __ffs(better) - 1;
                        better &= better - 1;
                        const float candidate = __shfl_sync(ALL, score, next);
                        if (candidate > bound) {
                            insert(candidate, base + start + next, list_scores + list, list_rows + list, length, lane);
                            bound = list_scores[list + length - 1];
                        }
                    }
                }
                if (lane == 0) least[32 * half + q] = bound;
            }
        }
        __syncthreads();
        base += ROWS;
    }
}

// Distance in f64 from the f32 coordinates, in the order of the CPU.
__device__ __forceinline__ double distance(const float* x, double a, double xx, const float* y, double b, double yy, u32 d, u32 metric) {
    double lanes[8] = {0, 0, 0, 0, 0, 0, 0, 0}, tail = 0.0;
    const u32 whole = d / 8 * 8;
    for (u32 c = 0; c < whole; c += 8)
        for (u32 lane = 0; lane < 8; lane++) {
            const double u = (double)x[c + lane], v = (double)y[c + lane], difference = u - v;
            lanes[lane] += metric == EUCLIDEAN ? difference * difference : (u - a) * (v - b);
        }
    for (u32 c = whole; c < d; c++) {
        const double u = (double)x[c], v = (double)y[c], difference = u - v;
        tail += metric == EUCLIDEAN ? difference * difference : (u - a) * (v - b);
    }
    double sum = 0.0;
    for (u32 lane = 0; lane < 8; lane++) sum += lanes[lane];
    sum += tail;
    if (metric == EUCLIDEAN) return sqrt(sum);
    const double norms = sqrt(xx * yy);
    return norms > 0.0 ? fmin(fmax(1.0 - sum / norms, 0.0), 2.0) : 1.0;
}

// A warp per query measures the rows of its list and keeps the k nearest, ties by name (the row's index as it was given).
// `uncertain`: whether a row that is not in the list might have belonged to them, because the list is full and ends within
// `slack` of the k-th best score.
extern "C" __global__ void measure(const float* queries, const double* query_means, const double* query_squares, u32 n, u32 query_stride,
                                   const float* database, const double* means, const double* squares, const u32* names,
                                   u32 stride, u32 d, u32 metric, const float* list_scores, const u32* list_rows, u32 length, float slack, u32 k,
                                   double* distances, u32* out_rows, double* out_distances, u32* uncertain) {
    const u32 q = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (q >= n) return;
    const float* scores = list_scores + (u64)q * length;
    u32 held = length;
    while (held > 0 && scores[held - 1] == -INFINITE) held--;
    const u32* rows = list_rows + (u64)q * length;
    double* measured = distances + (u64)q * length;
    for (u32 i = lane; i < held; i += 32) {
        const u32 row = rows[i];
        measured[i] = distance(queries + (u64)q * query_stride, query_means[q], query_squares[q], database + (u64)row * stride,
                               means[row], squares[row], d, metric);
    }
    __syncwarp();
    for (u32 i = lane; i < held; i += 32) {
        u32 rank = 0;
        for (u32 j = 0; j < held; j++)
            rank += measured[j] < measured[i] || (measured[j] == measured[i] && names[rows[j]] < names[rows[i]]);
        if (rank < k) out_rows[(u64)q * k + rank] = names[rows[i]], out_distances[(u64)q * k + rank] = measured[i];
    }
    if (lane == 0) uncertain[q] = held == length && scores[length - 1] >= scores[k - 1] - slack;
}

// All distances of one query, for those whose lists were too short.
extern "C" __global__ void distances_of(const float* query, double query_mean, double query_square, const float* database,
                                        const double* means, const double* squares, u32 m, u32 stride, u32 d, u32 metric,
                                        double* distances) {
    const u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= m) return;
    distances[row] = distance(query, query_mean, query_square, database + (u64)row * stride, means[row], squares[row], d, metric);
}

// The k smallest of m distances, ties by index; k passes of one block of 256 threads.
extern "C" __global__ void __launch_bounds__(256) smallest(const double* distances, u32 m, u32 k, u32* rows, double* out) {
    __shared__ double best[256];
    __shared__ u32 best_row[256];
    double last = -1.0;
    u32 last_row = 0;
    for (u32 pass = 0; pass < k; pass++) {
        double mine = (double)INFINITE;
        u32 my_row = NONE;
        for (u32 row = threadIdx.x; row < m; row += 256) {
            const double x = distances[row];
            const int after = x > last || (x == last && pass > 0 && row > last_row);
            if (after && (x < mine || (x == mine && row < my_row))) mine = x, my_row = row;
        }
        best[threadIdx.x] = mine, best_row[threadIdx.x] = my_row;
        __syncthreads();
        for (u32 half = 128; half > 0; half /= 2) {
            if (threadIdx.x < half) {
                const double other = best[threadIdx.x + half];
                const u32 other_row = best_row[threadIdx.x + half];
                if (other < best[threadIdx.x] || (other == best[threadIdx.x] && other_row < best_row[threadIdx.x]))
                    best[threadIdx.x] = other, best_row[threadIdx.x] = other_row;
            }
            __syncthreads();
        }
        last = best[0], last_row = best_row[0];
        if (threadIdx.x == 0) rows[pass] = last_row, out[pass] = last;
        __syncthreads();
    }
}
