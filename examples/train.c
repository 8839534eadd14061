/* A network learns which points lie in a ring: a training step is recorded once and submitted a few hundred times.
 * SPDX-License-Identifier: MIT
 *
 *   hidden = tanh(x W1^T + b1),  logits = hidden W2^T + b2,  loss = cross entropy
 *
 * Forward, backward, the gradients' norm and AdamW (Loshchilov 2019) run on the device; the host reads the loss now and
 * then.
 */
#include <vkattn/linear.h>
#include <vkattn/loss.h>
#include <vkattn/optim.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { POINTS = 512, HIDDEN = 32, CLASSES = 2, STEPS = 240, PARAMETERS = 4 };

typedef struct parameter {
    vka_tensor value, gradient, moments[2];
} parameter;

typedef struct network {
    vka_device *device;
    vka_tensor x, targets;
    vka_tensor hidden, logits, d_hidden, d_logits, lse, loss, d_loss, grad_scale, step;
    parameter w1, b1, w2, b2;
} network;

static void check(vka_status status) {
    if (status != VKA_OK) {
        fprintf(stderr, "train: %s\n", vka_status_string(status));
        exit(1);
    }
}

static void log_line(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user, (void)level;
    fprintf(stderr, "train: %s: %s\n", item, message);
}

/* Numbers are zero at first. */
static vka_tensor create(const network *n, vka_dtype dtype, uint32_t rows, uint32_t columns) {
    uint64_t size = (uint64_t)rows * columns * 4;
    vka_buffer *buffer;
    check(vka_buffer_create(n->device, &(vka_buffer_desc){.size = size, .memory = VKA_MEMORY_READBACK}, &buffer));
    unsigned char *bytes = vka_buffer_map(buffer);
    for (uint64_t i = 0; i < size; i++) {
        bytes[i] = 0;
    }
    return rows > 1 ? vka_tensor_2d(buffer, dtype, rows, columns) : vka_tensor_1d(buffer, dtype, columns);
}

static float *numbers_of(const vka_tensor *t) {
    return vka_buffer_map(t->buffer);
}

static float uniform(void) {
    return 2 * ((float)rand() / (float)RAND_MAX) - 1;
}

static parameter create_parameter(const network *n, uint32_t rows, uint32_t columns, float deviation) {
    parameter p = {.value = create(n, VKA_F32, rows, columns),
                   .gradient = create(n, VKA_F32, rows, columns),
                   .moments = {create(n, VKA_F32, rows, columns), create(n, VKA_F32, rows, columns)}};
    for (uint32_t i = 0; i < rows * columns; i++) {
        numbers_of(&p.value)[i] = deviation * uniform();
    }
    return p;
}

static void create_network(network *n) {
    n->x = create(n, VKA_F32, POINTS, 2);
    n->targets = create(n, VKA_I32, 1, POINTS);
    int32_t *targets = vka_buffer_map(n->targets.buffer);
    for (int i = 0; i < POINTS; i++) {
        float *point = numbers_of(&n->x) + (size_t)2 * i;
        point[0] = uniform(), point[1] = uniform();
        float radius = hypotf(point[0], point[1]);
        targets[i] = radius > 0.4f && radius < 0.8f;
    }
    n->w1 = create_parameter(n, HIDDEN, 2, 2);
    n->b1 = create_parameter(n, 1, HIDDEN, 1);
    n->w2 = create_parameter(n, CLASSES, HIDDEN, 0.3f);
    n->b2 = create_parameter(n, 1, CLASSES, 0);
    n->hidden = create(n, VKA_F32, POINTS, HIDDEN);
    n->d_hidden = create(n, VKA_F32, POINTS, HIDDEN);
    n->logits = create(n, VKA_F32, POINTS, CLASSES);
    n->d_logits = create(n, VKA_F32, POINTS, CLASSES);
    n->lse = create(n, VKA_F32, 1, POINTS);
    n->loss = create(n, VKA_F32, 1, 1);
    n->d_loss = create(n, VKA_F32, 1, 1);
    numbers_of(&n->d_loss)[0] = 1;
    n->grad_scale = create(n, VKA_F32, 1, 1);
    n->step = create(n, VKA_I32, 1, 1);
}

