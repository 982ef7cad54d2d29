// The pixel work around a network: resize, upsample with argmax, overlay. nvcc or NVRTC compiles it for GPUs, and a C++
// compiler with cuda_shim.h for tests. Both must not contract a * b + c (-fmad=false, -ffp-contract=off): then every
// result is bit for bit that of edgeseg/pixels. Each struct has its twin in structs.py.

typedef unsigned char u8;
typedef unsigned short u16;

#ifdef __CUDACC__
#define KERNEL(name, Arguments) extern "C" __global__ void __launch_bounds__(128, 8) name(const Arguments a)
#define INFINITE __int_as_float(0x7f800000)
#define UNROLL _Pragma("unroll")
#define NO_UNROLL _Pragma("unroll 1")
__device__ float float_from_half(u16 half) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}
#else
#include "cuda_shim.h"  // of the tests
#endif

__device__ int this_x() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ int this_y() { return blockIdx.y * blockDim.y + threadIdx.y; }

// ---- Resize: bilinear with half-pixel centres, in OpenCV's 11-bit fixed point -------------------------------------

struct Pixel {
    int r, g, b;
};

// The two source rows (or columns) of an output row (or column), and their weights in 1/2048.
struct alignas(8) Tap {
    u16 first, second, first_weight, second_weight;
};

struct ResizeRgb {
    const u8* source;
    u8* target;  // (height, width, 3), rgb
    const Tap* rows;
    const Tap* columns;
    int pitch, height, width, bgr;  // bgr: of the source
};

struct ResizeYuv {
    const u8* y;
    const u8* u;
    const u8* v;
    u8* target;
    const Tap* rows;
    const Tap* columns;
    int y_pitch, uv_pitch, uv_step;  // bytes from row to row, and from one chroma sample to the next
    int height, width;
    int black;                                     // the luma of black
    int luma, red_v, green_u, green_v, blue_u;  // in 1/2^20
};

__device__ Pixel pixel_at(const ResizeRgb& a, int y, int x) {
    const u8* at = a.source + (long long)y * a.pitch + 3 * x;
    return a.bgr ? Pixel{at[2], at[1], at[0]} : Pixel{at[0], at[1], at[2]};
}

__device__ int byte_from_20_bits(int value) { return min(max((value + (1 << 19)) >> 20, 0), 255); }

// A chroma sample serves the four pixels of its square; luma darker than black stays so, as in FFmpeg.
__device__ Pixel pixel_at(const ResizeYuv& a, int y, int x) {
    const long long chroma = (long long)(y / 2) * a.uv_pitch + x / 2 * a.uv_step;
    const int luma = (a.y[(long long)y * a.y_pitch + x] - a.black) * a.luma;
    const int u = a.u[chroma] - 128, v = a.v[chroma] - 128;
    return {byte_from_20_bits(luma + a.red_v * v), byte_from_20_bits(luma - a.green_u * u - a.green_v * v),
            byte_from_20_bits(luma + a.blue_u * u)};
}

__device__ int across(const Tap& column, int left, int right) {
    return (column.first_weight * left + column.second_weight * right) >> 4;
}

__device__ u8 down(const Tap& row, int top, int bottom) {
    return u8((((row.first_weight * top) >> 16) + ((row.second_weight * bottom) >> 16) + 2) >> 2);
}

template <class Arguments>
__device__ void resize(const Arguments& a) {
    const int x = this_x(), y = this_y();
    if (x >= a.width || y >= a.height) return;
    const Tap row = a.rows[y], column = a.columns[x];
    const Pixel a00 = pixel_at(a, row.first, column.first), a01 = pixel_at(a, row.first, column.second);
    const Pixel a10 = pixel_at(a, row.second, column.first), a11 = pixel_at(a, row.second, column.second);
    u8* at = a.target + 3 * ((long long)y * a.width + x);
    at[0] = down(row, across(column, a00.r, a01.r), across(column, a10.r, a11.r));
    at[1] = down(row, across(column, a00.g, a01.g), across(column, a10.g, a11.g));
    at[2] = down(row, across(column, a00.b, a01.b), across(column, a10.b, a11.b));
}

KERNEL(resize_rgb, ResizeRgb) { resize(a); }
KERNEL(resize_yuv, ResizeYuv) { resize(a); }

// ---- Labels: bilinear upsampling and argmax, with torch's operations in torch's order -----------------------------

struct Labels {
    const void* logits;  // (classes, height, width)
    u8* labels;          // (rows, columns)
    int classes, height, width, rows, columns;
    float row_scale, column_scale, centre;  // centre: of a pixel, 0.5; 0 with align_corners
};

