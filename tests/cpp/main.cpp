// vkattn/vkattn.hpp at work: who owns what, what is refused and how that is said, and an attention that is the one of C
// to the bit. Compiled without exceptions and RTTI; throwing.cpp has them.
//
// Exit status: 0; 1 something does not hold; 77 no Vulkan device. SPDX-License-Identifier: MIT
#include <vkattn/vkattn.hpp>

#include "check.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

static int blocks, warnings; // of the library's host memory; of its log

static void *reallocate(void *, void *old, std::size_t size) {
    void *memory = std::realloc(old, size);
    blocks += memory && !old;
    return memory;
}

static void release(void *, void *memory) {
    blocks -= memory != nullptr;
    std::free(memory);
}

static void on_log(void *, vka_log_level level, const char *item, const char *message) {
    if (level == VKA_LOG_WARNING && std::strstr(item, "destroy")) {
        std::fprintf(stderr, "%s: %s\n", item, message);
        warnings++;
    }
}

static vkattn::device_desc watched() {
    return vkattn::device_desc().allocator({reallocate, release, nullptr}).log({on_log, nullptr, VKA_LOG_WARNING});
}

// ---- owners
// --------------------------------------------------------------------------------------------------------------------

struct everything {
    vkattn::device device; // first, and so destroyed last
    vkattn::buffer buffer;
    vkattn::recorder recorder;
    vkattn::pattern pattern;
    vkattn::plan plan;
};

static everything make() {
    everything e;
    CHECK(e.device.create(watched()));
    CHECK(e.buffer.create(e.device, 4096, VKA_MEMORY_UPLOAD));
    CHECK(e.recorder.create(e.device, vkattn::recorder_desc().scratch_bytes(4096)));
    const auto window = vkattn::pattern_term().kind(VKA_PATTERN_WINDOW).window(4, 4);
    CHECK(e.pattern.create(e.device, vkattn::pattern_desc().queries(64).keys(64).terms(&window).term_count(1)));
    const vka_tensor x = vkattn::tensor(e.buffer, VKA_F32, {4, 8});
    CHECK(e.plan.create(e.device, vkattn::softmax().x(x).out(x)));
    CHECK(e.buffer && e.recorder && e.pattern && e.plan && e.buffer.map() && e.pattern.info().queries == 64);
    return e;
}

static void test_moves() {
    {
        everything e = make();
        vka_buffer *raw = e.buffer;

        vkattn::buffer moved = std::move(e.buffer);
        CHECK(moved.get() == raw && !e.buffer);
        vkattn::buffer &same = moved;
        moved = std::move(same);
        CHECK(moved.get() == raw && moved.size() == 4096);

        vkattn::buffer other;
        CHECK(other.create(e.device, 16));
        other.swap(moved);
        CHECK(other.get() == raw && moved.size() == 16);
        moved = std::move(other); // destroys the one of 16 bytes
        CHECK(moved.get() == raw && !other);
        other.reset();
        CHECK(!other);

        raw = moved.release();
        CHECK(!moved && vka_buffer_size(raw) == 4096);
        moved = vkattn::buffer(raw);
        CHECK(moved.create(e.device, 32)); // destroys the one of 4096
        CHECK(moved.size() == 32);
        CHECK(!moved.create(e.device, 0) && !moved);

        const everything later = std::move(e);
        CHECK(!e.device && later.device && later.plan);
    }
    CHECK(blocks == 0 && warnings == 0);
}

// ---- status
// --------------------------------------------------------------------------------------------------------------------

