/* minimal.c in C++: attention on whatever Vulkan device this machine has.
 * SPDX-License-Identifier: MIT */
#include <vkattn/vkattn.hpp>

#include <cmath>
#include <cstdio>
#include <cstdlib>

enum { HEADS = 8, TOKENS = 256, DIM = 64, COUNT = HEADS * TOKENS * DIM };

static void check(vkattn::status status) {
    if (!status) {
        std::fprintf(stderr, "minimal: %s\n", status.message());
        std::exit(1);
    }
}

static float data[COUNT];

static vkattn::buffer upload_random(vka_device *device) {
    vkattn::buffer buffer;
    check(buffer.create(device, sizeof data));
    for (float &x : data)
        x = static_cast<float>(std::rand()) / static_cast<float>(RAND_MAX) - 0.5f;
    check(buffer.write(data));
    return buffer;
}

static vka_tensor tensor(vka_buffer *buffer) {
    return vkattn::tensor(buffer, VKA_F32, {1, HEADS, TOKENS, DIM});
}

int main() {
    vkattn::device device;
    check(device.create());
    vkattn::buffer q = upload_random(device), k = upload_random(device), v = upload_random(device);
    vkattn::buffer out = upload_random(device);

    vkattn::recorder recorder;
    check(recorder.create(device));
    check(recorder.begin());
    check(recorder.record(vkattn::attention().q(tensor(q)).k(tensor(k)).v(tensor(v)).out(tensor(out)).causal()));
    check(recorder.submit());
    check(recorder.wait());
    float value; /* of the first token: it sees only itself, so that is its output */
    check(out.read(data));
    check(v.read_bytes(&value, sizeof value));
    std::printf("%s: first token %f (expected %f), last token %f\n", device.caps().name, double(data[0]), double(value),
                double(data[COUNT - DIM]));
    return std::fabs(data[0] - value) < 1e-5f ? 0 : 1;
}
