// Products of dense f64 matrices, in tiles of 64 x 64: 256 threads, each 4 x 4 elements.
#define TILE 64
#define DEPTH 16
// Element i of a thread's four: pairs, so that a warp reads 16 bytes of shared memory side by side.
#define PLACE(thread, i) ((i) / 2 * 32 + (thread) * 2 + (i) % 2)

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
                for (u32 j = 0; j < 4; j++) sums[i][j] = fma(left[r][PLACE(ty, i)], right[r][PLACE(tx, j)], sums[i][j]);
        __syncthreads();
    }
    for (u32 i = 0; i < 4; i++)
        for (u32 j = 0; j < 4; j++) {
            const u32 row = ti * TILE + PLACE(ty, i), column = tj * TILE + PLACE(tx, j);
            if (row < width && column < width) result[(u64)row * width + column] += sums[i][j];
        }
}

// The upper triangle from the lower one, in tiles of 32 x 32 by 256 threads.
extern "C" __global__ void __launch_bounds__(256) mirror(double* a, u32 size) {
    __shared__ double tile[32][33];
    const u32 row = blockIdx.y * 32, column = blockIdx.x * 32, x = threadIdx.x % 32, y = threadIdx.x / 32;
    if (column > row) return;
    for (u32 r = y; r < 32; r += 8)
        if (row + r < size && column + x < size) tile[r][x] = a[(u64)(row + r) * size + column + x];
    __syncthreads();
    for (u32 r = y; r < 32; r += 8)
        if (column + r < row + x && row + x < size) a[(u64)(column + r) * size + row + x] = tile[x][r];
}
