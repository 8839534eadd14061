/* The four public functions that every operation has: recording it, _prepare, _workspace and _explain.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_ENTRY_H
#define VKA_ENTRY_H

#include "vk/record.h"

/* What an operation does for them. `prepared` is a structure of its own: a checked description with its plan. */
typedef struct vka__entry {
    const char *name; /* of the function that records it */
    /* Checks and plans; `desc` may be NULL, which is an error. */
    vka_status (*prepare)(vka_device *device, const void *desc, void *prepared);
    /* Without dispatches where there is nothing to do. Points into `prepared`. */
    vka__operation (*operation)(const void *desc, void *prepared);
    /* As snprintf; writes nothing and returns 0 where there is nothing to do. */
    size_t (*explain)(const void *prepared, char *text, size_t capacity);
    /* What only recording checks; NULL: nothing. */
    vka_status (*check_recording)(vka_device *device, const void *desc, const void *prepared);
} vka__entry;

/* `prepared` is room for the operation's structure, whose content does not matter. */
vka_status vka__entry_record(const vka__entry *entry, vka_recorder *recorder, const void *desc, void *prepared);
vka_status vka__entry_prepare(const vka__entry *entry, vka_device *device, const void *desc, void *prepared);
vka_status vka__entry_workspace(const vka__entry *entry, vka_device *device, const void *desc, void *prepared,
                                uint64_t *bytes);
vka_status vka__entry_explain(const vka__entry *entry, vka_device *device, const void *desc, void *prepared, char *text,
                              size_t capacity, size_t *length);

/* Defines the four of vka_<operation>, which takes a vka_<operation>_desc. */
#define VKA__DEFINE_ENTRY(operation, entry)                                                                            \
    vka_status vka_##operation(vka_recorder *recorder, const vka_##operation##_desc *desc) {                           \
        prepared p;                                                                                                    \
        return vka__entry_record(entry, recorder, desc, &p);                                                           \
    }                                                                                                                  \
    vka_status vka_##operation##_prepare(vka_device *device, const vka_##operation##_desc *desc) {                     \
        prepared p;                                                                                                    \
        return vka__entry_prepare(entry, device, desc, &p);                                                            \
    }                                                                                                                  \
    vka_status vka_##operation##_workspace(vka_device *device, const vka_##operation##_desc *desc, uint64_t *bytes) {  \
        prepared p;                                                                                                    \
        return vka__entry_workspace(entry, device, desc, &p, bytes);                                                   \
    }                                                                                                                  \
    vka_status vka_##operation##_explain(vka_device *device, const vka_##operation##_desc *desc, char *text,           \
                                         size_t capacity, size_t *length) {                                            \
        prepared p;                                                                                                    \
        return vka__entry_explain(entry, device, desc, &p, text, capacity, length);                                    \
    }

#endif