// Every operation is refused by its own name: its description reaches it.
static void test_operations(vkattn::device &device, vkattn::recorder &recorder) {
    const auto refused = [](vkattn::status s, const char *name) {
        const std::size_t length = std::strlen(name);
        return s.code() == VKA_INVALID && !std::strncmp(s.message(), name, length) && s.message()[length] == '.';
    };
    vka_requirements need;
    char text[64];
    vkattn::plan plan;
#define REFUSED(NAME, number, name)                                                                                    \
    CHECK(refused(recorder.record(vkattn::name()), "vka_" #name));                                                     \
    CHECK(refused(plan.create(device, vkattn::name()), "vka_" #name));                                                 \
    CHECK(refused(device.prepare(vka_##name##_desc()), "vka_" #name));                                                 \
    CHECK(refused(device.requirements(vkattn::name(), need), "vka_" #name));                                           \
    CHECK(refused(device.explain(vkattn::name(), text, sizeof text), "vka_" #name));
    VKA_OPERATIONS(REFUSED)
#undef REFUSED
}

static void test_status() {
    CHECK(vkattn::status() && !vkattn::status(VKA_INVALID));
    CHECK(vkattn::status(VKA_TIMEOUT) == VKA_TIMEOUT && vkattn::status(VKA_TIMEOUT) != VKA_OK);
    CHECK(!std::strcmp(vkattn::status(VKA_TIMEOUT).message(), vka_status_string(VKA_TIMEOUT)));
    CHECK(!std::strcmp(vkattn::status().message(), vka_status_string(VKA_OK)));

    vkattn::device device;
    vkattn::recorder recorder;
    vkattn::status s = recorder.create(device);
    CHECK(s == VKA_INVALID && std::strstr(s.message(), "vka_recorder_create.device"));
    CHECK(device.create() && recorder.create(device) && *device.caps().name);
    CHECK(recorder.submit() == VKA_INVALID);
    CHECK(recorder.begin() && recorder.begin() == VKA_INVALID);
    test_operations(device, recorder);
}

// ---- attention
// -----------------------------------------------------------------------------------------------------------------

enum { HEADS = 3, TOKENS = 37, DIM = 20, COUNT = HEADS * TOKENS * DIM };
using values = std::array<float, COUNT>;

static values random_values(std::uint32_t &bits) {
    values v;
    for (float &x : v) {
        bits = bits * 1664525u + 1013904223u;
        x = static_cast<float>(bits >> 8) / (1u << 23) - 1;
    }
    return v;
}

// Runs what is recorded on poisoned memory.
template <class Record> static values run(vkattn::recorder &recorder, vkattn::buffer &out, Record record) {
    values result;
    std::memset(&result, 0xff, sizeof result);
    CHECK(out.write(result) && recorder.begin() && record() && recorder.submit() && recorder.wait());
    CHECK(out.read(result));
    for (float x : result)
        CHECK(x >= -1 && x <= 1); // a mean of such numbers; NaN is not
    return result;
}

static void test_attention() {
    std::uint32_t seed = 20240517;
    std::printf("seed %u\n", static_cast<unsigned>(seed));
    vkattn::device device;
    vkattn::buffer buffers[4];
    vkattn::recorder recorder;
    vkattn::plan plan;
    vka_tensor tensors[4];
    CHECK(device.create() && recorder.create(device));
    for (int i = 0; i < 4; i++) {
        CHECK(buffers[i].create(device, sizeof(values)) && buffers[i].write(random_values(seed)));
        tensors[i] = vkattn::tensor(buffers[i], VKA_F32, {1, HEADS, TOKENS, DIM});
    }
    vka_attention_desc c = vka_attention_desc();
    c.q = vka_tensor_4d(buffers[0], VKA_F32, 1, HEADS, TOKENS, DIM);
    c.k = vka_tensor_4d(buffers[1], VKA_F32, 1, HEADS, TOKENS, DIM);
    c.v = vka_tensor_4d(buffers[2], VKA_F32, 1, HEADS, TOKENS, DIM);
    c.out = vka_tensor_4d(buffers[3], VKA_F32, 1, HEADS, TOKENS, DIM);
    c.scale = 0.3f;
    c.causal = true;
    c.window.enabled = true;
    c.window.left = 11;
    const auto cpp = vkattn::attention()
                         .q(tensors[0])
                         .k(tensors[1])
                         .v(tensors[2])
                         .out(tensors[3])
                         .scale(0.3f)
                         .causal()
                         .window(11, 0);

    vka_requirements need = vka_requirements();
    CHECK(device.prepare(cpp) && device.requirements(cpp, need) && need.dispatches >= 1);
    char text[2048];
    std::size_t length = 0;
    CHECK(device.explain(cpp, text, sizeof text, &length) && length > 0 && std::strstr(text, "path"));
    CHECK(plan.create(device, cpp));

    vkattn::buffer &out = buffers[3];
    const values expected = run(recorder, out, [&] { return vkattn::check(vka_attention(recorder, &c)); });
    const values described = run(recorder, out, [&] { return recorder.record(cpp); });
    const values from_c = run(recorder, out, [&] { return vkattn::record(recorder, c); });
    const values planned = run(recorder, out, [&] { return recorder.record(plan); });
    CHECK(!std::memcmp(&described, &expected, sizeof expected));
    CHECK(!std::memcmp(&from_c, &expected, sizeof expected));
    CHECK(!std::memcmp(&planned, &expected, sizeof expected));
    values sliced;
    vka_slice slice = vka_slice();
    std::memset(&sliced, 0xff, sizeof sliced);
    CHECK(plan.work() == 0 && plan.prepare_slices() && plan.work() > 0 && out.write(sliced));
    while (!slice.done)
        CHECK(recorder.begin() && recorder.record_slice(plan, plan.work() / 3, slice) && recorder.submit() &&
              recorder.wait());
    CHECK(out.read(sliced) && !std::memcmp(&sliced, &expected, sizeof expected));
    const vka_plan *const twice[] = {plan.get(), plan.get()};
    slice = vka_slice();
    CHECK(recorder.begin() && recorder.record_slice(twice, 2, UINT64_MAX, slice) && slice.done &&
          slice.work == 2 * plan.work() && recorder.submit() && recorder.wait());
    const values other = run(recorder, out, [&] { return recorder.record(vkattn::attention(cpp).window(12, 0)); });
    CHECK(std::memcmp(&other, &expected, sizeof expected)); // what is set arrives
}

// Whatever has elements in one piece, at any offset.
static void test_buffers() {
    vkattn::device device;
    vkattn::buffer buffer;
    CHECK(device.create() && buffer.create(device, 32));
    const std::vector<std::uint32_t> written = {1, 2, 3, 4};
    std::uint32_t read[2] = {};
    float zero = 5;
    CHECK(buffer.write_bytes(&zero, 0) == VKA_OK && buffer.write(written, 16) && buffer.read(read, 20));
    CHECK(read[0] == 2 && read[1] == 3);
    CHECK(buffer.write(written, 20) == VKA_INVALID);
    CHECK(buffer.read_bytes(read, 4, 28) && read[0] == 4);
}

int main() {
    vkattn::device probe;
    if (probe.create() == VKA_NO_DEVICE) {
        std::puts("SKIP: no Vulkan device");
        return 77;
    }
    probe.reset();
    test_moves();
    test_status();
    test_attention();
    test_buffers();
    test_exceptions();
    std::printf("%d failures\n", failures);
    return failures ? 1 : 0;
}
