// Segments PNG images with an engine of edgeseg, in C++ alone:
//
//     segment ENGINE.openvino.PRECISION.onnx FOLDER IMAGE.png...
//
// FOLDER/IMAGE.png gets the class id of each pixel, the same as `edgeseg stream IMAGE.png ENGINE -o masks:FOLDER`.
// Prints the share of each class as one JSON object per image. ENGINE.json, the sidecar, says how the engine is to be
// used: size of its input, kind of its output, class names. The input is uint8 RGB: normalisation is in the engine.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <openvino/openvino.hpp>
#include <png.h>

using nlohmann::json;
using Bytes = std::vector<uint8_t>;

struct Image {  // row by row; channels: 3 for RGB, 1 for labels
    int height = 0, width = 0, channels = 0;
    Bytes data;
    Image(int height, int width, int channels)
        : height(height), width(width), channels(channels), data(size_t(height) * width * channels) {}
    const uint8_t* at(int y, int x) const { return &data[(size_t(y) * width + x) * channels]; }
    uint8_t* at(int y, int x) { return &data[(size_t(y) * width + x) * channels]; }
};

Image read_png(const std::string& path) {
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_file(&png, path.c_str())) throw std::runtime_error(path + ": " + png.message);
    png.format = PNG_FORMAT_RGB;
    Image image(int(png.height), int(png.width), 3);
    if (!png_image_finish_read(&png, nullptr, image.data.data(), 0, nullptr))
        throw std::runtime_error(path + ": " + png.message);
    return image;
}

void write_png(const std::string& path, const Image& labels) {
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    png.width = png_uint_32(labels.width);
    png.height = png_uint_32(labels.height);
    png.format = PNG_FORMAT_GRAY;
    if (!png_image_write_to_file(&png, path.c_str(), 0, labels.data.data(), 0, nullptr))
        throw std::runtime_error(path + ": " + png.message);
}

// Two source positions of an output pixel, and their weights in 1/2048.
struct Tap {
    int first, second, first_weight, second_weight;
};

// The weights of OpenCV's INTER_LINEAR for uint8; at the borders it treats columns and rows differently.
std::vector<Tap> resize_taps(int in, int out, bool columns) {
    std::vector<Tap> taps;
    for (int i = 0; i < out; ++i) {
        const float position = float((i + 0.5) * (double(in) / out) - 0.5);
        float lower = std::floor(position), weight = position - lower;
        if (columns && (lower < 0 || lower >= float(in - 1))) weight = 0;
        if (columns) lower = std::clamp(lower, 0.0f, float(in - 1));
        const int first = std::clamp(int(lower), 0, in - 1), second = std::clamp(int(lower) + 1, 0, in - 1);
        taps.push_back({first, second, int(std::rint((1 - weight) * 2048.0f)), int(std::rint(weight * 2048.0f))});
    }
    return taps;
}

Image resize(const Image& image, int height, int width) {
    if (image.height == height && image.width == width) return image;
    const auto rows = resize_taps(image.height, height, false), columns = resize_taps(image.width, width, true);
    Image resized(height, width, image.channels);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < image.channels; ++c) {
                const Tap &row = rows[y], &column = columns[x];
                const auto across = [&](int source) {
                    return (column.first_weight * image.at(source, column.first)[c] +
                            column.second_weight * image.at(source, column.second)[c]) >> 4;
                };
                const int top = (row.first_weight * across(row.first)) >> 16;
                const int bottom = (row.second_weight * across(row.second)) >> 16;
                resized.at(y, x)[c] = uint8_t((top + bottom + 2) >> 2);
            }
    return resized;
}

// For each output pixel the lower source index, and the weight of the one above it; in float, as torch does.
void source_axis(int in, int out, bool align_corners, std::vector<int>& lower, std::vector<float>& weight) {
    for (int i = 0; i < out; ++i) {
        float position = align_corners ? float(i) * (float(in - 1) / float(std::max(out - 1, 1)))
                                       : std::max((float(i) + 0.5f) * (float(in) / float(out)) - 0.5f, 0.0f);
        lower.push_back(std::min(int(position), in - 1));
        weight.push_back(std::clamp(position - float(lower.back()), 0.0f, 1.0f));
    }
}

