/* vkattn_nn: files of tensors in the format of safetensors (github.com/huggingface/safetensors), read in place and
 * written. They need no device.
 *
 *   vka_safetensors *file;
 *   vka_safetensors_open("model.safetensors", NULL, &file);
 *   const vka_safetensor *w = vka_safetensors_find(file, "model.embed_tokens.weight");
 *   vka_buffer_write(buffer, 0, w->data, w->bytes);
 *   vka_safetensors_close(&file);
 *
 * Values are little-endian, as on every system that vkattn runs on. SPDX-License-Identifier: MIT */
#ifndef VKATTN_SAFETENSORS_H
#define VKATTN_SAFETENSORS_H

#include <vkattn/nn_api.h>
#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A tensor of a file: views into it, which live as long as the file is open. */
typedef struct vka_safetensor {
    const char *name;  /* UTF-8, with a NUL at its end                                                             */
    const char *type;  /* as the file has it: "F32", "BF16", "I64", ..                                              */
    vka_dtype dtype;   /* F32, F16, BF16, U8, I8 or I32; VKA_DTYPE_INVALID: vkattn has no such type                 */
    uint32_t rank;     /* up to 8; 0: a single value                                                               */
    uint64_t shape[8]; /* dense, the last dimension contiguous                                                      */
    const void *data;  /* no promise about its alignment                                                           */
    uint64_t bytes;
} vka_safetensor;

/* A file that is open. */
typedef struct vka_safetensors vka_safetensors;

/* Maps a file, or takes one that is in memory, which must stay as it is until the file is closed. `log`: optional.
 * Malformed files are refused with one line that says what is wrong and, where there is one, of which tensor: a header
 * beyond the file or 100 MB, text that is not JSON or names that are there twice, types of unknown size, shapes that do
 * not go with the bytes, bytes that overlap, are left out or lie beyond the end.
 *
 * @return VKA_OK; VKA_INVALID: no such file, or a malformed one; VKA_OUT_OF_MEMORY. */
VKA_NN_API vka_status vka_safetensors_open(const char *path, const vka_log *log, vka_safetensors **file);
VKA_NN_API vka_status vka_safetensors_read(const void *data, uint64_t bytes, const vka_log *log,
                                           vka_safetensors **file);
/* Sets *file to NULL; NULL is allowed. */
VKA_NN_API void vka_safetensors_close(vka_safetensors **file);

/* In the order of their bytes. */
VKA_NN_API uint32_t vka_safetensors_count(const vka_safetensors *file);
VKA_NN_API const vka_safetensor *vka_safetensors_at(const vka_safetensors *file, uint32_t index);
/* NULL: there is none. */
VKA_NN_API const vka_safetensor *vka_safetensors_find(const vka_safetensors *file, const char *name);
/* What the file says of itself: a text by a key of its "__metadata__"; NULL: there is none. */
VKA_NN_API const char *vka_safetensors_metadata(const vka_safetensors *file, const char *key);

/* Writes tensors with `name`, `dtype` (a type that the format has), `rank`, `shape`, `data`, `bytes` in the order
 * given, each aligned to 8 bytes where the sizes before it allow. `metadata`: pairs of texts, key and value, or NULL.
 * An existing file is replaced when the new one is complete.
 *
 * @return VKA_OK; VKA_INVALID: the log says of which tensor what is wrong, or why the file can't be written;
 *         VKA_OUT_OF_MEMORY. */
VKA_NN_API vka_status vka_safetensors_write(const char *path, const vka_safetensor *tensors, uint32_t count,
                                            const char *const (*metadata)[2], uint32_t metadata_count,
                                            const vka_log *log);

#ifdef __cplusplus
}
#endif

#endif
