/* write_page KIND FILE: a page of a case; and one of each case that must be refused is.
 * SPDX-License-Identifier: MIT */
#include "cases.h"

#include <errno.h>
#include <stdio.h>

const char program_name[] = "write_page";

static bool refuses(const lens *l) {
    lens wrong = *l;
    wrong.key_picture.first = l->m - PATCHES + 1;
    bool none = l->m < PATCHES || (!lens_write(&wrong, "page.html") && errno == EINVAL);
    return none && !lens_write(l, "/nowhere/page.html") && errno == ENOENT;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: write_page KIND FILE\n");
        return 2;
    }
    lens l = case_of(argv[1]);
    if (!refuses(&l) || !lens_write(&l, argv[2])) {
        fprintf(stderr, "write_page: %s can't be written, or what should be refused is not\n", argv[2]);
        return 1;
    }
    return 0;
}
