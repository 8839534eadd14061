// vkattn/vkattn.hpp with exceptions, in a program that has files without. SPDX-License-Identifier: MIT
#define VKATTN_CPP_EXCEPTIONS
#include <vkattn/vkattn.hpp>

#include "check.h"

#include <cstring>

template <class Call> static bool throws(vka_status code, const char *message, Call call) {
    try {
        call();
    } catch (const vkattn::error &e) {
        return e.code() == code && std::strstr(e.what(), message) && !std::strcmp(e.what(), vka_last_error());
    }
    return false;
}

void test_exceptions() {
    vkattn::device device;
    vkattn::recorder recorder;
    vkattn::buffer buffer;
    CHECK(throws(VKA_INVALID, "recorder", [&] { recorder.begin(); }));
    device.create();
    CHECK(throws(VKA_INVALID, "vka_buffer_create.size", [&] { buffer.create(device, 0); }));
    CHECK(!buffer);
    recorder.create(device);
    CHECK(throws(VKA_INVALID, "vka_attention.", [&] { recorder.record(vkattn::attention()); }));
    recorder.begin();
    CHECK(throws(VKA_INVALID, "vka_attention.q", [&] { recorder.record(vkattn::attention()); }));
    CHECK(
        throws(VKA_INVALID, "vka_buffer_create", [&] { vkattn::check(vka_buffer_create(nullptr, nullptr, nullptr)); }));

    // What was begun goes on, and nothing of it is thrown.
    buffer.create(device, 64);
    recorder.fill(buffer, 0, 64, 7);
    recorder.submit();
    recorder.wait();
    CHECK(recorder.wait(0).code() == VKA_OK);
    CHECK(vkattn::check(VKA_TIMEOUT).code() == VKA_TIMEOUT);
    std::uint32_t words[16] = {};
    buffer.read(words);
    for (std::uint32_t word : words)
        CHECK(word == 7);
}
