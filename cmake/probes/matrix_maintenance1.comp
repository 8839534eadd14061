#version 450
// Does the compiler know reductions, conversions and functions of elements of a subgroup's matrices?
#extension GL_KHR_cooperative_matrix : require
#extension GL_EXT_cooperative_matrix_maintenance1 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
layout(local_size_x = 32) in;
layout(set = 0, binding = 0) buffer Floats {
    float floats[];
};

float larger(const in float a, const in float b) {
    return max(a, b);
}

float with_row(const in uint row, const in uint column, const in float x) {
    return x + float(row);
}

void main() {
    coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator> a;
    coopMatLoad(a, floats, 0u, 16u, gl_CooperativeMatrixLayoutRowMajor);
    coopMatReduceEXT(a, a, gl_CooperativeMatrixReduceColumnEXT, larger);
    coopMatPerElementEXT(a, a, with_row);
    coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB> b =
        coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB>(a);
    a = coopMatMulAdd(coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>(1.0), b, a);
    coopMatStore(a, floats, 0u, 16u, gl_CooperativeMatrixLayoutRowMajor);
}