static void record_forward(vka_recorder *rec, const network *n) {
    check(vka_linear(rec, &(vka_linear_desc){.x = n->x,
                                             .weight = n->w1.value,
                                             .bias = n->b1.value,
                                             .out = n->hidden,
                                             .activation = VKA_ACTIVATION_TANH}));
    check(vka_linear(rec,
                     &(vka_linear_desc){.x = n->hidden, .weight = n->w2.value, .bias = n->b2.value, .out = n->logits}));
    check(vka_cross_entropy(
        rec, &(vka_cross_entropy_desc){.logits = n->logits, .targets = n->targets, .lse = n->lse, .total = n->loss}));
}

/* The logits stay, for the host to look at; their gradient would also fit in their place. */
static void record_backward(vka_recorder *rec, const network *n) {
    check(vka_cross_entropy_backward(
        rec,
        &(vka_cross_entropy_backward_desc){
            .logits = n->logits, .targets = n->targets, .lse = n->lse, .d_total = n->d_loss, .d_logits = n->d_logits}));
    check(vka_linear_backward(rec, &(vka_linear_backward_desc){.x = n->hidden,
                                                               .weight = n->w2.value,
                                                               .d_out = n->d_logits,
                                                               .d_x = n->d_hidden,
                                                               .d_weight = n->w2.gradient,
                                                               .d_bias = n->b2.gradient}));
    check(vka_linear_backward(rec, &(vka_linear_backward_desc){.x = n->x,
                                                               .weight = n->w1.value,
                                                               .bias = n->b1.value,
                                                               .d_out = n->d_hidden,
                                                               .d_weight = n->w1.gradient,
                                                               .d_bias = n->b1.gradient,
                                                               .activation = VKA_ACTIVATION_TANH}));
}

static void record_update(vka_recorder *rec, const network *n) {
    const parameter *all[PARAMETERS] = {&n->w1, &n->b1, &n->w2, &n->b2};
    vka_gradient_norm_desc norm = {.grad_scale = n->grad_scale, .step = n->step, .max_norm = 1};
    for (int i = 0; i < PARAMETERS; i++) {
        norm.gradients[i] = all[i]->gradient;
    }
    check(vka_gradient_norm(rec, &norm));
    for (int i = 0; i < PARAMETERS; i++) {
        check(vka_adamw(rec, &(vka_adamw_desc){.parameter = all[i]->value,
                                               .gradient = all[i]->gradient,
                                               .first_moment = all[i]->moments[0],
                                               .second_moment = all[i]->moments[1],
                                               .grad_scale = n->grad_scale,
                                               .step.tensor = n->step,
                                               .learning_rate = 0.03f}));
    }
}

static int count_right(const network *n) {
    const int32_t *targets = vka_buffer_map(n->targets.buffer);
    int right = 0;
    for (int i = 0; i < POINTS; i++) {
        const float *logits = numbers_of(&n->logits) + (size_t)CLASSES * i;
        right += (logits[1] > logits[0]) == targets[i];
    }
    return right;
}

static void destroy_network(network *n) {
    vka_tensor *tensors[] = {&n->x,   &n->targets, &n->hidden, &n->logits,     &n->d_hidden, &n->d_logits,
                             &n->lse, &n->loss,    &n->d_loss, &n->grad_scale, &n->step};
    parameter *all[PARAMETERS] = {&n->w1, &n->b1, &n->w2, &n->b2};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        vka_buffer_destroy(&tensors[i]->buffer);
    }
    for (int i = 0; i < PARAMETERS; i++) {
        vka_buffer_destroy(&all[i]->value.buffer);
        vka_buffer_destroy(&all[i]->gradient.buffer);
        vka_buffer_destroy(&all[i]->moments[0].buffer);
        vka_buffer_destroy(&all[i]->moments[1].buffer);
    }
    vka_device_destroy(&n->device);
}

int main(void) {
    network n = {0};
    vka_recorder *rec;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line, .level = VKA_LOG_WARNING}}, &n.device));
    create_network(&n);
    check(vka_recorder_create(n.device, NULL, &rec));
    check(vka_recorder_begin(rec));
    record_forward(rec, &n);
    record_backward(rec, &n);
    record_update(rec, &n);
    for (int step = 0; step < STEPS; step++) {
        check(vka_recorder_submit(rec));
        if (step % 60 == 0 || step == STEPS - 1) {
            check(vka_recorder_wait(rec, VKA_FOREVER));
            printf("step %3d: loss %.4f, %d of %d points right\n", step + 1, (double)numbers_of(&n.loss)[0],
                   count_right(&n), POINTS);
        }
    }
    int right = count_right(&n);
    vka_recorder_destroy(&rec);
    destroy_network(&n);
    return right >= POINTS * 95 / 100 ? 0 : 1;
}
