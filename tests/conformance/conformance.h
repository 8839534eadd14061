/* vkattn-conformance: runs cases that somebody else computed, ONNX or PyTorch, through the public API.
 *
 * A case is a folder with a file case.txt, which case.c describes, and raw tensors. Each is a verdict and, unless it
 * passed, one line of text. Operators are added as files of ops/: see `operation` below.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_CONFORMANCE_H
#define VKATTN_CONFORMANCE_H

#include <vkattn/vkattn.h>

/* ---- results: main.c --------------------------------------------------------------------------------------------- */

typedef enum verdict { PASSED = 0, FAILED, SKIPPED } verdict;

typedef struct result {
    verdict verdict;
    uint32_t compared; /* outputs, as bits by their index                                                             */
    char text[1024];
} result;

/* Set the verdict and say why; the first one stays. Both return false, so that whoever calls can return it too. */
bool fail(result *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool skip(result *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- cases: case.c ----------------------------------------------------------------------------------------------- */

#define CASE_MAX_RANK  8
#define CASE_MAX_COUNT 32 /* inputs, outputs, attributes: of each */
#define CASE_MAX_NAME  128

/* An element type of a case. */
typedef struct case_type {
    const char *name;
    size_t size;     /* bytes of an element                                                                          */
    vka_dtype dtype; /* the library's; VKA_DTYPE_INVALID if it has none                                              */
} case_type;

typedef struct case_tensor {
    const case_type *type; /* NULL: absent                                                                          */
    uint32_t index;        /* in the case's list                                                                    */
    char name[CASE_MAX_NAME];
    uint32_t rank;
    uint32_t dims[CASE_MAX_RANK];
    size_t count; /* elements                                                                                       */
    void *data;   /* dense, never NULL in a tensor that is present                                                  */
    bool has_naive;
    double naive; /* of outputs: the largest error of whoever computed it, in the type of storage                   */
} case_tensor;

typedef enum case_attribute_type { CASE_INT, CASE_FLOAT, CASE_STRING } case_attribute_type;

typedef struct case_attribute {
    char name[CASE_MAX_NAME];
    case_attribute_type type;
    int64_t integer;
    float real;
    char string[CASE_MAX_NAME];
} case_attribute;

typedef struct op_case {
    char op[CASE_MAX_NAME];
    uint32_t opset;
    case_attribute attributes[CASE_MAX_COUNT];
    uint32_t attribute_count;
    case_tensor inputs[CASE_MAX_COUNT]; /* by their index in the operator's definition                             */
    case_tensor outputs[CASE_MAX_COUNT];
    case_tensor input_gradients[CASE_MAX_COUNT]; /* of PyTorch: what backward passes read (d_y) and compute (d_x)  */
    case_tensor output_gradients[CASE_MAX_COUNT];
} op_case;

/* Reads a folder; a malformed one is a failure. Whatever it returns, case_free releases the case. */
bool case_load(op_case *c, const char *folder, result *r);
void case_free(op_case *c);

/* The input of a name; one that is absent if there is none. */
const case_tensor *case_input(const op_case *c, const char *name);

/* The same of the tensors that only backward passes have: "d_y" among the inputs, "d_x" among the outputs. */
const case_tensor *case_input_gradient(const op_case *c, const char *name);
const case_tensor *case_output_gradient(const op_case *c, const char *name);

/* The attribute's value, or what is given for its absence. One of another type is a failure. */
bool case_get_int(const op_case *c, const char *name, int64_t absent, int64_t *value, result *r);
bool case_get_float(const op_case *c, const char *name, float absent, float *value, result *r);
bool case_has_attribute(const op_case *c, const char *name);

/* Skips the case unless the tensor is absent or f32, f16 or bf16. */
bool case_is_real(const case_tensor *t, result *r);
/* The same for what is computed: f64 is legal too. */
bool case_is_result(const case_tensor *t, result *r);
/* Fails unless the tensor is absent or has just this shape. */
bool case_has_shape(const case_tensor *t, uint32_t rank, const uint32_t *dims, result *r);
/* "[2, 3, 4]" */
const char *case_shape_text(uint32_t rank, const uint32_t *dims, char text[128]);

/* ---- the device: gpu.c ------------------------------------------------------------------------------------------- */

typedef struct gpu {
    vka_device *device;
    vka_recorder *recorder; /* of the case that runs, like what follows                                            */
    vka_buffer *buffers[2 * CASE_MAX_COUNT];
    uint32_t buffer_count;
    vka_status status; /* of the first call that failed                                                             */
    char error[512];   /* the log's line about it                                                                   */
} gpu;

vka_status gpu_open(gpu *g);
void gpu_close(gpu *g);

/* Between begin and end a case makes buffers, records one operation, and runs it. Failures wait until gpu_run, so that
 * descriptions can be filled in without a check a line; buffers are NULL then. */
void gpu_begin(gpu *g);
vka_buffer *gpu_input(gpu *g, const void *data, size_t size);
vka_buffer *gpu_output(gpu *g, size_t size); /* holds a pattern that is no plausible result                         */
/* Tensors of a case, dense, and of up to four dimensions: more fail. Absent ones stay absent; scalars are [1]. */
vka_tensor gpu_tensor(gpu *g, const case_tensor *t);
vka_tensor gpu_floats(gpu *g, const case_tensor *t); /* the same, converted to f32                                   */
vka_tensor gpu_result(gpu *g, const case_tensor *want, vka_dtype dtype); /* an output of want's shape                */
/* Gradients. After gpu_run of the operation an operator goes on with its backward operation:
 *
 *     if (gpu_run(..) && gpu_check(..) && gpu_begin_backward(g, c, r)) {
 *         vka_softmax_backward_desc b = {.out = d.out, .d_out = gpu_input_gradient(g, c, "d_y")};
 *         b.d_x = gpu_output_gradient(g, c, "d_x", dtype);
 *         if (gpu_run(g, vka_softmax_backward(g->recorder, &b), r)) {
 *             gpu_check_gradient(g, c, "d_x", &b.d_x, r);
 *         }
 *     }
 *
 * Begins a second operation on the same buffers, if the case has gradients; false with a verdict, or because it has
 * none. Tensors of gradients are dense and as the case has them, and absent where it has none. */
bool gpu_begin_backward(gpu *g, const op_case *c, result *r);
vka_tensor gpu_input_gradient(gpu *g, const op_case *c, const char *name);
vka_tensor gpu_output_gradient(gpu *g, const op_case *c, const char *name, vka_dtype dtype);
/* gpu_check of one; a case without it passes. */
bool gpu_check_gradient(gpu *g, const op_case *c, const char *name, const vka_tensor *t, result *r);
/* Runs what was recorded. recorded is what recording it returned: VKA_UNSUPPORTED skips the case. */
bool gpu_run(gpu *g, vka_status recorded, result *r);
/* Reads the buffer of an output and compares it with the case's, unless that is absent. */
bool gpu_check(gpu *g, vka_buffer *buffer, vka_dtype dtype, const case_tensor *want, result *r);
void gpu_end(gpu *g);

/* ---- comparing: compare.c ---------------------------------------------------------------------------------------- */

/* Every element against want's, within what compare.c says. NaN only equals NaN, infinities only themselves. Fails with
 * the worst element. */
bool compare(const case_tensor *want, vka_dtype dtype, const void *got, result *r);

/* ---- operators: ops/ --------------------------------------------------------------------------------------------- */

/* An operator. A file ops/<group>.c defines const operation group_<group>[], which ends with {0}. */
typedef struct operation {
    const char *name;           /* as cases have it                                                                 */
    uint32_t since;             /* opset; 0: it has none                                                            */
    uint32_t inputs, outputs;   /* how many there can be                                                            */
    const char *attributes[12]; /* that are known; a case with another one means something else                     */
    /* Runs a loaded case and compares all its outputs; of gradients, those that it can compute. */
    void (*run)(gpu *g, const op_case *c, result *r);
} operation;

#endif
