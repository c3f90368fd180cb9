// The projection into the latent space: X P for sparse expression X and an operator P that is put together on the device.

// The scaled genes of a tile of cells: tile[gene * stride + cell] = x * scale. A block per cell.
extern "C" __global__ void scatter_scaled(const u64* pointers, const u32* columns, const float* values, const u32* gene_of_column,
                                          const double* scale, u32 first, u32 stride, double* tile) {
    const u32 cell = blockIdx.x;
    for (u64 at = pointers[first + cell] + threadIdx.x; at < pointers[first + cell + 1]; at += blockDim.x) {
        const u32 gene = gene_of_column[columns[at]];
        if (gene != NONE) tile[(u64)gene * stride + cell] = (double)values[at] * scale[gene];
    }
}

// Sum and sum of squares over the cells of a tile of S H, gene by gene of the other species (H by its columns). A warp per
// gene.
extern "C" __global__ void translated_moments(const double* tile, u32 stride, u32 cells, const u64* pointers, const u32* genes,
                                              const double* edges, u32 targets, double* sums, double* squares) {
    const u32 target = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (target >= targets) return;
    double sum = 0.0, square = 0.0;
    for (u32 cell = lane; cell < cells; cell += 32) {
        double x = 0.0;
        for (u64 at = pointers[target]; at < pointers[target + 1]; at++) x += tile[(u64)genes[at] * stride + cell] * edges[at];
        sum += x;
        square += x * x;
    }
    sum = warp_sum(sum), square = warp_sum(square);
    if (lane == 0) sums[target] += sum, squares[target] += square;
}

// P = diag(scale) H diag(ratio) L: a row per gene, a block per row; H by rows, L the loadings of the other species.
extern "C" __global__ void compose(const u64* pointers, const u32* partners, const double* edges, const double* scale, const double* ratio,
                                   const float* loadings, u32 width, float* out) {
    const u32 gene = blockIdx.x;
    for (u32 c = threadIdx.x; c < width; c += blockDim.x) {
        double sum = 0.0;
        if (scale[gene] != 0.0)
            for (u64 at = pointers[gene]; at < pointers[gene + 1]; at++) {
                const u32 h = partners[at];
                sum += scale[gene] * edges[at] * ratio[h] * (double)loadings[(u64)h * width + c];
            }
        out[(u64)gene * width + c] = (float)sum;
    }
}

// centre = -mean' P, gene after gene.
extern "C" __global__ void operator_centre(const float* p, const double* mean, u32 genes, u32 width, double* centre) {
    const u32 c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= width) return;
    double sum = 0.0;
    for (u32 gene = 0; gene < genes; gene++) sum += -mean[gene] * (double)p[(u64)gene * width + c];
    centre[c] = sum;
}

// X P + centre of each cell into a block of the latent space. A block of threads per cell, its columns ascending.
extern "C" __global__ void project(const u64* pointers, const u32* columns, const float* values, const u32* gene_of_column, const float* p,
                                   const double* centre, u32 width, u32 first_row, u32 first_column, u32 stride, float* latent) {
    const u32 cell = blockIdx.x;
    float* out = latent + (u64)(first_row + cell) * stride + first_column;
    for (u32 c = threadIdx.x; c < width; c += blockDim.x) {
        double sum = centre[c];
        for (u64 at = pointers[cell]; at < pointers[cell + 1]; at++) {
            const u32 gene = gene_of_column[columns[at]];
            if (gene != NONE) sum += (double)values[at] * (double)p[(u64)gene * width + c];
        }
        out[c] = (float)sum;
    }
}
