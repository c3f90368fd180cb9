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
