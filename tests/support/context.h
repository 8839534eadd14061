/* A device, a recorder, and what every test wants to know about them: what was logged, whether memory leaked, whether
 * the validation layer complained.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_CONTEXT_H
#define VKATTN_TEST_CONTEXT_H

#include <vkattn/vkattn.h>

/* ---- devices ------------------------------------------------------------------------------------------------- */

/* The real device, or what a smaller one would look like. */
typedef struct device_config {
    const char *name;
    void (*narrow)(void *user, vka_device_caps *caps);
} device_config;

extern const device_config config_real;
extern const device_config config_no_f16;       /* no 16-bit storage and arithmetic */
extern const device_config config_tiny;         /* 16 KiB of shared memory, 128 invocations */
extern const device_config config_short;        /* bindings see 64 KiB */
extern const device_config config_no_sub;       /* no subgroup arithmetic */
extern const device_config config_no_int64;     /* no 64-bit integers */
extern const device_config config_staged;       /* device memory can't be mapped */
extern const device_config config_gpu;          /* plans are those of a GPU */
extern const device_config config_few_groups;   /* dispatches of a few workgroups */
extern const device_config config_few_buffers;  /* kernels bind no more than eight */
extern const device_config config_low_register; /* Intel's registers, of which there are few */
/* Matrices of another shape than the device lists, where it can do that. */
extern const device_config config_matrix_16x16x16;       /* NVIDIA, AMD */
extern const device_config config_low_register_16x16x16; /* the same with few registers */
extern const device_config config_matrix_8x16x16;        /* Intel, with its registers */
extern const device_config config_matrix_16x8x8;         /* NVIDIA's smallest */

typedef struct context {
    vka_device *device;
    vka_recorder *recorder;
    const device_config *config;
} context;

/* What context_open creates the device with: intercepted loader, captured log, counted allocator. */
vka_device_desc context_desc(void);

/* Skips the test, visibly, when there is no device. */
void context_open(context *c, const device_config *config);

/* Destroys both and asserts that no handle and no host memory is left and that no validation error was seen. */
void context_close(context *c);

/* Asserts the same when everything is already destroyed. */
void context_check(const char *what);

/* Submits what was recorded, waits, asserts success. */
void context_finish(context *c);

/* Skips when the machine has no Vulkan device. */
void context_require_device(void);

/* A software driver that takes seconds to compile a kernel (Debian 12's, Mesa before 26.1). Tests that would compile
 * dozens of them leave cases out there, or take other ones, and say so; VKATTN_TEST_ALL=1 runs them all the same. */
bool context_compiles_slowly(const context *c);
/* Is the next case left out? Where drivers compile slowly all but every `share`th that asks in a test, on other
 * software drivers five of seven. With a share that is no multiple of 2 or 3, cases that go through types and the like
 * in turn are left out evenly. A line is printed for each; tools/run-test counts them. */
bool context_leaves_out(const context *c, uint32_t share);
/* A software driver: of the kernels that would do for a case, every third one runs, in turn. */
bool context_takes_turns(const context *c);
/* Is the device a processor, whose driver compiles everything in software? */
bool context_is_software(const context *c);

/* VKATTN_SEED, or a constant. */
uint64_t test_seed(void);

/* ---- log ----------------------------------------------------------------------------------------------------- */

#define LOG_MAX_LINES 64

typedef struct log_line {
    vka_log_level level;
    char item[128];
    char message[512];
} log_line;

vka_log log_capture(void);
void log_clear(void);
uint32_t log_count(vka_log_level level);
/* The latest line of this level, or an empty one. */
log_line log_last(vka_log_level level);
/* Is it "function.field"? `item` may be a function alone, to which any field belongs, ".field" of any function, or "."
 * for anything. */
bool log_item_matches(const char *line_item, const char *item);

/* Asserts that the call fails with `status`, logging exactly one error about `item`. */
#define EXPECT_FAILURE(call, status, item)                                                                             \
    do {                                                                                                               \
        log_clear();                                                                                                   \
        expect_failure_((call), (status), (item), #call, __FILE__, __LINE__);                                          \
    } while (0)
void expect_failure_(vka_status got, vka_status wanted, const char *item, const char *call, const char *file, int line);

#define EXPECT_OK(call) expect_ok_((call), #call, __FILE__, __LINE__)
void expect_ok_(vka_status got, const char *call, const char *file, int line);

/* ---- host memory --------------------------------------------------------------------------------------------- */

vka_allocator allocator_counted(void);
/* Makes the nth allocation from now return NULL; 0: none. */
void allocator_fail(uint32_t nth);
bool allocator_failed(void);
uint64_t allocator_calls(void); /* allocations so far */
int64_t allocator_live(void);   /* blocks not freed   */

/* All four functions of an operation refuse a description, and name the same. */
#define EXPECT_REFUSED(operation, c, desc, status, item)                                                               \
    do {                                                                                                               \
        vka_requirements need_;                                                                                        \
        size_t length_;                                                                                                \
        char text_[64];                                                                                                \
        EXPECT_FAILURE(operation((c)->recorder, desc), status, item);                                                  \
        EXPECT_FAILURE(operation##_prepare((c)->device, desc), status, item);                                          \
        EXPECT_FAILURE(operation##_requirements((c)->device, desc, &need_), status, item);                             \
        EXPECT_FAILURE(operation##_explain((c)->device, desc, text_, sizeof text_, &length_), status, item);           \
    } while (0)

#endif
