#version 450
// One step of AdamW (Loshchilov 2019). See elementwise.glsl; an invocation owns what it changes.
//
// 1 - beta^step is small in the first steps: it is computed as 1 - exp(step log beta) without a difference of numbers next to 1.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "elementwise.glsl"
#include "float_bits.glsl"
#include "expm1.glsl"

VKA_INOUT(VKA_BIND_FIRST, parameter)
VKA_READERS(parameter, VKA_BIND_FIRST, FIRST_TYPE)
VKA_WRITERS(parameter, FIRST_TYPE)
VKA_WORD_WRITERS(parameter, FIRST_TYPE)
VKA_ELEMENTS(VKA_BIND_SECOND, gradient, SECOND_TYPE)
VKA_INOUT(VKA_BIND_RESULT, master)
VKA_READERS(master, VKA_BIND_RESULT, VKA_TYPE_F32)
VKA_WRITERS(master, VKA_TYPE_F32)
VKA_INOUT(VKA_BIND_THIRD, mean)
VKA_READERS(mean, VKA_BIND_THIRD, VKA_TYPE_F32)
VKA_WRITERS(mean, VKA_TYPE_F32)
VKA_INOUT(VKA_BIND_FOURTH, square)
VKA_READERS(square, VKA_BIND_FOURTH, VKA_TYPE_F32)
VKA_WRITERS(square, VKA_TYPE_F32)
VKA_INPUT_F32(VKA_BIND_GRAD_SCALE, grad_scale)
VKA_INPUT_I32(VKA_BIND_STEP, steps)
VKA_INPUT_F32(VKA_BIND_RATE_SCALE, rate_scale)

void main() {
    if (invocation() >= push.rows * p.units)
        return;
    float scale = has(VKA_FLAG_GRAD_SCALE) ? grad_scale_at(push.base[VKA_BIND_GRAD_SCALE]) : 1.0;
    if (scale == 0.0 || is_nonfinite(scale))
        return;
    float rate = has(VKA_FLAG_RATE_SCALE) ? p.rate * rate_scale_at(push.base[VKA_BIND_RATE_SCALE]) : p.rate;
    float step = float(max(steps_at(0u), 1)), decay = rate * p.decay;
    float mean_rate = rate / -expm1_of(max(step * p.log_beta1, -80.0));
    float square_root = sqrt(-expm1_of(max(step * p.log_beta2, -80.0)));
    uvec3 row = row_of(invocation() / p.units);
    uint to = push.base[VKA_BIND_FIRST] + row_at(p.first, row), from = gradient_row_at(p.second, row);
    uint master_row = push.base[VKA_BIND_RESULT] + row_at(p.out_, row);
    uint mean_row = push.base[VKA_BIND_THIRD] + row_at(p.third, row);
    uint square_row = push.base[VKA_BIND_FOURTH] + row_at(p.fourth, row);
    for (uint v = invocation() % p.units; 4u * v < p.cols; v += p.units) {
        vec4 g = scale * gradient_vector4(from, p.second.d, v, p.cols, has(VKA_FLAG_SECOND_VEC4));
        vec4 m = mean_row4(mean_row, p.third.d, v, p.cols, has(VKA_FLAG_THIRD_VEC4));
        vec4 s = square_row4(square_row, p.fourth.d, v, p.cols, has(VKA_FLAG_FOURTH_VEC4));
        vec4 x = OUT_TYPE != 0u ? master_row4(master_row, p.out_.d, v, p.cols, has(VKA_FLAG_VEC4))
                                : parameter_row4(to, p.first.d, v, p.cols, has(VKA_FLAG_X_VEC4));
        m = fma(vec4(1.0 - p.beta1), g - m, m);
        s = fma((1.0 - p.beta2) * g, g, p.beta2 * s);
        x = fma(vec4(-decay), x, x) - mean_rate * m / (sqrt(s) / square_root + p.epsilon);
        mean_put_row4(mean_row, p.third.d, v, p.cols, has(VKA_FLAG_THIRD_VEC4), m);
        square_put_row4(square_row, p.fourth.d, v, p.cols, has(VKA_FLAG_FOURTH_VEC4), s);
        if (OUT_TYPE != 0u)
            master_put_row4(master_row, p.out_.d, v, p.cols, has(VKA_FLAG_VEC4), x);
        parameter_put_words4(to, p.first.d, v, p.cols, has(VKA_FLAG_X_VEC4), x);
    }
}
