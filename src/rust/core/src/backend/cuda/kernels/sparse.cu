// The scaled expression as a sparse f64 matrix, its transpose, and its products with dense factors.
#define CLIPPED 0
#define GENES 1
#define CELLS 2
#define STRIP 32
#define SPLITS 8

// How many entries of each cell lie in the genes that are used.
extern "C" __global__ void count_used(const u64* pointers, const u32* columns, const u32* position, u32 cells, u32* counts) {
    const u32 cell = blockIdx.x * blockDim.x + threadIdx.x;
    if (cell >= cells) return;
    u32 count = 0;
    for (u64 at = pointers[cell]; at < pointers[cell + 1]; at++) count += position[columns[at]] != NONE;
    counts[cell] = count;
}

// A warp per cell writes its used entries, scaled (in f32, as the CPU does) and weighted, in their order.
extern "C" __global__ void scale_entries(const u64* pointers, const u32* columns, const float* values, u32 cells, const u32* position,
                                         u32 kind, const float* first, const float* second, float limit, const double* weights,
                                         const u64* out_pointers, u32* out_columns, double* out_values) {
    const u32 cell = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (cell >= cells) return;
    u64 next = out_pointers[cell];
    for (u64 start = pointers[cell]; start < pointers[cell + 1]; start += 32) {
        const u64 at = start + lane;
        const u32 gene = at < pointers[cell + 1] ? columns[at] : NONE;
        const u32 column = gene == NONE ? NONE : position[gene];
        const u32 kept = __ballot_sync(ALL, column != NONE);
        if (column != NONE) {
            const u64 to = next + __popc(kept & ((1u << lane) - 1));
            const float x = values[at];
            double value;
            if (kind == CLIPPED) {
                const float scaled = fminf(fmaxf((x - first[gene]) / second[gene], -limit), limit);
                const float absent = fminf(fmaxf((0.0f - first[gene]) / second[gene], -limit), limit);
                value = (double)scaled * weights[gene] - (double)absent * weights[gene];
            } else if (kind == GENES) {
                value = (double)(x * first[gene]) * weights[gene];
            } else {
                value = (double)(x / first[cell]) * weights[gene];
            }
            out_columns[to] = column;
            out_values[to] = value;
        }
        next += __popc(kept);
    }
}

// Entries per column in each block of rows. Columns within a row differ, so threads do not meet.
extern "C" __global__ void count_columns(const u64* pointers, const u32* columns, u32 rows, u32 block_rows, u32 width, u32* counts) {
    u32* mine = counts + (u64)blockIdx.x * width;
    const u32 first = blockIdx.x * block_rows, end = min(rows, first + block_rows);
    for (u32 row = first; row < end; row++) {
        for (u64 at = pointers[row] + threadIdx.x; at < pointers[row + 1]; at += blockDim.x) mine[columns[at]]++;
        __syncthreads();
    }
}

// Counts become the number of entries of the column in earlier blocks; totals per column.
extern "C" __global__ void scan_columns(u32* counts, u32 blocks, u32 width, u32* totals) {
    const u32 column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    u32 sum = 0;
    for (u32 block = 0; block < blocks; block++) {
        const u32 count = counts[(u64)block * width + column];
        counts[(u64)block * width + column] = sum;
        sum += count;
    }
    totals[column] = sum;
}

// Writes the entries of each block of rows to their places in the transpose, rows ascending.
extern "C" __global__ void place_columns(const u64* pointers, const u32* columns, const double* values, u32 rows, u32 block_rows,
                                         u32 width, u32* counts, const u64* out_pointers, u32* out_rows, double* out_values) {
    u32* next = counts + (u64)blockIdx.x * width;
    const u32 first = blockIdx.x * block_rows, end = min(rows, first + block_rows);
    for (u32 row = first; row < end; row++) {
        for (u64 at = pointers[row] + threadIdx.x; at < pointers[row + 1]; at += blockDim.x) {
            const u32 column = columns[at];
            const u64 to = out_pointers[column] + next[column]++;
            out_rows[to] = row;
            out_values[to] = values[at];
        }
        __syncthreads();
    }
}

// out = A B - factor shift', with one factor for all rows or one per row. A block makes 32 columns of a row: 8 warps take an
// eighth of the row's entries each, and their sums are added in order.
extern "C" __global__ void __launch_bounds__(256) sparse_dense(const u64* pointers, const u32* columns, const double* values, const double* b,
                                                               u32 width, const double* factors, u32 per_row, const double* shift,
                                                               double* out) {
    __shared__ double sums[SPLITS][STRIP];
    const u32 row = blockIdx.x, lane = threadIdx.x % STRIP, warp = threadIdx.x / STRIP, column = blockIdx.y * STRIP + lane;
    const u64 first = pointers[row], count = pointers[row + 1] - first, part = (count + SPLITS - 1) / SPLITS;
    const u64 start = min(count, part * warp), end = min(count, start + part);
    double sum = 0.0;
    if (column < width)
        for (u64 at = first + start; at < first + end; at++) sum = fma(values[at], b[(u64)columns[at] * width + column], sum);
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < width) {
        for (u32 other = 1; other < SPLITS; other++) sum += sums[other][lane];
        out[(u64)row * width + column] = sum - factors[per_row ? row : 0] * shift[column];
    }
}

// out_c = sum of factor_r b_rc, with one factor for all rows or one per row. A block makes 32 columns, 32 warps a part each.
extern "C" __global__ void __launch_bounds__(1024) column_sums(const double* b, u32 rows, u32 width, const double* factors, u32 per_row,
                                                               double* out) {
    __shared__ double sums[32][STRIP];
    const u32 lane = threadIdx.x % STRIP, warp = threadIdx.x / STRIP, column = blockIdx.x * STRIP + lane;
    double sum = 0.0;
    if (column < width)
        for (u32 row = warp; row < rows; row += 32) sum = fma(factors[per_row ? row : 0], b[(u64)row * width + column], sum);
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < width) {
        for (u32 other = 1; other < 32; other++) sum += sums[other][lane];
        out[column] = sum;
    }
}

// Rows first.. of A, dense and centred: tile (rows x width) = A - centre, centre per column or per row.
extern "C" __global__ void densify(const u64* pointers, const u32* columns, const double* values, u32 first, u32 width, const double* centre,
                                   u32 per_row, double* tile) {
    const u32 row = first + blockIdx.x;
    double* out = tile + (u64)blockIdx.x * width;
    for (u32 column = threadIdx.x; column < width; column += blockDim.x) out[column] = -centre[per_row ? row : column];
    __syncthreads();
    for (u64 at = pointers[row] + threadIdx.x; at < pointers[row + 1]; at += blockDim.x) out[columns[at]] += values[at];
}
