// What pixels.cu needs of CUDA, for a C++ compiler: the threads of a grid run one after another.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

struct Dim3 {
    unsigned x, y, z;
};

static thread_local Dim3 threadIdx, blockIdx, blockDim, gridDim;

#define __device__ static inline
#define INFINITE HUGE_VALF
#define UNROLL
#define NO_UNROLL

using std::max;
using std::min;

template <class Body>
static void for_each(const Dim3& size, Dim3& index, const Body& body) {
    for (index.z = 0; index.z < size.z; ++index.z)
        for (index.y = 0; index.y < size.y; ++index.y)
            for (index.x = 0; index.x < size.x; ++index.x) body();
}

template <class Body>
static void run_grid(const unsigned* grid, const unsigned* block, const Body& body) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    for_each(gridDim, blockIdx, [&] { for_each(blockDim, threadIdx, body); });
}

// A kernel becomes name_grid, which runs all of it, and name_bytes, the size of its struct.
#define KERNEL(name, Arguments)                                                                              \
    static inline void name(const Arguments a);                                                              \
    extern "C" {                                                                                             \
    extern const unsigned name##_bytes;                                                                      \
    const unsigned name##_bytes = sizeof(Arguments);                                                         \
    void name##_grid(const Arguments* a, const unsigned* grid, const unsigned* block) {                      \
        run_grid(grid, block, [&] { name(*a); });                                                            \
    }                                                                                                        \
    }                                                                                                        \
    static inline void name(const Arguments a)

// IEEE 754 binary16, moved to where binary32 has its fields and scaled to its exponent: exact for all finite values.
__device__ float float_from_half(unsigned short half) {
    unsigned bits = (half & 0x7fffu) << 13;
    float value;
    std::memcpy(&value, &bits, 4);
    value *= 0x1p112f;
    std::memcpy(&bits, &value, 4);
    if ((half & 0x7c00u) == 0x7c00u) bits = 0x7f800000u | (half & 0x3ffu) << 13;
    bits |= (half & 0x8000u) << 16;
    std::memcpy(&value, &bits, 4);
    return value;
}