const int ROWS = 4;  // of one column per thread, which share the logits that it loads; more rows spill registers

struct Source {
    int lower;
    float weight;  // of the one above it
};

__device__ Source source_of(int index, float scale, float centre, int size) {
    const float position = max((float(index) + centre) * scale - centre, 0.0f);
    const int lower = min(int(position), size - 1);
    return {lower, min(max(position - float(lower), 0.0f), 1.0f)};
}

__device__ float value_of(float logit) { return logit; }
__device__ float value_of(u16 logit) { return float_from_half(logit); }

__device__ float between(float weight, float lower, float upper) { return (1.0f - weight) * lower + weight * upper; }

// The threads of a warp share their rows: they load together where a source row begins.
template <class Logit>
__device__ void label(const Labels& a) {
    const int x = this_x(), first = this_y() * ROWS;
    if (x >= a.columns || first >= a.rows) return;
    const Source column = source_of(x, a.column_scale, a.centre, a.width);
    const int right = min(column.lower + 1, a.width - 1);
    Source row[ROWS];
    float best[ROWS];
    int winner[ROWS];
UNROLL
    for (int i = 0; i < ROWS; ++i) {
        row[i] = source_of(first + i, a.row_scale, a.centre, a.height);
        best[i] = -INFINITE;
        winner[i] = 0;
    }
    const Logit* plane = static_cast<const Logit*>(a.logits);
NO_UNROLL
    for (int c = 0; c < a.classes; ++c, plane += a.height * a.width) {
        int loaded = -1;
        float top = 0, bottom = 0;
UNROLL
        for (int i = 0; i < ROWS; ++i) {
            if (row[i].lower != loaded) {
                loaded = row[i].lower;
                const Logit* line = plane + loaded * a.width;
                top = between(column.weight, value_of(line[column.lower]), value_of(line[right]));
                line += loaded + 1 < a.height ? a.width : 0;
                bottom = between(column.weight, value_of(line[column.lower]), value_of(line[right]));
            }
            const float value = between(row[i].weight, top, bottom);
            if (value > best[i]) {
                best[i] = value;
                winner[i] = c;
            }
        }
    }
UNROLL
    for (int i = 0; i < ROWS; ++i)
        if (first + i < a.rows) a.labels[(long long)(first + i) * a.columns + x] = u8(winner[i]);
}

KERNEL(labels_float, Labels) { label<float>(a); }
KERNEL(labels_half, Labels) { label<u16>(a); }

// ---- Labels of another size, and labels drawn over a frame: nearest neighbour with half-pixel centres ---------------

struct Nearest {
    const u8* source;  // (height, width)
    u8* target;        // (rows, columns)
    int height, width, rows, columns;
};

// What stays of the frame under a label, in 1/256, and the label's colour times the rest, with the half that rounds.
struct alignas(8) Blend {
    u16 keep, r, g, b;
};

struct Overlay {
    const u8* frame;   // (rows, columns, 3)
    u8* target;        // the same, without gaps; may be the frame
    const u8* labels;  // (height, width)
    const Blend* blends;
    int pitch, height, width, rows, columns, bgr;  // bgr: of the frame, and so of the target
};

__device__ int nearest(int index, int size_in, int size_out) {
    return unsigned(2 * index + 1) * unsigned(size_in) / unsigned(2 * size_out);
}

__device__ u8 nearest_label(const u8* labels, int height, int width, int rows, int columns, int y, int x) {
    return labels[(long long)nearest(y, height, rows) * width + nearest(x, width, columns)];
}

KERNEL(labels_nearest, Nearest) {
    const int x = this_x(), y = this_y();
    if (x >= a.columns || y >= a.rows) return;
    a.target[(long long)y * a.columns + x] = nearest_label(a.source, a.height, a.width, a.rows, a.columns, y, x);
}

KERNEL(overlay, Overlay) {
    const int x = this_x(), y = this_y();
    if (x >= a.columns || y >= a.rows) return;
    const Blend blend = a.blends[nearest_label(a.labels, a.height, a.width, a.rows, a.columns, y, x)];
    const u8* frame = a.frame + (long long)y * a.pitch + 3 * x;
    u8* target = a.target + 3 * ((long long)y * a.columns + x);
    const int first = a.bgr ? blend.b : blend.r, third = a.bgr ? blend.r : blend.b;
    target[0] = u8((frame[0] * blend.keep + first) >> 8);
    target[1] = u8((frame[1] * blend.keep + blend.g) >> 8);
    target[2] = u8((frame[2] * blend.keep + third) >> 8);
}
