// Expression averaged over neighbours, for a tile of cells at a time: tile[slot * stride + cell]. What follows reads a slot's
// cells side by side, and keeps one sum per warp.

// Adds the expression of the k neighbours of each cell of the tile. A block per cell; the genes of a neighbour differ, so
// threads do not meet, and neighbours are added in their order.
extern "C" __global__ void __launch_bounds__(1024) add_neighbours(const u64* pointers, const u32* columns, const float* values, const u32* neighbours, u32 k,
                                          u32 first, const u32* slots, u32 stride, double* tile) {
    const u32 cell = blockIdx.x;
    const u32* mine = neighbours + (u64)(first + cell) * k;
    for (u32 n = 0; n < k; n++) {
        const u32 other = mine[n];
        for (u64 at = pointers[other] + threadIdx.x; at < pointers[other + 1]; at += blockDim.x) {
            const u32 slot = slots[columns[at]];
            if (slot != NONE) tile[(u64)slot * stride + cell] += (double)values[at];
        }
        __syncthreads();
    }
}

// The first weight plus the sum of the others in eight partial sums: the order of the CPU.
__device__ double sum_of_weights(const double* weights, u64 count) {
    if (count == 0) return 0.0;
    double sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    const u64 whole = (count - 1) / 8 * 8;
    for (u64 at = 0; at < whole; at += 8)
        for (u32 lane = 0; lane < 8; lane++) sums[lane] += weights[1 + at + lane];
    double sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    for (u64 at = 1 + whole; at < count; at++) sum += weights[at];
    return weights[0] + sum;
}

// Adds the expression of the neighbours of each cell that lie in the cells [species, species_end), each weighted by its share
// of their weights (of 1, where they sum to less than `least`).
extern "C" __global__ void __launch_bounds__(1024) add_weighted(const u64* pointers, const u32* columns, const float* values, const u64* edges,
                                        const u32* neighbours, const double* weights, u32 species, u32 species_end, double least,
                                        u32 first, const u32* slots, u32 stride, double* tile) {
    __shared__ u64 range[2];
    __shared__ double inverse;
    const u32 cell = blockIdx.x;
    if (threadIdx.x == 0) {
        range[0] = lower_bound(neighbours, edges[first + cell], edges[first + cell + 1], species);
        range[1] = lower_bound(neighbours, range[0], edges[first + cell + 1], species_end);
        const double total = sum_of_weights(weights + range[0], range[1] - range[0]);
        inverse = total < least ? 1.0 : 1.0 / total;
    }
    __syncthreads();
    for (u64 edge = range[0]; edge < range[1]; edge++) {
        const u32 other = neighbours[edge] - species;
        const double share = weights[edge] * inverse;
        for (u64 at = pointers[other] + threadIdx.x; at < pointers[other + 1]; at += blockDim.x) {
            const u32 slot = slots[columns[at]];
            if (slot != NONE) tile[(u64)slot * stride + cell] += share * (double)values[at];
        }
        __syncthreads();
    }
}

// Adds the sum of (factor x) and of its square over the cells of a tile, slot by slot. A warp per slot.
extern "C" __global__ void slot_moments(const double* tile, u32 slots, u32 stride, u32 cells, double factor, double* sums, double* squares) {
    const u32 slot = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (slot >= slots) return;
    double sum = 0.0, square = 0.0;
    for (u32 cell = lane; cell < cells; cell += 32) {
        const double x = tile[(u64)slot * stride + cell] * factor;
        sum += x;
        square += x * x;
    }
    sum = warp_sum(sum), square = warp_sum(square);
    if (lane == 0) sums[slot] += sum, squares[slot] += square;
}

// Adds the sum of the products of two slots over the cells of a tile, edge by edge. A warp per edge.
extern "C" __global__ void pair_products(const double* tile, u32 stride, u32 cells, const u32* ids, const u32* one, const u32* other, u32 edges,
                                         double* products) {
    const u32 at = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (at >= edges) return;
    const u32 edge = ids[at];
    const double *x = tile + (u64)one[edge] * stride, *y = tile + (u64)other[edge] * stride;
    double sum = 0.0;
    for (u32 cell = lane; cell < cells; cell += 32) sum = fma(x[cell], y[cell], sum);
    sum = warp_sum(sum);
    if (lane == 0) products[edge] += sum;
}
