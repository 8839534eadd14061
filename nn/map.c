/* Files in memory.
 * SPDX-License-Identifier: MIT */
#include "safetensors.h"

#include <errno.h>
#include <stdio.h>

#ifdef _WIN32
#    ifndef WIN32_LEAN_AND_MEAN
#        define WIN32_LEAN_AND_MEAN
#    endif
#    include <windows.h>

bool map_file(const char *path, mapped_file *file) {
    LARGE_INTEGER size = {0};
    HANDLE f = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (f == INVALID_HANDLE_VALUE)
        return false;
    bool ok = GetFileType(f) == FILE_TYPE_DISK && GetFileSizeEx(f, &size);
    HANDLE mapping = ok && size.QuadPart ? CreateFileMappingA(f, NULL, PAGE_READONLY, 0, 0, NULL) : NULL;
    file->data = mapping ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0) : NULL;
    file->bytes = (uint64_t)size.QuadPart;
    if (mapping)
        CloseHandle(mapping);
    CloseHandle(f);
    return ok && (file->data || !file->bytes);
}

void unmap_file(mapped_file *file) {
    if (file->data)
        UnmapViewOfFile(file->data);
}

bool map_is_special(const char *path) {
    DWORD attributes = GetFileAttributesA(path);
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY))
        return true;
    HANDLE f = CreateFileA(path, 0, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    bool special = f != INVALID_HANDLE_VALUE && GetFileType(f) != FILE_TYPE_DISK;
    if (f != INVALID_HANDLE_VALUE)
        CloseHandle(f);
    return special;
}

bool map_replace(const char *by, const char *path) {
    bool ok = MoveFileExA(by, path, MOVEFILE_REPLACE_EXISTING);
    if (!ok)
        errno = EACCES;
    return ok;
}
#else
#    include <fcntl.h>
#    include <sys/mman.h>
#    include <sys/stat.h>
#    include <unistd.h>

bool map_file(const char *path, mapped_file *file) {
    struct stat s;
    int f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for whoever writes */
    if (f < 0)
        return false;
    bool ok = fstat(f, &s) == 0;
    if (ok && !S_ISREG(s.st_mode)) {
        errno = S_ISDIR(s.st_mode) ? EISDIR : ESPIPE;
        ok = false;
    }
    *file = (mapped_file){NULL, ok ? (uint64_t)s.st_size : 0};
    if (file->bytes) {
        void *data = mmap(NULL, (size_t)file->bytes, PROT_READ, MAP_PRIVATE, f, 0);
        ok = data != MAP_FAILED;
        file->data = ok ? data : NULL;
    }
    int error = errno;
    close(f);
    errno = error;
    return ok;
}

void unmap_file(mapped_file *file) {
    if (file->data)
        munmap((void *)(uintptr_t)file->data, (size_t)file->bytes);
}

bool map_is_special(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && !S_ISREG(s.st_mode);
}

bool map_replace(const char *by, const char *path) {
    return rename(by, path) == 0;
}
#endif
