// Products of dense f64 matrices, in tiles of 64 x 64: 256 threads, each 4 x 4 elements.
#define TILE 64
#define DEPTH 16

// The lower triangle of A'A over a part of the rows of A (rows x width); blockIdx.x counts pairs of tiles, blockIdx.y parts of
// `part` rows. Each part has its own width x width result, to which is added.
extern "C" __global__ void __launch_bounds__(256) gram(const double* a, u32 rows, u32 width, u32 part, double* out) {
    __shared__ double left[DEPTH][TILE], right[DEPTH][TILE];
    u32 ti = 0, before = 0;
    while (before + ti + 1 <= blockIdx.x) before += ++ti;
    const u32 tj = blockIdx.x - before, thread = threadIdx.x, tx = thread % 16, ty = thread / 16;
    const u32 first = blockIdx.y * part, end = min(rows, first + part);
    double* result = out + (u64)blockIdx.y * width * width;
    double sums[4][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}};
    for (u32 base = first; base < end; base += DEPTH) {
        for (u32 at = thread; at < DEPTH * TILE; at += 256) {
            const u32 r = at / TILE, c = at % TILE, i = ti * TILE + c, j = tj * TILE + c;
            left[r][c] = base + r < end && i < width ? a[(u64)(base + r) * width + i] : 0.0;
            right[r][c] = base + r < end && j < width ? a[(u64)(base + r) * width + j] : 0.0;
        }
        __syncthreads();
        for (u32 r = 0; r < DEPTH; r++)
            for (u32 i = 0; i < 4; i++)
                for (u32 j = 0; j < 4; j++) sums[i][j] = fma(left[r][ty * 4 + i], right[r][tx * 4 + j], sums[i][j]);
        __syncthreads();
    }
    for (u32 i = 0; i < 4; i++)
        for (u32 j = 0; j < 4; j++) {
            const u32 row = ti * TILE + ty * 4 + i, column = tj * TILE + tx * 4 + j;
            if (row < width && column < width) result[(u64)row * width + column] += sums[i][j];
        }
}

// Adds `parts` matrices of `size` elements into the first, in order.
extern "C" __global__ void add_parts(double* matrices, u64 size, u32 parts) {
    const u64 at = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= size) return;
    double sum = matrices[at];
    for (u32 part = 1; part < parts; part++) sum += matrices[part * size + at];
    matrices[at] = sum;
}

// out (rows x columns) = A (rows x inner) B (inner x columns); blockIdx.x counts tiles of rows, blockIdx.y of columns.
extern "C" __global__ void __launch_bounds__(256) product(const double* a, const double* b, u32 rows, u32 inner, u32 columns, double* out) {
    __shared__ double left[DEPTH][TILE + 1], right[DEPTH][TILE];
    const u32 thread = threadIdx.x, tx = thread % 16, ty = thread / 16, first = blockIdx.x * TILE, start = blockIdx.y * TILE;
    double sums[4][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}};
    for (u32 base = 0; base < inner; base += DEPTH) {
        for (u32 at = thread; at < DEPTH * TILE; at += 256) {
            const u32 row = at / DEPTH, r = at % DEPTH, deep = at / TILE, c = at % TILE;
            left[r][row] = first + row < rows && base + r < inner ? a[(u64)(first + row) * inner + base + r] : 0.0;
            right[deep][c] = base + deep < inner && start + c < columns ? b[(u64)(base + deep) * columns + start + c] : 0.0;
        }
        __syncthreads();
        for (u32 r = 0; r < DEPTH; r++)
            for (u32 i = 0; i < 4; i++)
                for (u32 j = 0; j < 4; j++) sums[i][j] = fma(left[r][ty * 4 + i], right[r][tx * 4 + j], sums[i][j]);
        __syncthreads();
    }
    for (u32 i = 0; i < 4; i++)
        for (u32 j = 0; j < 4; j++) {
            const u32 row = first + ty * 4 + i, column = start + tx * 4 + j;
            if (row < rows && column < columns) out[(u64)row * columns + column] = sums[i][j];
        }
}