// Logits (1, C, h, w), upsampled bilinearly and then compared: the first of equal classes wins.
Image labels_from_logits(const ov::Tensor& tensor, int height, int width, bool align_corners) {
    const auto shape = tensor.get_shape();
    const int classes = int(shape.at(1)), h = int(shape.at(2)), w = int(shape.at(3));
    const float* logits = tensor.data<const float>();
    std::vector<int> rows, columns;
    std::vector<float> fy, fx;
    source_axis(h, height, align_corners, rows, fy);
    source_axis(w, width, align_corners, columns, fx);
    Image labels(height, width, 1);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const int left = columns[x], right = std::min(left + 1, w - 1);
            float best = 0;
            for (int c = 0; c < classes; ++c) {
                const float* top = logits + (size_t(c) * h + rows[y]) * w;
                const float* bottom = logits + (size_t(c) * h + std::min(rows[y] + 1, h - 1)) * w;
                const float value = (1 - fy[y]) * ((1 - fx[x]) * top[left] + fx[x] * top[right]) +
                                    fy[y] * ((1 - fx[x]) * bottom[left] + fx[x] * bottom[right]);
                if (c == 0 || value > best) best = value, *labels.at(y, x) = uint8_t(c);
            }
        }
    return labels;
}

// A mask (1, h, w) of class ids, by nearest neighbour.
Image labels_from_mask(const ov::Tensor& tensor, int height, int width) {
    const auto shape = tensor.get_shape();
    const int64_t h = int64_t(shape.at(1)), w = int64_t(shape.at(2));
    const uint8_t* mask = tensor.data<const uint8_t>();
    Image labels(height, width, 1);
    for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x)
            *labels.at(int(y), int(x)) = mask[(2 * y + 1) * h / (2 * height) * w + (2 * x + 1) * w / (2 * width)];
    return labels;
}

// As edgeseg: layers that are not int8 are computed in bf16 where the processor has it, and else in fp32.
ov::element::Type floating_precision(const std::string& precision) {
    bool native_bf16 = false;
#if defined(__x86_64__) && defined(__GNUC__)
    native_bf16 = __builtin_cpu_supports("avx512bf16");
#endif
    return precision != "fp32" && native_bf16 ? ov::element::bf16 : ov::element::f32;
}

int run(const std::vector<std::string>& words) {
    if (words.size() < 4) throw std::runtime_error("usage: segment ENGINE FOLDER IMAGE.png...");
    std::ifstream file(words[1] + ".json");
    if (!file) throw std::runtime_error("no sidecar: " + words[1] + ".json");
    const json sidecar = json::parse(file), &spec = sidecar.at("spec"), &input = spec.at("input");
    if (sidecar.at("engine") != "openvino") throw std::runtime_error("this is not an engine of OpenVINO");
    if (input.contains("tiles")) throw std::runtime_error("this example has no tiles");
    const int height = input.at("height"), width = input.at("width");

    ov::Core core;
    auto compiled = core.compile_model(words[1], "CPU",
        ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
        ov::hint::inference_precision(floating_precision(sidecar.at("precision"))));
    auto request = compiled.create_infer_request();
    for (size_t i = 3; i < words.size(); ++i) {
        const Image image = read_png(words[i]);
        Image resized = resize(image, height, width);
        request.set_input_tensor(ov::Tensor(ov::element::u8, {1, size_t(height), size_t(width), 3}, resized.data.data()));
        request.infer();
        const Image labels = sidecar.at("output") == "mask"
            ? labels_from_mask(request.get_output_tensor(), image.height, image.width)
            : labels_from_logits(request.get_output_tensor(), image.height, image.width, spec.at("align_corners"));
        const std::string name = words[i].substr(words[i].find_last_of('/') + 1);
        write_png(words[2] + "/" + name, labels);
        json shares;
        const auto& names = spec.at("labels").at("names");
        for (size_t id = 0; id < names.size(); ++id)
            shares[names[id].get<std::string>()] =
                double(std::count(labels.data.begin(), labels.data.end(), id)) / double(labels.data.size());
        std::cout << json{{"image", name}, {"shares", shares}} << "\n";
    }
    return 0;
}

int main(int count, char** words) {
    try {
        return run({words, words + count});
    } catch (const std::exception& problem) {
        std::cerr << "error: " << problem.what() << "\n";
        return 2;
    }
}
