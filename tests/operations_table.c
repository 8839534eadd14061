/* Prints what descriptions of operations say, in Markdown, for tools/check-operations, which adds what headers say
 * where a line "@text name" stands. SPDX-License-Identifier: MIT */
#include "op/op.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const vka__op *op;
} ops[] = {
#define X(NAME, value, name) {#name, &vka__op_##name},
    VKA_OPERATIONS(X)
#undef X
};
#define OPS (sizeof ops / sizeof *ops)

/* "f32, f16 or bf16" of "VKA_F32, VKA_F16 or VKA_BF16". */
static void print_types(uint32_t types) {
    char text[256];
    vka__list_types(types, text, sizeof text);
    for (const char *c = text; *c; ++c) {
        if (!strncmp(c, "VKA_", 4))
            c += 4;
        putchar(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    }
}

/* "[B, H, N, D]" of "B H N D". */
static void print_shape(const vka__arg *a) {
    if (!a->shape) {
        printf("see all fields");
        return;
    }
    putchar('[');
    for (const char *c = a->shape; *c; ++c) {
        if (!strncmp(c, "...", 3)) {
            printf("..");
            c += 2;
        } else if (*c == ' ') {
            printf(", ");
        } else if (*c == '|') {
            printf(" or ");
        } else {
            putchar(*c);
        }
    }
    putchar(']');
}

static void print_arg_types(const vka__op *op, const vka__arg *a) {
    if (!a->like || a->like - 1 == a - op->args) {
        print_types(a->types);
        return;
    }
    printf("that of `%s`", op->args[a->like - 1].name);
    if (a->or_types) {
        printf(", or ");
        print_types(a->or_types);
    }
}

/* The tensors whose place it may take: "may be `x` or `residual`". */
static void print_in_place(const vka__op *op, const vka__arg *a) {
    const char *join = "; may be ";
    for (uint32_t i = 0; i < op->arg_count; ++i)
        if (a->in_place & (UINT64_C(1) << i)) {
            printf("%s`%s`", join, op->args[i].name);
            join = " or ";
        }
}

static void print_args(const vka__op *op) {
    printf("\n| tensor | shape | type | |\n|---|---|---|---|\n");
    for (uint32_t i = 0; i < op->arg_count; ++i) {
        const vka__arg *a = &op->args[i];
        if (a->flags & VKA__INTERNAL)
            continue;
        printf("| `%s` | ", a->name);
        print_shape(a);
        printf(" | ");
        print_arg_types(op, a);
        printf(" | %s%s", a->access & VKA__WRITE ? (a->access & VKA__READ ? "read and written" : "written") : "read",
               a->flags & VKA__REQUIRED ? "" : ", optional");
        if (a->flags & VKA__LIST)
            printf("; numbers of the host or a tensor");
        print_in_place(op, a);
        printf(" |\n");
    }
}

static void print_bound(double value) {
    if (value >= VKA__FINITE)
        printf("any");
    else if (value <= -VKA__FINITE)
        printf("-any");
    else
        printf("%.9g", value);
}

static void print_range(const vka__number *n) {
    if (n->type == VKA__NUMBER_ENUM)
        printf("`%s`", n->enum_name);
    else if (n->least <= -VKA__FINITE && n->most >= VKA__FINITE)
        printf("any finite number");
    else if (n->most >= VKA__FINITE)
        printf(n->least == VKA__LEAST ? "above 0" : "%.9g or more", n->least);
    else if (n->least == VKA__LEAST)
        printf("above 0, up to %.9g", n->most);
    else if (n->most == VKA__BELOW_ONE)
        printf("%.9g or more, below 1", n->least);
    else {
        print_bound(n->least);
        printf(" to ");
        print_bound(n->most);
    }
}

static void print_numbers(const vka__op *op) {
    if (!op->number_count)
        return;
    printf("\n| number | values | 0 means |\n|---|---|---|\n");
    for (uint32_t i = 0; i < op->number_count; ++i) {
        const vka__number *n = &op->numbers[i];
        printf("| `%s` | ", n->name);
        print_range(n);
        if (n->type == VKA__NUMBER_ENUM)
            printf(" | %s |\n", n->least > 0 && !n->zero ? "refused" : "the default");
        else if (n->zero && n->fallback == 0)
            printf(" | see all fields |\n");
        else if (n->zero)
            printf(" | %.9g |\n", n->fallback);
        else
            printf(" | %s |\n", n->least > 0 ? "refused" : "0");
    }
}

static void print_limits(const vka__op *op) {
    const char *join = "\nSizes: ";
    for (const vka__limit *l = op->limits; l && l->letter; ++l) {
        printf("%s%c ", join, l->letter);
        if (l->most == UINT32_MAX)
            printf("at least %u", l->least);
        else
            printf("%u to %u", l->least, l->most);
        join = ", ";
    }
    if (op->limits && op->limits->letter)
        printf(".\n");
}

static void print_paths(const vka__op *op) {
    const char *join = "\nPaths: ";
    for (uint32_t i = 1; op->paths && i < op->paths->path_count; ++i) {
        printf("%s%s", join, op->paths->path[i]->name);
        join = ", ";
    }
    if (op->paths)
        printf(".\n");
    if (op->workspace)
        printf("\nMay need a workspace: `vka_%s_requirements` tells its size.\n", op->name + strlen("vka_"));
}

int main(void) {
    for (size_t i = 0; i < OPS; ++i) {
        printf("@text %s\n", ops[i].name);
        print_args(ops[i].op);
        print_numbers(ops[i].op);
        print_limits(ops[i].op);
        print_paths(ops[i].op);
    }
    return ferror(stdout) ? 1 : 0;
}
